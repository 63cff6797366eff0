//! Places in a text, as the protocol counts them.

use std::ops::Range;

use gen_lsp_types as lsp;
use margo_validate::Source;

/// What the protocol counts within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16,
}

impl Encoding {
    /// UTF-8 with whoever can; UTF-16 is what everybody must be able to.
    pub(crate) fn among(offered: &[lsp::PositionEncodingKind]) -> Self {
        if offered.contains(&lsp::PositionEncodingKind::UTF8) { Self::Utf8 } else { Self::Utf16 }
    }

    pub(crate) fn kind(self) -> lsp::PositionEncodingKind {
        match self {
            Self::Utf8 => lsp::PositionEncodingKind::UTF8,
            Self::Utf16 => lsp::PositionEncodingKind::UTF16,
        }
    }

    fn width(self, character: char) -> usize {
        match self {
            Self::Utf8 => character.len_utf8(),
            Self::Utf16 => character.len_utf16(),
        }
    }

    /// Where the byte at `offset` is.
    pub(crate) fn position(self, source: &Source, offset: usize) -> lsp::Position {
        let text = source.text();
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = source.location(offset).line;
        let start = source.line_span(line).start.min(offset);
        let character = text[start..offset].chars().map(|character| self.width(character)).sum();
        lsp::Position { line: number(line.saturating_sub(1)), character: number(character) }
    }

    pub(crate) fn range(self, source: &Source, span: &Range<usize>) -> lsp::Range {
        lsp::Range { start: self.position(source, span.start), end: self.position(source, span.end) }
    }

    /// The byte at a position; the end of the line, or of the text, for one beyond it.
    pub(crate) fn offset(self, source: &Source, position: lsp::Position) -> usize {
        let line = usize::try_from(position.line).unwrap_or(usize::MAX).saturating_add(1);
        if line > source.line_count() {
            return source.text().len();
        }
        let span = source.line_span(line);
        let wanted = usize::try_from(position.character).unwrap_or(usize::MAX);
        let mut counted = 0;
        for (at, character) in source.text()[span.clone()].char_indices() {
            if counted >= wanted {
                return span.start + at;
            }
            counted += self.width(character);
        }
        span.end
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> lsp::Position {
        lsp::Position { line, character }
    }

    #[test]
    fn columns_are_counted_as_agreed() {
        let source = Source::new("a.yaml", "größe: 1\n💡: \"x\"\n");
        for (encoding, offset, position) in [
            (Encoding::Utf16, 0, at(0, 0)),
            (Encoding::Utf16, 7, at(0, 5)),
            (Encoding::Utf8, 7, at(0, 7)),
            (Encoding::Utf16, 15, at(1, 2)),
            (Encoding::Utf8, 15, at(1, 4)),
        ] {
            assert_eq!(encoding.position(&source, offset), position, "{encoding:?} {offset}");
            assert_eq!(encoding.offset(&source, position), offset, "{encoding:?} {position:?}");
        }
    }

    #[test]
    fn what_lies_beyond_is_the_end() {
        let source = Source::new("a.yaml", "a: 1\nb: 2\n");
        assert_eq!(Encoding::Utf16.offset(&source, at(0, 99)), 4);
        assert_eq!(Encoding::Utf16.offset(&source, at(9, 0)), 10);
        assert_eq!(Encoding::Utf16.position(&source, 99), at(2, 0));
    }
}
