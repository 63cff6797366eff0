//! Reads every document below the folders that are named, and does nothing else: what `margo check` is measured against.
#![expect(clippy::print_stdout, reason = "a program that talks to people")]

use std::path::PathBuf;

use margo_syntax::{Format, Limits, parse, parse_all};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (limits, mut documents) = (Limits::default(), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let format =
                path.extension().and_then(|extension| extension.to_str()).and_then(Format::of_extension);
            match format {
                _ if path.is_dir() => folders.push(path),
                Some(Format::Json) => {
                    parse(&std::fs::read(path)?, Format::Json, &limits)?;
                    documents += 1;
                }
                Some(_) => documents += parse_all(&std::fs::read(path)?, &limits)?.len(),
                None => {}
            }
        }
    }
    println!("{documents} documents");
    Ok(())
}
