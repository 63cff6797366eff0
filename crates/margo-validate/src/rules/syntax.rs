//! Text that is no YAML or no JSON: what its author did, rather than what the parser missed.

use std::ops::Range;

use margo_syntax::Format;
use serde_json::Value;

use super::words::clip;
use crate::Source;

/// What is wrong, where, and what to write.
pub(crate) struct Slip {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
    pub(crate) help: String,
}

/// What makes a parser stop at `offset` with `message`; `None` where that says it as well as we could.
pub(crate) fn slip(source: &Source, offset: usize, message: &str) -> Option<Slip> {
    let number = source.location(offset).line;
    let lines = Lines { source, number, offset: offset.min(source.text().len()) };
    lines.conflict().or_else(|| lines.template()).or_else(|| match source.format() {
        Format::Json => lines.json(message),
        _ => lines.strange_blank().or_else(|| lines.missing_blank()).or_else(|| lines.yaml(message)),
    })
}

fn slip_of(message: impl Into<String>, span: Range<usize>, help: impl Into<String>) -> Slip {
    Slip { message: message.into(), span, help: help.into() }
}

struct Lines<'a> {
    source: &'a Source,
    /// The line at which the parser stopped, from 1.
    number: usize,
    offset: usize,
}

impl<'a> Lines<'a> {
    fn here(&self) -> &'a str {
        self.source.line(self.number)
    }

    /// The last line above that says something.
    fn above(&self) -> Option<usize> {
        let lines = (1..self.number).rev().take(MOST_BLANK);
        lines.into_iter().find(|number| {
            let line = self.source.line(*number).trim();
            !line.is_empty() && !line.starts_with('#')
        })
    }

    /// The part of a line that `part` is, which must be a part of it.
    fn span(&self, number: usize, part: Range<usize>) -> Range<usize> {
        let start = self.source.line_span(number).start;
        start + part.start..start + part.end
    }

    /// All of a line but its indentation.
    fn whole(&self, number: usize) -> Range<usize> {
        let line = self.source.line(number);
        let indentation = line.len() - line.trim_start().len();
        self.span(number, indentation..line.trim_end().len().max(indentation))
    }

    fn conflict(&self) -> Option<Slip> {
        let marks = ["<<<<<<<", "=======", ">>>>>>>"];
        let lines = [Some(self.number), self.above()].into_iter().flatten();
        let mut lines =
            lines.filter(|number| marks.iter().any(|mark| self.source.line(*number).starts_with(mark)));
        let number = lines.next()?;
        Some(slip_of(
            "a conflict that Git could not merge is left here",
            self.whole(number),
            "keep one of the two sides, and remove the lines that begin with `<<<<<<<`, `=======` and `>>>>>>>`",
        ))
    }

    fn template(&self) -> Option<Slip> {
        let line = self.here();
        let at = line.find("{{").or_else(|| line.find("{%"))?;
        let end = line.rfind("}}").or_else(|| line.rfind("%}")).map_or(line.len(), |end| end + 2);
        Some(slip_of(
            "this is a template, and no document yet",
            self.span(self.number, at..end.max(at)),
            "check what is made of it, as `helm template` prints it; put it into quotes if it is meant as text; or \
             list the file under `ignore` in `margo.toml`",
        ))
    }

    /// A blank that looks like one and is none.
    fn strange_blank(&self) -> Option<Slip> {
        [Some(self.number), self.above()].into_iter().flatten().find_map(|number| {
            let line = self.source.line(number);
            let (at, blank) =
                line.char_indices().find(|(_, it)| it.is_whitespace() && !matches!(it, ' ' | '\t' | '\r'))?;
            let message =
                format!("the blank here is U+{:04X}, which YAML takes for a letter", u32::from(blank));
            Some(slip_of(message, self.span(number, at..at + blank.len_utf8()), "write an ordinary blank"))
        })
    }

    /// `- ` and `: ` without their blank.
    fn missing_blank(&self) -> Option<Slip> {
        [Some(self.number), self.above()].into_iter().flatten().find_map(|number| {
            let line = self.source.line(number);
            let text = line.trim();
            let indentation = line.len() - line.trim_start().len();
            if let Some(rest) = text.strip_prefix('-')
                && rest.starts_with(|it: char| it.is_ascii_alphabetic())
                && rest.contains(':')
            {
                let span = self.span(number, indentation..indentation + 1);
                return Some(slip_of(
                    "behind this `-` a blank is missing",
                    span,
                    format!("write `- {}`", clip(rest)),
                ));
            }
            let bare = text.trim_start_matches("- ");
            let (name, value) = bare.split_once(':')?;
            let is_name =
                !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
            let is_stuck =
                value.starts_with(|it: char| it.is_ascii_alphanumeric() || matches!(it, '"' | '\''));
            if !is_name || !is_stuck || bare.contains(": ") {
                return None;
            }
            let at = line.find(':')?;
            let span = self.span(number, at..at + 1);
            Some(slip_of(
                "behind this `:` a blank is missing",
                span,
                format!("write `{}: {}`", clip(name), clip(value)),
            ))
        })
    }

    fn yaml(&self, message: &str) -> Option<Slip> {
        let whole = || self.whole(self.number);
        let here = || {
            self.offset
                ..self.offset + self.source.text()[self.offset..].chars().next().map_or(0, char::len_utf8)
        };
        let at = |word: &str| message.contains(word);
        if at("mapping values are not allowed") {
            return self.stray_value();
        }
        if at("did not find expected '-'") {
            let help = "begin it with `- `, or indent it like the fields of the item it belongs to";
            return Some(slip_of("this line stands in a list, and belongs to no item of it", whole(), help));
        }
        if at("did not find expected key") || at("invalid indentation") {
            let help = "indent it with as many blanks as the lines it belongs to";
            return Some(slip_of("this line is not indented like those around it", whole(), help));
        }
        if at("simple key expected ':'") {
            let help = "write `name: value`, or `- ` before an item of a list";
            return Some(slip_of("there is no `: ` in this line, and no `- ` before it", whole(), help));
        }
        if at("unclosed quote") {
            let help = "close it at the end of the text with the same mark";
            return Some(slip_of("the quotation mark that opens here is never closed", here(), help));
        }
        if at("unclosed bracket") || at("EOF while parsing a flow") {
            let help = "close every `{` with `}`, and every `[` with `]`";
            return Some(slip_of("a bracket that opens here, or before, is never closed", here(), help));
        }
        if at("parsing a flow") || at("illegal placement of ':'") {
            if let Some(open) = self.opened() {
                let (mark, close) =
                    if self.source.text()[open..].starts_with('[') { ('[', ']') } else { ('{', '}') };
                let help = format!("close it with `{close}`, or put `,` between what is in it");
                return Some(slip_of(
                    format!("this `{mark}` is not closed where it ends"),
                    open..open + 1,
                    help,
                ));
            }
            let help = "close every `{` with `}` and every `[` with `]`, and put `,` between what is in them";
            return Some(slip_of("a bracket is not closed, or a `,` is missing", here(), help));
        }
        if at("unexpected character") {
            let first = self.source.text()[self.offset..].chars().next()?;
            let line = &self.here()[self.offset - self.source.line_span(self.number).start..];
            let help = format!("put it into quotes: `{}`", Value::from(clip(line.trim())));
            return Some(slip_of(format!("plain text does not begin with `{first}`"), here(), help));
        }
        if at("escape") && at("quoted scalar") {
            let help = "write `\\\\` for a backslash, or put the text into single quotes, in which nothing is escaped";
            return Some(slip_of(
                "in double quotes a backslash begins an escape, and one here is none",
                here(),
                help,
            ));
        }
        if at("trailing content after") {
            let help = "put all of it into quotes, or none of it";
            return Some(slip_of("something stands behind the closing quotation mark", here(), help));
        }
        if at("block sequence entries are not allowed") {
            let help = "begin the list on a line of its own, below its key";
            return Some(slip_of("a list cannot begin here", here(), help));
        }
        if let Some(name) = message.strip_prefix("no anchor is named ") {
            let bare = name.trim_matches('`');
            let help = format!(
                "write `&{bare}` before the value that is meant, above this, or put `*{bare}` into quotes if it is text"
            );
            return Some(slip_of(message, here(), help));
        }
        None
    }

    /// Where the last bracket opens that is not closed before the parser stopped.
    fn opened(&self) -> Option<usize> {
        let before = &self.source.text()[..self.offset];
        let mut closed = 0_usize;
        for (at, byte) in before.bytes().enumerate().rev().take(FAR) {
            match byte {
                b']' | b'}' => closed += 1,
                b'[' | b'{' if closed == 0 => return Some(at),
                b'[' | b'{' => closed -= 1,
                _ => {}
            }
        }
        None
    }

    /// A `: ` where no value can follow.
    fn stray_value(&self) -> Option<Slip> {
        let line = self.here();
        let start = self.source.line_span(self.number).start;
        let before = line.get(..self.offset.checked_sub(start)?)?;
        if let Some((name, _)) = before.split_once(": ") {
            let value = line[name.len() + 2..].trim();
            let name = name.trim().trim_start_matches("- ");
            let help = format!("put the text into quotes: `{}: {}`", clip(name), Value::from(clip(value)));
            return Some(slip_of("a second `: ` stands in this line", self.offset..self.offset + 1, help));
        }
        let above = self.source.line(self.above()?).trim();
        let message = format!(
            "this line is indented further than `{}` above it, which has its value already",
            clip(above)
        );
        let help =
            "indent it like the lines it belongs to; if it goes on with the text above, put that into quotes";
        Some(slip_of(message, self.whole(self.number), help))
    }

    fn json(&self, message: &str) -> Option<Slip> {
        let text = self.source.text();
        let rest = &text[self.offset..];
        let before = text[..self.offset].trim_end();
        let width = rest.chars().next().map_or(0, char::len_utf8);
        let here = self.offset..self.offset + width;
        if ["//", "/*", "#"].iter().any(|mark| rest.starts_with(mark)) {
            let help = "remove it, or save the document as YAML, which has comments behind `#`";
            return Some(slip_of("JSON has no comments", here, help));
        }
        if rest.starts_with('\'') {
            return Some(slip_of(
                "JSON has no single quotes",
                here,
                "write `\"` for every `'` around a text",
            ));
        }
        if rest.starts_with(['}', ']']) && before.ends_with(',') {
            let comma = before.len() - 1..before.len();
            return Some(slip_of("nothing follows this `,`", comma, "remove it"));
        }
        if rest.is_empty() {
            let help = "close every `{` with `}`, and every `[` with `]`";
            let last = before.char_indices().next_back().map_or(0, |(at, _)| at);
            let message = "the text ends, and something in it is not closed";
            return Some(slip_of(message, last..before.len(), help));
        }
        if message.starts_with("expected `,`") && rest.starts_with(['"', '{', '[']) {
            let end = before.char_indices().next_back().map_or(0, |(at, _)| at)..before.len();
            return Some(slip_of("a `,` is missing behind this", end, "write `,` before what follows"));
        }
        if message.starts_with("expected a key in double quotes") {
            let name: String = rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
            if !name.is_empty() {
                let span = self.offset..self.offset + name.len();
                return Some(slip_of(
                    format!("`{}` has no quotes around it", clip(&name)),
                    span,
                    format!("write `\"{}\"`", clip(&name)),
                ));
            }
        }
        None
    }
}

/// Bytes that are looked over for the bracket that opens.
const FAR: usize = 10_000;

/// Blank lines that are looked over for the line above.
const MOST_BLANK: usize = 100;
