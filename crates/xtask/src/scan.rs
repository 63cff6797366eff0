//! Which sentences of the specification a Rust source cites, and which test each citation belongs to.
//!
//! A tokenizer that knows comments, literals and brackets, and nothing else of the language.

use crate::citation::{Id, citations};

/// A citation in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) id: Result<Id, String>,
    pub(crate) line: usize,
    pub(crate) place: Place,
    /// What follows a contradiction in the code that reports it: the number of `Level::L2`.
    pub(crate) level: Option<u8>,
}

/// What a citation belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Code,
    /// Code of tests: the test if it is one, otherwise nothing.
    Test(Option<String>),
}

/// What a source is, by where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    /// All of it is for tests.
    Tests,
    /// Each of its public functions is a test, which a macro makes of it.
    Examination,
}

/// Every citation in `source`.
pub(crate) fn scan(source: &str, kind: Kind) -> Vec<Citation> {
    let tokens = tokens(source);
    let outermost = if kind == Kind::Tests { Place::Test(None) } else { Place::Code };
    let mut scan = Scan { kind, scopes: vec![Scope::new(outermost)], found: Vec::new() };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at = scan.step(&tokens, at, token);
    }
    while !scan.scopes.is_empty() {
        scan.close();
    }
    scan.found.sort_by_key(|citation| citation.line);
    scan.found
}

struct Scan {
    kind: Kind,
    scopes: Vec<Scope>,
    found: Vec<Citation>,
}

/// What is between two brackets.
struct Scope {
    place: Place,
    /// What has been read of an item or statement whose end is still to come.
    begun: Begun,
}

#[derive(Default)]
struct Begun {
    citations: Vec<Citation>,
    attributes: Vec<String>,
    function: Option<String>,
    is_public: bool,
}

impl Scope {
    fn new(place: Place) -> Self {
        Self { place, begun: Begun::default() }
    }
}

impl Scan {
    /// Takes the token at `at`, and says where the next one is.
    fn step(&mut self, tokens: &[Token<'_>], at: usize, token: &Token<'_>) -> usize {
        let next = tokens.get(at + 1);
        match token.what {
            What::Comment(text) => {
                let previous = tokens[..at].last();
                let ends_a_line = previous.is_some_and(|previous| {
                    previous.line == token.line && matches!(previous.what, What::Punct(';' | '{' | '}' | ','))
                });
                let is_inner = text.starts_with("//!") || text.starts_with("/*!");
                self.cite(text, token.line, None, is_inner || ends_a_line);
            }
            What::Literal(text) => self.cite(text, token.line, level(&tokens[at + 1..]), false),
            What::Punct('#') if is(next, '[') => {
                let end = closing(tokens, at + 1);
                let mut attribute = String::new();
                for token in &tokens[at + 2..end] {
                    attribute.push_str(&token.text());
                    if let What::Literal(text) | What::Comment(text) = token.what {
                        self.cite(text, token.line, None, false);
                    }
                }
                self.begun().attributes.push(attribute);
                return end + 1;
            }
            What::Word("pub") => self.begun().is_public = true,
            What::Word("fn") => {
                if let Some(Token { what: What::Word(name), .. }) = next {
                    self.begun().function = Some((*name).to_owned());
                }
            }
            What::Punct('{') => {
                let place = self.finish();
                self.scopes.push(Scope::new(place));
            }
            What::Punct('(' | '[') => self.scopes.push(Scope::new(self.scope().place.clone())),
            What::Punct(')' | ']' | '}') if self.scopes.len() > 1 => {
                self.close();
                if is(Some(token), '}') {
                    self.finish();
                }
            }
            What::Punct(';') => {
                self.finish();
            }
            What::Word(_) | What::Punct(_) => {}
        }
        at + 1
    }

    fn cite(&mut self, text: &str, line: usize, level: Option<u8>, at_once: bool) {
        for (offset, id) in citations(text) {
            let line = line + text[..offset].matches('\n').count();
            let place = self.scope().place.clone();
            let citation = Citation { id, line, place, level };
            if at_once { self.found.push(citation) } else { self.begun().citations.push(citation) }
        }
    }

    /// What began has got a body or an end: now it is known what its citations belong to.
    fn finish(&mut self) -> Place {
        let is_examination = self.kind == Kind::Examination && self.scope().place == Place::Code;
        let begun = std::mem::take(self.begun());
        let is_test = begun.attributes.iter().any(|attribute| is_test(attribute));
        let place = match begun.function {
            Some(function) if is_test || (is_examination && begun.is_public) => Place::Test(Some(function)),
            _ if begun.attributes.iter().any(|attribute| is_for_tests(attribute)) => {
                match &self.scope().place {
                    Place::Code => Place::Test(None),
                    test @ Place::Test(_) => test.clone(),
                }
            }
            _ => self.scope().place.clone(),
        };
        let placed =
            begun.citations.into_iter().map(|citation| Citation { place: place.clone(), ..citation });
        self.found.extend(placed);
        place
    }

    fn close(&mut self) {
        self.finish();
        self.scopes.pop();
    }

    fn scope(&self) -> &Scope {
        self.scopes.last().expect("the outermost scope is closed last")
    }

    fn begun(&mut self) -> &mut Begun {
        &mut self.scopes.last_mut().expect("the outermost scope is closed last").begun
    }
}

/// `test`, `tokio::test(flavor = "current_thread")`.
fn is_test(attribute: &str) -> bool {
    let path = attribute.split('(').next().unwrap_or_default();
    path.rsplit("::").next() == Some("test")
}

/// `cfg(test)`, `cfg(all(test, unix))`.
fn is_for_tests(attribute: &str) -> bool {
    attribute == "cfg(test)" || attribute.starts_with("cfg(all(test,")
}

/// The level after a literal: `, Level::L2`.
fn level(tokens: &[Token<'_>]) -> Option<u8> {
    let texts: Vec<_> = tokens.iter().take(5).map(Token::text).collect();
    let level = texts.concat();
    level.strip_prefix(",Level::L")?.parse().ok()
}

fn is(token: Option<&Token<'_>>, punct: char) -> bool {
    token.is_some_and(|token| matches!(token.what, What::Punct(found) if found == punct))
}

/// Where the bracket at `open` is closed; the end of the source if nowhere.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.what {
            What::Punct('(' | '[' | '{') => depth += 1,
            What::Punct(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

struct Token<'a> {
    what: What<'a>,
    /// Of its first character, from 1.
    line: usize,
}

enum What<'a> {
    Comment(&'a str),
    /// With its quotes.
    Literal(&'a str),
    /// A name, a keyword, a number, a lifetime.
    Word(&'a str),
    Punct(char),
}

impl Token<'_> {
    fn text(&self) -> String {
        match self.what {
            What::Comment(text) | What::Literal(text) | What::Word(text) => text.to_owned(),
            What::Punct(punct) => punct.to_string(),
        }
    }
}

fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (what, length) = what(rest, first);
        if !first.is_whitespace() {
            tokens.push(Token { what, line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The token at the start of `text`, and its length.
fn what(text: &str, first: char) -> (What<'_>, usize) {
    let comment = if text.starts_with("//") {
        Some(text.find('\n').unwrap_or(text.len()))
    } else {
        text.starts_with("/*").then(|| block_comment(text))
    };
    if let Some(length) = comment {
        return (What::Comment(&text[..length]), length);
    }
    if let Some(length) = literal(text) {
        return (What::Literal(&text[..length]), length);
    }
    let length = if first == '\'' { 1 + word(&text[1..]) } else { word(text) };
    if length > 0 { (What::Word(&text[..length]), length) } else { (What::Punct(first), first.len_utf8()) }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the string or character at the start of `text`, with its prefix and quotes.
fn literal(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !"bcr".contains(c)).filter(|length| *length <= 2)?;
    let rest = &text[prefix..];
    if text[..prefix].ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let content = rest[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", &rest[..hashes]);
        let length = content.find(&end).map_or(content.len(), |length| length + end.len());
        return Some(prefix + hashes + 1 + length);
    }
    if rest.starts_with('"') {
        return Some(prefix + quoted(rest, '"'));
    }
    // A character, unless it is a lifetime: `'a'`, `'\n'`, not `'a`.
    let content = rest.strip_prefix('\'')?;
    let is_character = content.starts_with('\\') || content.chars().nth(1) == Some('\'');
    is_character.then(|| prefix + quoted(rest, '\''))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, citation and test: `?` for code of tests that is none, nothing for other code.
    fn found(source: &str, kind: Kind) -> Vec<String> {
        let written = |citation: Citation| {
            let id = citation.id.map_or_else(|error| error, |id| id.to_string());
            let place = match citation.place {
                Place::Code => String::new(),
                Place::Test(None) => " ?".to_owned(),
                Place::Test(Some(name)) => format!(" {name}"),
            };
            format!("{} {id}{place}", citation.line)
        };
        scan(source, kind).into_iter().map(written).collect()
    }

    #[test]
    fn code_is_told_from_tests() {
        let source = r#"
//! R-A-001
/// R-A-002
pub struct Thing { a: u8 /* R-A-003 */, }
impl Thing {
    fn made() -> Self { todo("R-A-004") } // R-A-005
}
#[cfg(test)]
mod tests {
    /// R-A-006
    fn helper() {}
    /// R-A-007
    #[test]
    fn it_is_made() { // R-A-008
        fn inner() { let _ = 'R'; }
        assert!(Thing::made().is(), "R-A-009");
    }
    #[tokio::test(flavor = "current_thread")]
    async fn it_waits() -> Result<(), ()> { /* R-A-010 */ Ok(()) }
    // R-A-011
}
/// R-A-012
fn after() {}
"#;
        let expected = [
            "2 R-A-001",
            "3 R-A-002",
            "4 R-A-003",
            "6 R-A-004",
            "6 R-A-005",
            "10 R-A-006 ?",
            "12 R-A-007 it_is_made",
            "14 R-A-008 it_is_made",
            "16 R-A-009 it_is_made",
            "19 R-A-010 it_waits",
            "20 R-A-011 ?",
            "22 R-A-012",
        ];
        assert_eq!(found(source, Kind::Code), expected);
    }

    #[test]
    fn a_property_is_a_test() {
        let source = "
proptest! {
    #![proptest_config(Config { cases: 7 })]
    /// R-B-030.
    #[test]
    fn never_back(before in any::<u64>().prop_map(|v| { v }), after in [1, 2]) {
        prop_assert!(after > before, \"R-B-020\");
    }
}";
        assert_eq!(found(source, Kind::Tests), ["4 R-B-030 never_back", "7 R-B-020 never_back"]);
    }

    #[test]
    fn a_comment_at_the_end_of_a_line_belongs_to_that_line() {
        let source = "const A: u8 = 1; // R-A-001\n#[test]\nfn later() {}\n";
        assert_eq!(found(source, Kind::Code), ["1 R-A-001"]);
    }

    #[test]
    fn an_examination_is_made_of_public_functions() {
        let source = "
/// R-B-020
pub async fn versions_grow(store: impl Store) { check() }
/// R-B-021
fn check() {}";
        assert_eq!(found(source, Kind::Examination), ["2 R-B-020 versions_grow", "4 R-B-021"]);
        assert_eq!(found(source, Kind::Code), ["2 R-B-020", "4 R-B-021"]);
    }

    #[test]
    fn brackets_in_literals_and_comments_close_nothing() {
        let source = r##"
#[test]
fn odd<'a>() {
    let _ = ('{', b'\'', "}\"", r#"}"}"#, b"}", '\u{7d}'); // }
    /* } /* } */ } */
    let c: &'static str = "R-A-001";
}
fn even() { "R-A-002"; }"##;
        assert_eq!(found(source, Kind::Code), ["6 R-A-001 odd", "8 R-A-002"]);
    }

    #[test]
    fn a_level_is_read_where_it_is_reported() {
        let source = r#"fn f() { Deviation::new("X-A-14", Level::L2, "/wait", "X-A-15"); }"#;
        let levels: Vec<_> = scan(source, Kind::Code).into_iter().map(|citation| citation.level).collect();
        assert_eq!(levels, [Some(2), None]);
    }

    #[test]
    fn nothing_a_source_may_hold_is_too_much() {
        for source in ["", "\"", "'", "r#\"", "/*", "#[", "}}}", "fn", "'\\", "é'é'", "R-A-1"] {
            scan(source, Kind::Code);
        }
        assert_eq!(found("// R-A-1", Kind::Code), ["1 `R-A-1` has not 3 digits"]);
    }
}
