//! `cargo xtask corpus`: many documents, from a seed.
//!
//! They are the documents of `fixtures/valid` with other identifiers, so that every kind and revision is there, each as
//! large as documents are. The same seed and the same fixtures make the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{page, register};

const USAGE: &str = "usage: cargo xtask corpus [--seed N] [--count N] DIR";

/// Writes `--count` documents (1,000 if it is not given) below `DIR/valid/<revision>/<document>/`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (mut seed, mut count, mut folder) = (1, 1000, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--seed" => seed = number()?,
            "--count" => count = number()?,
            other if !other.starts_with('-') && folder.is_none() => folder = Some(PathBuf::from(other)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let folder = folder.ok_or(USAGE)?;
    let written = write(&folder, seed, usize::try_from(count).map_err(|_| USAGE)?)?;
    println!("corpus: {written} documents in {}", folder.display());
    Ok(())
}

/// Writes the corpus, and says how many documents it has.
pub(crate) fn write(folder: &Path, seed: u64, count: usize) -> Result<usize, String> {
    let root = page::root()?;
    let mut templates = templates(&root.join("fixtures/valid"))?;
    // What lies below a revision is of one kind; the rest are scenes of several documents.
    templates.retain(|name, _| {
        name.split('/').next().is_some_and(|folder| root.join("schemas").join(folder).is_dir())
    });
    for (name, text) in generate(&templates, seed, count) {
        let path = folder.join("valid").join(name);
        let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        fs::write(&path, text).map_err(failed)?;
    }
    Ok(count)
}

/// The documents below `root`, by their path.
fn templates(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut templates = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in register::entries(&folder)? {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
                templates.insert(name, text);
            }
        }
    }
    if templates.is_empty() { Err("fixtures/valid holds no documents".to_owned()) } else { Ok(templates) }
}

/// `count` documents by their path: each template in turn, with identifiers of its own.
fn generate(
    templates: &BTreeMap<String, String>,
    seed: u64,
    count: usize,
) -> impl Iterator<Item = (String, String)> {
    let mut random = Random(seed);
    templates.iter().cycle().take(count).enumerate().map(move |(index, (name, text))| {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        (format!("{folder}/{index:05}-{file}"), with_other_ids(text, &mut random))
    })
}

/// The text with every UUID replaced, the same by the same.
fn with_other_ids(text: &str, random: &mut Random) -> String {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    let is_uuid = |word: &str| {
        let parts: Vec<&str> = word.split('-').collect();
        parts.len() == 5
            && parts.iter().zip(GROUPS).all(|(part, length)| part.len() == length && is_hex(part))
    };
    let mut replaced = text.to_owned();
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    let uuids: std::collections::BTreeSet<&str> = words.filter(|word| is_uuid(word)).collect();
    for uuid in uuids {
        // The version and the variant stay what they are.
        let other: String = uuid
            .char_indices()
            .map(|(at, c)| match c {
                '-' => '-',
                _ if at == 14 || at == 19 => c,
                _ => char::from_digit(u32::from(random.next_byte() & 15), 16).unwrap_or('0'),
            })
            .collect();
        replaced = replaced.replace(uuid, &other);
    }
    replaced
}

/// `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next_byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 56) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> BTreeMap<String, String> {
        BTreeMap::from([
            (
                "rc/a/x.yaml".to_owned(),
                "id: a3e2f5dc-912e-494f-8395-52cf3769bc06\nurl: /a3e2f5dc-912e-494f-8395-52cf3769bc06\n"
                    .to_owned(),
            ),
            ("rc/b/y.json".to_owned(), "{\"digest\": \"sha256:0011\"}".to_owned()),
        ])
    }

    #[test]
    fn a_seed_makes_one_corpus() {
        let corpus = |seed| generate(&some(), seed, 5).collect::<Vec<_>>();
        assert_eq!(corpus(1), corpus(1));
        assert_ne!(corpus(1), corpus(2));
        let names: Vec<_> = corpus(1).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "rc/a/00000-x.yaml",
                "rc/b/00001-y.json",
                "rc/a/00002-x.yaml",
                "rc/b/00003-y.json",
                "rc/a/00004-x.yaml"
            ]
        );
    }

    #[test]
    fn an_id_is_replaced_by_the_same_everywhere_and_nothing_else_is() {
        let texts: Vec<_> = generate(&some(), 7, 3).map(|(_, text)| text).collect();
        assert_eq!(texts[1], some()["rc/b/y.json"]);
        assert_ne!(texts[0], texts[2]);
        let (id, url) = texts[0].trim_end().split_once("\nurl: /").unwrap();
        assert_eq!(id, format!("id: {url}"));
        assert_eq!((&url[14..15], &url[19..20]), ("4", "8"));
    }
}
