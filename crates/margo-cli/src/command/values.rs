use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use margo_syntax::{Format, Limits};
use serde_json::{Map, Value};

use super::failure::Failure;

/// The values an operator chooses.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Values")]
pub(super) struct ValueArgs {
    /// Set a parameter; the manager reads the text as the type the parameter's schema asks for
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = text)]
    set: Vec<(String, Value)>,
    /// Set a parameter to any JSON, such as a list
    #[arg(long = "set-json", value_name = "NAME=JSON", value_parser = json)]
    set_json: Vec<(String, Value)>,
    /// Set the parameters in this file, a mapping in YAML or JSON; `--set` overrides it
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
}

/// The values an operator no longer chooses.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Values")]
pub(super) struct UnsetArgs {
    /// Return a parameter to the default of the application's description
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    unset: Vec<String>,
}

impl ValueArgs {
    /// Whether nothing is chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.set_json.is_empty() && self.values.is_none()
    }

    /// What is chosen, by parameter; `null` for what is no longer.
    pub(super) fn read(&self, unset: &UnsetArgs) -> Result<Map<String, Value>, Failure> {
        let mut values = self.values.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let set = self.set.iter().chain(&self.set_json).cloned();
        let unset = unset.unset.iter().map(|name| (name.clone(), Value::Null));
        let mut seen = BTreeSet::new();
        for (name, value) in set.chain(unset) {
            if !seen.insert(name.clone()) {
                return Err(Failure::not_asked(format!("the parameter `{name}` is set twice")));
            }
            values.insert(name, value);
        }
        Ok(values)
    }
}

impl UnsetArgs {
    /// Whether nothing returns to its default.
    pub(super) fn is_empty(&self) -> bool {
        self.unset.is_empty()
    }
}

fn read_file(path: &Path) -> Result<Map<String, Value>, Failure> {
    use std::io::Read as _;
    let limits = Limits::default();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limits.max_bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(|cause| {
            Failure::not_asked(format!("`{}` cannot be read", path.display())).because(&cause)
        })?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let format = extension.and_then(Format::of_extension).unwrap_or(Format::Yaml);
    margo_syntax::decode(&bytes, format, &limits).map_err(|cause| {
        Failure::refused(format!("`{}` is not a mapping of parameters to values", path.display()))
            .because(&cause)
    })
}

fn text(argument: &str) -> Result<(String, Value), String> {
    let (name, value) = named(argument)?;
    Ok((name, value.into()))
}

fn json(argument: &str) -> Result<(String, Value), String> {
    let (name, value) = named(argument)?;
    let value = margo_syntax::decode(value.as_bytes(), Format::Json, &Limits::default())
        .map_err(|error| format!("{error} (text is written in quotes: '{name}=\"text\"')"))?;
    Ok((name, value))
}

fn named(argument: &str) -> Result<(String, &str), String> {
    match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value)),
        _ => Err("expected the name of a parameter, `=` and its value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    #[test]
    fn a_value_may_hold_anything_and_be_nothing() {
        assert_eq!(text("a=b=c").unwrap(), ("a".into(), value!("b=c")));
        assert_eq!(text("a=").unwrap(), ("a".into(), value!("")));
        // The manager knows the parameter's type; here everything is text.
        assert_eq!(text("a=true").unwrap(), ("a".into(), value!("true")));
        for wrong in ["a", "=b", ""] {
            assert!(text(wrong).is_err(), "{wrong}");
            assert!(json(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_is_json() {
        assert_eq!(json(r#"a=["x", 1]"#).unwrap(), ("a".into(), value!(["x", 1])));
        assert_eq!(json("a=null").unwrap(), ("a".into(), Value::Null));
        let error = json("a=x").unwrap_err();
        assert!(error.contains(r#"'a="text"'"#), "{error}");
        assert!(json(r#"a={"b": 1, "b": 2}"#).is_err());
    }

    #[test]
    fn a_file_is_overridden_and_a_contradiction_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("values.yaml");
        std::fs::write(&file, "interval: 5\nplant: \"0042\"\nchannels: [display]\n").unwrap();
        let mut args =
            ValueArgs { values: Some(file), set: vec![text("interval=30").unwrap()], set_json: vec![] };
        assert!(!args.is_empty());
        let none = UnsetArgs::default();
        let read = args.read(&none).unwrap();
        assert_eq!(Value::Object(read), value!({"interval": "30", "plant": "0042", "channels": ["display"]}));

        let unset = UnsetArgs { unset: vec!["plant".into()] };
        assert_eq!(args.read(&unset).unwrap()["plant"], Value::Null);

        for contradiction in [UnsetArgs { unset: vec!["interval".into()] }, none.clone()] {
            if contradiction.is_empty() {
                args.set_json.push(json("interval=30").unwrap());
            }
            let failure = args.read(&contradiction).unwrap_err();
            assert_eq!(failure.lines(), ["error: the parameter `interval` is set twice"]);
        }
    }

    #[test]
    fn a_wrong_file_is_named_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            read_file(&file).unwrap_err().lines().join("\n")
        };
        let lines = read("values.yaml", "a: 1\na: 2\n");
        assert!(lines.contains("values.yaml` is not a mapping"), "{lines}");
        assert!(lines.contains("caused by: line 2, column 1: duplicate key `a`"), "{lines}");
        // What is named JSON is read as JSON.
        assert!(read("values.json", "a: 1\n").contains("line 1, column 1"));
        assert!(read("list.yaml", "- a\n").contains("expected a map"));
        assert!(read_file(&folder.path().join("missing")).unwrap_err().lines()[0].contains("cannot be read"));
    }
}
