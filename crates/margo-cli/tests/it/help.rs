//! What each verb says about itself.

use clap::Command;

/// Every verb is documented, with examples where it has arguments of its own.
#[test]
fn every_verb_explains_itself() {
    let mut margo = margo_cli::command::command();
    margo.build();
    let verbs = verbs(&margo);
    assert!(verbs.len() > 15, "{verbs:?}");
    for (name, mut verb) in verbs {
        assert!(verb.get_about().is_some(), "{name}");
        insta::assert_snapshot!(name, verb.render_long_help());
    }
}

/// Lines fit a terminal.
#[test]
fn help_is_not_wider_than_a_page() {
    let mut margo = margo_cli::command::command();
    margo.build();
    for (name, mut verb) in verbs(&margo) {
        for help in [verb.render_help(), verb.render_long_help()] {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 120, "{name}: {line}");
            }
        }
    }
}

/// The command and everything below it, but for `help`, which says nothing of its own.
fn verbs(command: &Command) -> Vec<(String, Command)> {
    let name = command.get_bin_name().unwrap_or("margo").replace(' ', "_");
    let below = command.get_subcommands().filter(|verb| verb.get_name() != "help").flat_map(verbs);
    std::iter::once((name, command.clone())).chain(below).collect()
}
