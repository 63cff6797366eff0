//! Compose files that say nothing but what is understood here to the letter. What Compose makes of one is then known
//! without asking it, and is handed to it as a file in which nothing is left to put in: what was checked is what runs.
//!
//! Everything that is not listed here, or could be read in two ways, is left to Compose: a start of the tool more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use margo_syntax::{Node, NodeKind, Style, Tree};
use serde_json::{Map, Value};

/// What `name: text` of an environment or of labels is, by service.
pub(crate) type Variables = BTreeMap<String, String>;

/// A Compose file with every variable put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plain(Map<String, Value>);

impl Plain {
    /// Puts `variables` into the file. `None` when the file says something that only Compose should read.
    pub(crate) fn of(tree: &Tree, variables: &Variables) -> Option<Self> {
        if has_tags(tree) {
            return None;
        }
        let mut reader = Reader { variables, volumes: BTreeSet::new(), networks: BTreeSet::new() };
        let mut root = Map::new();
        for (key, node) in members(tree.root())? {
            match key {
                "version" => drop(root.insert(key.to_owned(), version(node)?)),
                "volumes" => {
                    reader.volumes = bare_names(node)?;
                    root.insert(key.to_owned(), nothing_for(&reader.volumes));
                }
                "networks" => {
                    reader.networks = bare_names(node)?;
                    root.insert(key.to_owned(), nothing_for(&reader.networks));
                }
                "services" => {}
                _ => return None,
            }
        }
        let mut services = Map::new();
        for (name, node) in members(tree.root().get("services")?)? {
            if !is_name(name) {
                return None;
            }
            // What comes before is there: so no two wait for each other.
            let service = reader.service(node, &services)?;
            services.insert(name.to_owned(), Value::Object(service));
        }
        root.insert("services".to_owned(), Value::Object(services));
        Some(Self(root))
    }

    /// The file as a value: what Compose will see.
    pub(crate) fn value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The text for Compose, in which every service carries `labels`, and those of `environment` that it does not set
    /// itself (R-A-050).
    pub(crate) fn to_file(&self, labels: &Variables, environment: &Variables) -> String {
        let mut root = self.0.clone();
        let services = root.get_mut("services").and_then(Value::as_object_mut);
        for service in services.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            for (key, more, wins) in [("labels", labels, true), ("environment", environment, false)] {
                if more.is_empty() {
                    continue;
                }
                let Value::Object(members) = service.entry(key).or_insert_with(|| Value::Object(Map::new()))
                else {
                    continue;
                };
                for (name, value) in more {
                    if wins || !members.contains_key(name) {
                        members.insert(name.clone(), value.as_str().into());
                    }
                }
            }
        }
        let mut root = Value::Object(root);
        double_dollars(&mut root);
        // JSON is YAML whose strings are all in quotes.
        root.to_string()
    }
}

struct Reader<'a> {
    variables: &'a Variables,
    volumes: BTreeSet<String>,
    networks: BTreeSet<String>,
}

impl Reader<'_> {
    fn service(&self, node: Node<'_>, before: &Map<String, Value>) -> Option<Map<String, Value>> {
        let mut service = Map::new();
        for (key, node) in members(node)? {
            let value = match key {
                "image" | "network_mode" | "restart" | "stop_signal" | "working_dir" | "user"
                | "hostname" => self.text(node)?.into(),
                "command" | "entrypoint" | "tmpfs" => self.text_or_list(node)?,
                "init" | "read_only" | "tty" | "stdin_open" => boolean(node)?,
                "cap_drop" => self.list(node, |_| true)?,
                "environment" => self.environment(node)?,
                "labels" => self.map(node)?,
                "depends_on" => self.list(node, |name| before.contains_key(name))?,
                "networks" => self.list(node, |name| self.networks.contains(name))?,
                "ports" => self.list(node, is_port)?,
                "volumes" => self.list(node, |mount| self.is_mount(mount))?,
                "stop_grace_period" => self.duration(node)?,
                "healthcheck" => self.health_check(node)?,
                _ => return None,
            };
            service.insert(key.to_owned(), value);
        }
        service.contains_key("image").then_some(service)
    }

    fn health_check(&self, node: Node<'_>) -> Option<Value> {
        let mut check = Map::new();
        for (key, node) in members(node)? {
            let value = match key {
                "test" => self.text_or_list(node)?,
                "interval" | "timeout" | "start_period" => self.duration(node)?,
                "retries" => integer(node)?.into(),
                _ => return None,
            };
            check.insert(key.to_owned(), value);
        }
        Some(Value::Object(check))
    }

    /// As a mapping, in whichever of its two forms it is written.
    fn environment(&self, node: Node<'_>) -> Option<Value> {
        if node.kind() == NodeKind::Mapping {
            return self.map(node);
        }
        let mut map = Map::new();
        for node in items(node)? {
            let text = self.text(node)?;
            let (name, value) = text.split_once('=')?;
            if !is_name(name) {
                return None;
            }
            map.insert(name.to_owned(), value.into());
        }
        Some(Value::Object(map))
    }

    fn map(&self, node: Node<'_>) -> Option<Value> {
        let mut map = Map::new();
        for (name, node) in members(node)? {
            if !is_name(name) {
                return None;
            }
            let value = match integer(node) {
                Some(number) => number.into(),
                None => self.text(node)?.into(),
            };
            map.insert(name.to_owned(), value);
        }
        Some(Value::Object(map))
    }

    fn duration(&self, node: Node<'_>) -> Option<Value> {
        let text = self.text(node)?;
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let unit = &text[digits.len()..];
        let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && ["ms", "s", "m", "h"].contains(&unit)).then(|| text.into())
    }

    fn text_or_list(&self, node: Node<'_>) -> Option<Value> {
        if node.kind() == NodeKind::Sequence {
            return self.list(node, |_| true);
        }
        self.text(node).map(Value::String)
    }

    fn list(&self, node: Node<'_>, is_known: impl Fn(&str) -> bool) -> Option<Value> {
        let texts = items(node)?.map(|item| self.text(item).filter(|text| is_known(text)).map(Value::String));
        texts.collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn text(&self, node: Node<'_>) -> Option<String> {
        let text = string(node)?;
        let text = interpolate(text, self.variables)?;
        is_printable(&text).then_some(text)
    }

    /// `name:/target` or `./path:/target`, with `ro` or `rw` after it.
    fn is_mount(&self, mount: &str) -> bool {
        let parts: Vec<&str> = mount.split(':').collect();
        let ([source, target] | [source, target, "ro" | "rw"]) = *parts.as_slice() else { return false };
        target.starts_with('/')
            && (self.volumes.contains(source) || source.starts_with("./") || source.starts_with('/'))
    }
}

/// What a text says with variables put in, as far as every Compose agrees: `$$`, `$NAME`, `${NAME}`, and a default
/// after `-` or `:-`. `None` for anything else, and for a variable that is not set, which tools warn of.
fn interpolate(text: &str, variables: &Variables) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}')?;
            let (name, default) = name_of(inside)?;
            let value = variables.get(name);
            result.push_str(match (value, default) {
                (Some(value), "") => value,
                (value, default) => {
                    let (only_unset, default) = match default.strip_prefix(":-") {
                        Some(default) => (false, default),
                        None => (true, default.strip_prefix('-')?),
                    };
                    if default.contains(['$', '{']) {
                        return None;
                    }
                    value.filter(|value| only_unset || !value.is_empty()).map_or(default, String::as_str)
                }
            });
            rest = after;
        } else {
            let (name, after) = name_of(after)?;
            result.push_str(variables.get(name)?);
            rest = after;
        }
    }
    result.push_str(rest);
    Some(result)
}

/// The name at the beginning of a text, and what follows. Names the tools are started with belong to them.
fn name_of(text: &str) -> Option<(&str, &str)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && !crate::environment::is_reserved(name)).then_some((name, rest))
}

/// The entries of a mapping whose keys are all read as they stand, by every reader.
fn members(node: Node<'_>) -> Option<Vec<(&str, Node<'_>)>> {
    if node.kind() != NodeKind::Mapping || node.style() == Style::Alias {
        return None;
    }
    node.children()
        .map(|child| {
            let key = child.key()?;
            let is_plain = key.style() == Style::Plain;
            let is_sure = if is_plain { is_sure(key.raw()) } else { key.style() != Style::Alias };
            is_sure.then_some((key.text(), child))
        })
        .collect()
}

fn items(node: Node<'_>) -> Option<impl Iterator<Item = Node<'_>>> {
    (node.kind() == NodeKind::Sequence && node.style() != Style::Alias).then(|| node.children())
}

/// A string that is one for every reader of YAML, 1.1 or 1.2.
fn string(node: Node<'_>) -> Option<&str> {
    let is_sure = match node.style() {
        Style::SingleQuoted | Style::DoubleQuoted | Style::Literal => true,
        Style::Plain => is_sure(node.raw()),
        _ => false,
    };
    (is_sure && node.kind() == NodeKind::String).then(|| node.literal()).flatten()
}

fn integer(node: Node<'_>) -> Option<i64> {
    let raw = node.raw();
    let is_sure = node.kind() == NodeKind::Number && node.style() == Style::Plain;
    let number: i64 = raw.parse().ok().filter(|_| is_sure)?;
    // `010` is eight to some.
    (number.to_string() == raw).then_some(number)
}

fn boolean(node: Node<'_>) -> Option<Value> {
    let is_sure = node.kind() == NodeKind::Bool && node.style() == Style::Plain;
    match node.raw() {
        "true" if is_sure => Some(true.into()),
        "false" if is_sure => Some(false.into()),
        _ => None,
    }
}

/// Whether text without quotes is a string, and the same one, for every reader of YAML.
fn is_sure(plain: &str) -> bool {
    const WORDS: &[&str] = &["yes", "no", "on", "off", "y", "n", "true", "false", "null"];
    // Numbers in any base, with or without fractions, and times.
    let is_of_number = |c: char| "+-._: ".contains(c) || c.is_ascii_hexdigit() || "oOxXtTzZ".contains(c);
    let looks_like_number = plain.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && plain.contains(|c: char| c.is_ascii_digit())
        && plain.chars().all(is_of_number);
    let unsigned = plain.trim_start_matches(['+', '-']);
    let is_special = unsigned.starts_with(['~', '=', '<', '.']) && !plain.starts_with("./");
    !plain.is_empty()
        && !plain.contains(['\n', '\r'])
        && !looks_like_number
        && !is_special
        && !WORDS.contains(&plain.to_ascii_lowercase().as_str())
}

/// `version` is what Compose 1.29 knows; newer ones do not look at it.
fn version(node: Node<'_>) -> Option<Value> {
    let text = string(node)?;
    let minor = match text.split_once('.') {
        Some((major, minor)) if ["2", "3"].contains(&major) => minor,
        _ => return None,
    };
    (minor.len() == 1 && ("0"..="4").contains(&minor)).then(|| text.into())
}

/// The names of volumes or networks that say nothing more.
fn bare_names(node: Node<'_>) -> Option<BTreeSet<String>> {
    let is_bare = |node: &Node<'_>| {
        let is_empty = node.kind() == NodeKind::Mapping && node.children().len() == 0;
        (node.kind() == NodeKind::Null || is_empty) && node.style() != Style::Alias
    };
    members(node)?
        .into_iter()
        .map(|(name, node)| (is_bare(&node) && is_name(name)).then(|| name.to_owned()))
        .collect()
}

fn nothing_for(names: &BTreeSet<String>) -> Value {
    Value::Object(names.iter().map(|name| (name.clone(), Value::Object(Map::new()))).collect())
}

fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.bytes().all(is_of_name)
}

/// `[address:]port:port[/tcp|/udp]`.
fn is_port(text: &str) -> bool {
    let plain = text.strip_suffix("/tcp").or_else(|| text.strip_suffix("/udp")).unwrap_or(text);
    let parts: Vec<&str> = plain.split(':').collect();
    let is_number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u16>().is_ok_and(|port| port > 0)
    };
    match *parts.as_slice() {
        [host, container] => is_number(host) && is_number(container),
        [address, host, container] => {
            address.parse::<Ipv4Addr>().is_ok() && is_number(host) && is_number(container)
        }
        _ => false,
    }
}

/// Whether every reader of YAML takes these characters, as they are, between double quotes.
fn is_printable(text: &str) -> bool {
    let is_break = |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    text.chars().all(|c| (!c.is_control() || c == '\n' || c == '\t') && !is_break(c))
}

/// A `!` that stands in no value and no key may be a tag.
fn has_tags(tree: &Tree) -> bool {
    let count = |text: &str| text.bytes().filter(|byte| *byte == b'!').count();
    let known = tree.nodes().map(|node| {
        let of_key = node.key().map_or(0, |key| count(key.raw()));
        of_key + node.literal().map_or(0, |_| count(node.raw()))
    });
    count(tree.source()) != known.sum::<usize>()
}

fn double_dollars(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(double_dollars),
        Value::Object(members) => members.values_mut().for_each(double_dollars),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use margo_syntax::{Format, Limits};
    use serde_json::json;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn plain(text: &str) -> Option<Plain> {
        let tree = margo_syntax::parse(text.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
        Plain::of(&tree, &variables(&[("MODE", "eco"), ("NONE", ""), ("PRICE", "5$")]))
    }

    fn service(keys: &str) -> Option<Value> {
        let text = format!("services:\n  web:\n    image: 127.0.0.1:5000/web:1\n{keys}");
        plain(&text).map(|plain| plain.value()["services"]["web"].clone())
    }

    #[test]
    fn a_plain_file_is_read_to_the_letter() {
        let text = "version: '2.4'
services:
  db:
    image: \"r.example/db:${MODE}\"
    volumes: ['data:/data', './db.conf:/etc/db.conf:ro']
    healthcheck: { test: [CMD, 'true'], interval: 200ms, retries: 3 }
  web:
    image: 10.0.0.1:5000/web:1
    command: [sh, -c, 'echo $$HOME $MODE']
    environment: { SHOWN: '<${PRICE}>', LEVEL: 7, OTHER: '${UNSET:-x}${NONE:-y}${NONE-z}' }
    depends_on: [db]
    ports: ['8080:80', '127.0.0.1:53:53/udp']
    init: true
volumes: { data: }
";
        let plain = plain(text).unwrap();
        assert_eq!(
            plain.value(),
            json!({
                "version": "2.4",
                "services": {
                    "db": {
                        "image": "r.example/db:eco",
                        "volumes": ["data:/data", "./db.conf:/etc/db.conf:ro"],
                        "healthcheck": { "test": ["CMD", "true"], "interval": "200ms", "retries": 3 },
                    },
                    "web": {
                        "image": "10.0.0.1:5000/web:1",
                        "command": ["sh", "-c", "echo $HOME eco"],
                        "environment": { "SHOWN": "<5$>", "LEVEL": 7, "OTHER": "xy" },
                        "depends_on": ["db"],
                        "ports": ["8080:80", "127.0.0.1:53:53/udp"],
                        "init": true,
                    },
                },
                "volumes": { "data": {} },
            })
        );
    }

    /// R-A-050: what the author of a file says of it holds.
    #[test]
    fn what_is_added_does_not_replace_what_is_there() {
        let plain = plain(
            "services:\n  a: { image: a }\n  b: { image: b, environment: [X=1], labels: { mine: a, theirs: b } }\n",
        );
        let text =
            plain.unwrap().to_file(&variables(&[("mine", "$")]), &variables(&[("X", "2"), ("Y", "$3")]));
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({ "services": {
                "a": { "image": "a", "labels": { "mine": "$$" }, "environment": { "X": "2", "Y": "$$3" } },
                "b": {
                    "image": "b",
                    "labels": { "mine": "$$", "theirs": "b" },
                    "environment": { "X": "1", "Y": "$$3" },
                },
            }})
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_left_to_compose() {
        for keys in [
            "    command: yes\n",
            "    command: 12:30\n",
            "    command: 1e3\n",
            "    command: 2020-01-01\n",
            "    command: !!str 5\n",
            "    command: >\n      folded\n",
            "    command: a\n      b\n",
            "    command: .5\n",
            "    command: [-1]\n",
            "    command: [-.x]\n",
            "    environment: { ON: 1 }\n",
            "    environment: { A: 010 }\n",
            "    environment: { A: 1.10 }\n",
            "    environment: { A: }\n",
            "    environment: [A]\n",
            "    init: yes\n",
            "    command: \"\\u2028\"\n",
            "    command: \"\\0\"\n",
            "    ports: [8080:80]\n",
            "    ports: ['80']\n",
            "    volumes: ['other:/data']\n",
            "    volumes: ['~/x:/data']\n",
            "    volumes: ['../x:/data']\n",
            "    depends_on: [later]\n  later: { image: x }\n",
            "    stop_grace_period: 1.5s\n",
            "    <<: { init: true }\n",
            "    privileged: false\n",
            "    env_file: .env\n",
            "x-more: 1\n",
            "volumes: { data: { driver: local } }\n",
            "  db: &db { image: x }\n  other: *db\n",
        ] {
            assert_eq!(service(keys), None, "{keys}");
        }
        for keys in [
            "    command: run!\n",
            "    command: ./yes\n",
            "    command: [a, -c]\n",
            "    command: '5'\n",
            "    hostname: a.b\n",
        ] {
            assert!(service(keys).is_some(), "{keys}");
        }
    }

    #[test]
    fn only_what_every_compose_puts_in_alike_is_put_in() {
        let put_in = |text| interpolate(text, &variables(&[("A", "1"), ("B", "")]));
        assert_eq!(put_in("$A-$$A-${A}-${A:-2}-${B-2}").as_deref(), Some("1-$A-1-1-"));
        for text in [
            "$",
            "$1",
            "${A",
            "${}",
            "${A:?x}",
            "${A:+x}",
            "${X}",
            "$X",
            "${X:-$A}",
            "${X:-${A}}",
            "$HOME",
            "${HOME:-x}",
            "${COMPOSE_FILE:-x}",
            "${A }",
        ] {
            assert_eq!(put_in(text), None, "{text}");
        }
    }
}
