//! Repository tasks: `cargo xtask <task>`.
//!
//! Small on purpose: it is compiled before anything else can be run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]

use std::process::ExitCode;

mod bench_check;
mod citation;
mod compose_tools;
mod configuration;
mod corpus;
mod coverage;
mod device_page;
mod engine;
mod fuzz;
mod helm;
mod interop;
mod interpretations;
mod layers;
mod new_revision;
mod page;
mod register;
mod run;
mod scan;
mod schemas;
mod ship;

const USAGE: &str = "usage: cargo xtask <task>

  demo [--json]                build everything and run the demonstration
  test [ARGS]                  run all tests
  interop                      install and run against software nobody here wrote
  setup                        install what the tasks above need (git)
  engine up|down               a container engine and registries for the tests, from Debian's packages
  helm                         fetch a Helm for the tests
  device-page                  run docs/device.md line by line, and compare
  static                       build margo-device with the C library in it, for shipping
  shipping                     look at the scripts and the unit of systemd that are shipped
  layers                       check which crate depends on which
  coverage [--check]           write the states and tests in docs/coverage.md
  configuration [--check]      write docs/configuration.md from the types
  interpretations [--check]    write the places and tests in docs/interpretations.md
  schemas [--check]            write schemas/ from the types
  fuzz [--seconds N] [TARGET]  run every fuzz target, or some, for a minute or N seconds each
  corpus [--seed N] DIR        write 1,000 mixed documents, the same for the same seed; `--count N` writes another number
  bench-check [--ours]         measure `margo check` against other validators, and write docs/benchmarks.md; or only print ours
  bless                        write what `margo check` prints of each document in fixtures/invalid
  new-revision NAME --dry-run  list what a new revision of the specification touches
  ci                           everything `.ci/run` does

With `--check` nothing is written, and what is out of date is an error.
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match task.as_str() {
        "demo" => run::demo(&rest),
        "test" => run::test(&rest),
        "interop" => interop::interop(),
        "setup" => run::setup(),
        "engine" => engine::task(&rest),
        "helm" => helm::install().map(|program| println!("{}", program.display())),
        "device-page" => device_page::run(),
        "static" => ship::build(),
        "shipping" => ship::check(),
        "layers" => layers::check(),
        "configuration" => configuration::run(&rest),
        "coverage" => coverage::run(&rest),
        "interpretations" => interpretations::run(&rest),
        "schemas" => schemas::run(&rest),
        "fuzz" => fuzz::run_all(&rest),
        "corpus" => corpus::run(&rest),
        "bench-check" => bench_check::run(&rest),
        "bless" => run::bless(),
        "new-revision" => new_revision::run(&rest),
        "ci" => run::ci(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
