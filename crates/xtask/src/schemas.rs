//! `schemas/<revision>/<document>.schema.json`, generated from the types of the model crates.
//!
//! Those crates are linked only with the feature `codegen`: without it this task starts itself again with it.

use crate::page;

#[cfg(any(feature = "codegen", test))]
mod files;

/// Compiles the models, and writes or checks their schemas.
#[cfg(not(feature = "codegen"))]
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    page::is_check(args)?;
    let mut all = vec!["run", "--quiet", "--package", "xtask", "--features", "codegen", "--", "schemas"];
    all.extend(args.iter().map(String::as_str));
    crate::run::cargo(&all)
}

/// Writes the schemas and their index, or with `--check` fails when they are not what would be written.
#[cfg(feature = "codegen")]
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let check = page::is_check(args)?;
    let root = page::root()?;
    // One line for each model crate, here and in `Cargo.toml`.
    let models = [
        ("margo-api", margo_api::schemas()),
        ("margo-application", margo_application::schemas()),
        ("margo-capability", margo_capability::schemas()),
        ("margo-deployment", margo_deployment::schemas()),
        ("margo-identity", margo_identity::schemas()),
        ("margo-status", margo_status::schemas()),
    ];
    for package in crate::run::with_schemas()? {
        if package != "margo-core" && models.iter().all(|(model, _)| *model != package) {
            return Err(format!(
                "{package} has schemas, and crates/xtask/src/schemas.rs does not ask for them"
            ));
        }
    }
    let documents = models.into_iter().flat_map(|(_, schemas)| schemas);
    let documents = documents.map(|(revision, kind, schema)| (revision.as_str(), kind, schema.to_value()));
    let revisions = margo_core::SpecVersion::ALL.map(margo_core::SpecVersion::as_str);
    let files = files::files(documents, &revisions)?;
    for (file, text) in &files {
        page::settle(&root, file, text, check, "schemas")?;
    }
    for file in left_over(&root, &files)? {
        if check {
            return Err(format!("{file} is the schema of no document; `cargo xtask schemas` removes it"));
        }
        std::fs::remove_file(root.join(&file))
            .map_err(|error| format!("{file} cannot be removed: {error}"))?;
        println!("removed {file}");
    }
    println!("schemas: {}", files.len() - 1);
    Ok(())
}

/// Schemas that nothing generates any more.
#[cfg(feature = "codegen")]
fn left_over(
    root: &std::path::Path,
    files: &std::collections::BTreeMap<String, String>,
) -> Result<Vec<String>, String> {
    let mut left_over = Vec::new();
    for folder in crate::register::entries(&root.join("schemas"))?.iter().filter(|folder| folder.is_dir()) {
        for path in crate::register::entries(folder)? {
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if file.ends_with(".schema.json") && !files.contains_key(&file) {
                left_over.push(file);
            }
        }
    }
    Ok(left_over)
}
