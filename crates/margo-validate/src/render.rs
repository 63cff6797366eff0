//! Reports as text: one module for each format, each a pure function.
//!
//! An [`Outcome`] is what a whole run found, with every place resolved to line and column, so that the texts that were
//! checked need not be kept. [`full()`] shows the text around each place and therefore works on a
//! [`Report`](crate::Report).
//!
//! ```
//! use margo_validate::{Checker, Source, render};
//!
//! let sources = [Source::new("plc-7.yaml", "properties: { id: plc 7 }\n")];
//! let report = Checker::default().check(&sources);
//! let outcome = render::Outcome::of(&report, &sources);
//! let text = render::concise(&outcome);
//! assert!(text.starts_with("plc-7.yaml:1:"), "{text}");
//! assert!(render::full(&report, &sources, false).contains("--> plc-7.yaml:1:"));
//! ```

mod concise;
mod full;
mod github;
mod gitlab;
mod json;
mod junit;
mod outcome;
mod sarif;

pub use concise::concise;
pub use full::{full, headline};
pub use github::github;
pub use gitlab::gitlab;
pub use json::{json, json_end, json_line, json_lines};
pub use junit::junit;
pub use outcome::{
    Citation, DocumentOutcome, FileOutcome, Outcome, Place, Problem, Record, RelatedPlace, Replacement,
    SuggestedFix, Summary,
};
pub use sarif::sarif;

/// Text that is not ours, on one line, and unable to move a terminal's cursor or to turn the order of what is read.
fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// The path as a URI reference: what RFC 3986 does not allow in a path is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b'@'
            | b'+'
            | b'=' => {
                uri.push(char::from(byte));
            }
            _ => {
                uri.push('%');
                uri.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
                );
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests;
