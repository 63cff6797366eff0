//! The numbers by which code, tests and pages speak of the specification.

use std::fmt;

/// What is numbered of each revision. A contradiction that was withdrawn keeps its number.
pub(crate) const REVISIONS: [Revision; 4] = [
    Revision { letter: 'A', name: "pre-draft", rules: 52, contradictions: 36, withdrawn: &[] },
    Revision { letter: 'B', name: "1.0.0-rc.1", rules: 48, contradictions: 41, withdrawn: &[] },
    Revision { letter: 'C', name: "1.0.0-rc.2", rules: 16, contradictions: 23, withdrawn: &[] },
    Revision { letter: 'D', name: "1.0.0-rc.3", rules: 40, contradictions: 47, withdrawn: &[43] },
];

/// A revision of the specification, as its sentences are numbered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revision {
    pub(crate) letter: char,
    pub(crate) name: &'static str,
    rules: u16,
    contradictions: u16,
    withdrawn: &'static [u16],
}

impl Revision {
    pub(crate) fn rules(self) -> impl Iterator<Item = Id> {
        (1..=self.rules).map(move |number| Id { series: Series::Rule(self.letter), number })
    }

    pub(crate) fn contradictions(self) -> impl Iterator<Item = Id> {
        let numbers = (1..=self.contradictions).filter(move |number| !self.withdrawn.contains(number));
        numbers.map(move |number| Id { series: Series::Contradiction(self.letter), number })
    }
}

/// What may stand between the first and the last citation of a range.
const THROUGH: [&str; 5] = ["..=", "..", "…", "–", " to "];

/// One numbered sentence: a rule `R-A-001`, a contradiction `X-A-01`, or an interpretation of our own, `MI-001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) series: Series,
    pub(crate) number: u16,
}

/// What is numbered, with the letter of the revision it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Series {
    Rule(char),
    Contradiction(char),
    Own,
}

impl Id {
    /// The whole of `text`, as one citation.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match citations(text).as_slice() {
            [(0, Ok(id))] if id.to_string() == text => Some(*id),
            _ => None,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:0digits$}", self.series.prefix(), self.number, digits = self.series.digits())
    }
}

impl Series {
    fn prefix(self) -> String {
        match self {
            Self::Rule(revision) => format!("R-{revision}-"),
            Self::Contradiction(revision) => format!("X-{revision}-"),
            Self::Own => "MI-".to_owned(),
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Rule(_) | Self::Own => 3,
            Self::Contradiction(_) => 2,
        }
    }
}

/// Every citation in `text` with its byte offset. Ranges are written out: `R-A-016..020`, `R-C-003 to R-C-012`,
/// `R-B-043/044`. What looks like a citation and is none is an error.
pub(crate) fn citations(text: &str) -> Vec<(usize, Result<Id, String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut before = ' ';
    while let Some(next) = text[at..].chars().next() {
        let starts_a_word = !(before.is_alphanumeric() || before == '-' || before == '_');
        if let Some(first) = Written::at_start(&text[at..]).filter(|_| starts_a_word) {
            let (ids, length) = first.with_range(&text[at..]);
            found.extend(ids.into_iter().map(|id| (at, id)));
            at += length;
            before = '0';
        } else {
            at += next.len_utf8();
            before = next;
        }
    }
    found
}

/// A citation as it is written: right or not.
#[derive(Clone, Copy)]
struct Written<'a> {
    series: Series,
    digits: &'a str,
    length: usize,
}

impl<'a> Written<'a> {
    fn at_start(text: &'a str) -> Option<Self> {
        let (series, rest) = if let Some(rest) = text.strip_prefix("MI-") {
            (Series::Own, rest)
        } else {
            let rest = text.strip_prefix("R-").or_else(|| text.strip_prefix("X-"))?;
            let revision = rest.chars().next().filter(char::is_ascii_uppercase)?;
            let series = if text.starts_with('R') { Series::Rule } else { Series::Contradiction };
            (series(revision), rest[1..].strip_prefix('-')?)
        };
        let digits = leading_digits(rest);
        let length = series.prefix().len() + digits.len();
        (!digits.is_empty()).then_some(Self { series, digits, length })
    }

    /// What stands at the start of `text` from this citation on, and how many bytes it takes.
    fn with_range(self, text: &'a str) -> (Vec<Result<Id, String>>, usize) {
        let rest = &text[self.length..];
        if let Some(other) = rest.strip_prefix('/').and_then(|rest| self.continued(rest)) {
            return (vec![self.id(), other.id()], self.length + 1 + other.length);
        }
        for through in THROUGH {
            let last = rest.strip_prefix(through).and_then(|rest| match through {
                " to " => Self::at_start(rest),
                _ => self.continued(rest),
            });
            if let Some(last) = last {
                let length = self.length + through.len() + last.length;
                let ids = self
                    .through(last)
                    .unwrap_or_else(|| vec![Err(format!("`{}` is no range", &text[..length]))]);
                return (ids, length);
            }
        }
        (vec![self.id()], self.length)
    }

    /// Another citation, or digits alone that stand for one of the same series.
    fn continued(self, text: &'a str) -> Option<Self> {
        let digits = leading_digits(text);
        let shortened = Self { digits, length: digits.len(), ..self };
        Self::at_start(text).or((digits.len() == self.digits.len()).then_some(shortened))
    }

    fn through(self, last: Self) -> Option<Vec<Result<Id, String>>> {
        let (first, last) = (self.id().ok()?, last.id().ok()?);
        let is_range = first.series == last.series && first.number < last.number;
        is_range.then(|| (first.number..=last.number).map(|number| Ok(Id { number, ..first })).collect())
    }

    fn id(self) -> Result<Id, String> {
        let Self { series, digits, .. } = self;
        match digits.parse() {
            Ok(number) if digits.len() == series.digits() => Ok(Id { series, number }),
            _ => Err(format!("`{}{digits}` has not {} digits", series.prefix(), series.digits())),
        }
    }
}

fn leading_digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let written =
            |(_, id): (usize, Result<Id, String>)| id.map_or_else(|error| error, |id| id.to_string());
        citations(text).into_iter().map(written).collect()
    }

    #[test]
    fn a_citation_is_found_wherever_it_stands() {
        assert_eq!(
            found("(R-B-026, R-B-027): X-A-14; see MI-003."),
            ["R-B-026", "R-B-027", "X-A-14", "MI-003"]
        );
        assert_eq!(found("X-Payload-Signature, PR-A-001, R-a-001, R-B-, R-B-x"), [""; 0]);
        assert_eq!(citations("größer: X-D-07").first().map(|(at, _)| *at), Some(10));
    }

    #[test]
    fn a_range_is_written_out() {
        assert_eq!(found("R-A-016..019"), ["R-A-016", "R-A-017", "R-A-018", "R-A-019"]);
        assert_eq!(
            found("R-A-041…R-A-042, R-C-003 to R-C-004"),
            ["R-A-041", "R-A-042", "R-C-003", "R-C-004"]
        );
        assert_eq!(found("X-A-16/17"), ["X-A-16", "X-A-17"]);
        assert_eq!(found("R-B-020. R-B-021: 9 to 10"), ["R-B-020", "R-B-021"]);
    }

    #[test]
    fn a_misprint_is_told() {
        assert_eq!(found("R-A-16"), ["`R-A-16` has not 3 digits"]);
        assert_eq!(found("R-A-020..016"), ["`R-A-020..016` is no range"]);
        assert_eq!(found("R-A-020..R-B-021"), ["`R-A-020..R-B-021` is no range"]);
    }

    #[test]
    fn the_whole_text_is_one_citation_or_none() {
        assert_eq!(Id::parse("X-D-07"), Some(Id { series: Series::Contradiction('D'), number: 7 }));
        for text in ["X-D-07 ", "X-D-7", "X-D-07/08", "R-A-001..002", ""] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
