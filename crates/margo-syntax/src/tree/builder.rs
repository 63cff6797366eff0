use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::{Content, KeyRecord, NONE, Record, Scalar, Style, Text, Tree, index};
use crate::Format;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::{Limits, MAPPING};
use crate::source::Source;

/// Mappings up to this many entries are searched from front to back.
const SMALL: usize = 8;

/// What has been spent of the limits, over all documents of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    nodes: usize,
    text: usize,
}

/// Fills a tree from front to back and watches the limits. Both readers write to it.
pub(crate) struct Builder<'a> {
    tree: Tree,
    limits: &'a Limits,
    spent: Spent,
    /// What documents before this one spent.
    before: Spent,
    frames: Vec<Frame>,
    /// The children of the collections that are still open.
    open: Vec<u32>,
    anchors: BTreeMap<usize, Anchor>,
    /// Entries that repeat a key, where they are left out instead of refused.
    repeated: Option<Vec<SyntaxError>>,
}

/// A collection that is still open.
struct Frame {
    id: u32,
    is_mapping: bool,
    /// Where its children begin in `open`.
    first: usize,
    /// The key that waits for its value.
    key: Option<u32>,
    /// The end of what it contains so far.
    end: u32,
    anchor: usize,
    before: Spent,
    /// How deep its contents nest.
    height: usize,
}

/// What an alias stands for, and what repeating it costs.
struct Anchor {
    id: u32,
    nodes: usize,
    text: usize,
    height: usize,
}

/// What the next value will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The document itself.
    Root,
    /// An item of a sequence.
    Item,
    /// A key of a mapping.
    Key,
    /// The value of the last key.
    Value,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(source: Arc<Source>, format: Format, limits: &'a Limits) -> Self {
        let tree = Tree {
            source,
            format,
            records: Vec::new(),
            keys: Vec::new(),
            children: Vec::new(),
            by_key: Vec::new(),
            decoded: String::new(),
            cost: 0,
        };
        Self {
            tree,
            limits,
            spent: Spent::default(),
            before: Spent::default(),
            frames: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            repeated: None,
        }
    }

    /// Leaves entries that repeat a key out of the tree and remembers them, instead of refusing the document.
    pub(crate) fn tolerating(mut self) -> Self {
        self.repeated = Some(Vec::new());
        self
    }

    /// What was left out.
    pub(crate) fn repeated(&mut self) -> Vec<SyntaxError> {
        self.repeated.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// For the next document of the stream, with what this one left of the limits.
    pub(crate) fn next(&self) -> Self {
        let mut next = Self::new(Arc::clone(&self.tree.source), self.tree.format, self.limits);
        (next.spent, next.before) = (self.spent, self.spent);
        next.repeated = self.repeated.as_ref().map(|_| Vec::new());
        next
    }

    pub(crate) fn position(&self) -> Position {
        match self.frames.last() {
            None => Position::Root,
            Some(frame) if !frame.is_mapping => Position::Item,
            Some(frame) if frame.key.is_none() => Position::Key,
            Some(_) => Position::Value,
        }
    }

    pub(crate) fn finish(mut self) -> Tree {
        self.tree.cost = self.spent.nodes - self.before.nodes;
        self.tree
    }

    pub(crate) fn begin_sequence(
        &mut self,
        start: usize,
        style: Style,
        anchor: usize,
    ) -> Result<(), SyntaxError> {
        self.begin(start, style, anchor, Content::Sequence { first: 0, len: 0 })
    }

    pub(crate) fn begin_mapping(
        &mut self,
        start: usize,
        style: Style,
        anchor: usize,
    ) -> Result<(), SyntaxError> {
        self.begin(start, style, anchor, Content::Mapping { first: 0, len: 0, by_key: NONE })
    }

    fn begin(
        &mut self,
        start: usize,
        style: Style,
        anchor: usize,
        content: Content,
    ) -> Result<(), SyntaxError> {
        if self.frames.len() >= self.limits.max_depth {
            return Err(self.error(start, SyntaxErrorKind::TooDeep { limit: self.limits.max_depth }));
        }
        if self.position() == Position::Key {
            return Err(self.error(start, SyntaxErrorKind::NotAMapKey));
        }
        let before = self.spent;
        let is_mapping = matches!(content, Content::Mapping { .. });
        let id = self.record(start..start, style, content)?;
        let first = self.open.len();
        self.frames.push(Frame {
            id,
            is_mapping,
            first,
            key: None,
            end: index(start),
            anchor,
            before,
            height: 0,
        });
        Ok(())
    }

    /// Closes the innermost collection. `end` is where its bracket stands; a block ends with its last entry.
    pub(crate) fn end(&mut self, end: Option<usize>) -> Result<(), SyntaxError> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let first = self.tree.children.len();
        self.tree.children.extend(self.open.drain(frame.first..));
        if frame.is_mapping && self.repeated.is_some() && self.repeats_a_key(first) {
            self.leave_out_repeated(first);
        }
        let children = &self.tree.children[first..];
        let len = index(children.len());
        let content = if frame.is_mapping {
            let by_key = if children.len() <= SMALL {
                self.reject_duplicates_among_few(first)?;
                NONE
            } else {
                self.order_by_key(first)?
            };
            Content::Mapping { first: index(first), len, by_key }
        } else {
            Content::Sequence { first: index(first), len }
        };
        let end = end.map_or(frame.end, index);
        let record = &mut self.tree.records[frame.id as usize];
        record.content = content;
        record.end = end;
        let height = frame.height + 1;
        self.grown(end, height);
        self.anchor(
            frame.anchor,
            Anchor {
                id: frame.id,
                nodes: self.spent.nodes - frame.before.nodes,
                text: self.spent.text - frame.before.text,
                height,
            },
        );
        Ok(())
    }

    /// A scalar that is not a key. `text` is what it says once quotes and escapes are resolved.
    pub(crate) fn scalar(
        &mut self,
        span: Range<usize>,
        text: &str,
        value: Scalar,
        style: Style,
        anchor: usize,
    ) -> Result<(), SyntaxError> {
        let end = index(span.end);
        let content = Content::Scalar { text: self.text(&span, text), value };
        let id = self.record(span, style, content)?;
        self.spent.text += text.len();
        self.grown(end, 0);
        self.anchor(anchor, Anchor { id, nodes: 1, text: text.len(), height: 0 });
        Ok(())
    }

    /// A key of the innermost mapping.
    pub(crate) fn key(&mut self, span: Range<usize>, text: &str, style: Style) {
        let text = self.text(&span, text);
        self.key_record(&span, text, style);
    }

    fn key_record(&mut self, span: &Range<usize>, text: Text, style: Style) {
        let id = index(self.tree.keys.len());
        let (start, end) = (index(span.start), index(span.end));
        self.tree.keys.push(KeyRecord { start, end, text, style });
        self.spent.text = self.spent.text.saturating_add(text.len());
        // A value follows, and with it a look at the limit.
        self.spent.nodes += 1;
        if let Some(frame) = self.frames.last_mut() {
            frame.key = Some(id);
            frame.end = frame.end.max(end);
        }
    }

    /// Lets aliases refer to the key that was just written.
    pub(crate) fn anchor_key(&mut self, span: Range<usize>, value: Scalar, style: Style, anchor: usize) {
        let Some(Frame { id: parent, key: Some(key), .. }) = self.frames.last() else { return };
        let text = self.tree.keys[*key as usize].text;
        let id = index(self.tree.records.len());
        self.tree.records.push(Record {
            start: index(span.start),
            end: index(span.end),
            parent: *parent,
            key: NONE,
            style,
            content: Content::Scalar { text, value },
        });
        self.anchor(anchor, Anchor { id, nodes: 1, text: text.len(), height: 0 });
    }

    /// Another use of what `anchor` names.
    pub(crate) fn alias(&mut self, span: Range<usize>, anchor: usize) -> Result<(), SyntaxError> {
        // The reader knows the name, so the anchor exists; if it is not here yet, it is still open.
        let Some(anchor) = self.anchors.get(&anchor) else {
            return Err(self.error(span.start, SyntaxErrorKind::RecursiveAlias));
        };
        let Anchor { id, nodes, text, height } = *anchor;
        if self.position() == Position::Key {
            let Content::Scalar { text, .. } = self.tree.records[id as usize].content else {
                return Err(self.error(span.start, SyntaxErrorKind::NotAMapKey));
            };
            self.key_record(&span, text, Style::Alias);
            return self.within_text(span.start);
        }
        if self.frames.len() + height > self.limits.max_depth {
            return Err(self.error(span.start, SyntaxErrorKind::TooDeep { limit: self.limits.max_depth }));
        }
        let limit = self.limits.max_nodes;
        if nodes > limit.saturating_sub(self.spent.nodes) {
            return Err(self.error(span.start, SyntaxErrorKind::AliasBomb { limit, unit: "values" }));
        }
        let (start, end) = (span.start, index(span.end));
        self.record(span, Style::Alias, Content::Alias(id))?;
        self.spent.nodes += nodes - 1;
        self.spent.text = self.spent.text.saturating_add(text);
        self.grown(end, height);
        self.within_text(start)
    }

    fn within_text(&self, start: usize) -> Result<(), SyntaxError> {
        let limit = self.limits.max_bytes;
        if self.spent.text > limit {
            return Err(self.error(start, SyntaxErrorKind::AliasBomb { limit, unit: "bytes" }));
        }
        Ok(())
    }

    fn record(&mut self, span: Range<usize>, style: Style, content: Content) -> Result<u32, SyntaxError> {
        let cost = if matches!(content, Content::Mapping { .. }) { MAPPING } else { 1 };
        if self.limits.max_nodes.saturating_sub(self.spent.nodes) < cost {
            let limit = self.limits.max_nodes;
            return Err(self.error(span.start, SyntaxErrorKind::TooManyNodes { limit }));
        }
        self.spent.nodes += cost;
        let id = index(self.tree.records.len());
        let (parent, key) = match self.frames.last_mut() {
            Some(frame) => {
                self.open.push(id);
                (frame.id, frame.key.take().unwrap_or(NONE))
            }
            None => (NONE, NONE),
        };
        let (start, end) = (index(span.start), index(span.end));
        self.tree.records.push(Record { start, end, parent, key, style, content });
        Ok(id)
    }

    /// Tells the innermost collection about something it contains.
    fn grown(&mut self, end: u32, height: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.end = frame.end.max(end);
            frame.height = frame.height.max(height);
        }
    }

    fn anchor(&mut self, id: usize, anchor: Anchor) {
        if id != 0 {
            self.anchors.insert(id, anchor);
        }
    }

    /// Refers to the source where that says the same, and keeps a copy otherwise.
    fn text(&mut self, span: &Range<usize>, text: &str) -> Text {
        let source = self.tree.source.text();
        for margin in [0, 1] {
            let start = span.start + margin;
            let end = start + text.len();
            if end + margin == span.end && source.get(start..end) == Some(text) {
                return Text { start: index(start), end: index(end), is_decoded: false };
            }
        }
        let start = index(self.tree.decoded.len());
        self.tree.decoded.push_str(text);
        Text { start, end: index(self.tree.decoded.len()), is_decoded: true }
    }

    fn reject_duplicates_among_few(&self, first: usize) -> Result<(), SyntaxError> {
        let children = &self.tree.children[first..];
        for (at, &id) in children.iter().enumerate() {
            let key = self.tree.key_text(id);
            if let Some(&other) = children[..at].iter().find(|&&other| self.tree.key_text(other) == key) {
                return Err(self.duplicate(other, id));
            }
        }
        Ok(())
    }

    fn order_by_key(&mut self, first: usize) -> Result<u32, SyntaxError> {
        let tree = &self.tree;
        let mut ordered = tree.children[first..].to_vec();
        ordered.sort_unstable_by(|&a, &b| tree.key_text(a).cmp(tree.key_text(b)).then(a.cmp(&b)));
        let repeated = ordered.windows(2).filter(|pair| tree.key_text(pair[0]) == tree.key_text(pair[1]));
        if let Some(pair) = repeated.min_by_key(|pair| pair[1]) {
            return Err(self.duplicate(pair[0], pair[1]));
        }
        let by_key = index(self.tree.by_key.len());
        self.tree.by_key.append(&mut ordered);
        Ok(by_key)
    }

    fn repeats_a_key(&self, first: usize) -> bool {
        let children = &self.tree.children[first..];
        let key = |id: &u32| self.tree.key_text(*id);
        if children.len() <= SMALL {
            return self.reject_duplicates_among_few(first).is_err();
        }
        let mut seen = BTreeSet::new();
        !children.iter().map(key).all(|key| seen.insert(key))
    }

    fn leave_out_repeated(&mut self, first: usize) {
        let mut seen = BTreeMap::new();
        let mut kept = Vec::new();
        let mut repeated = Vec::new();
        for &id in &self.tree.children[first..] {
            match seen.entry(self.tree.key_text(id)) {
                Entry::Vacant(entry) => {
                    entry.insert(id);
                    kept.push(id);
                }
                Entry::Occupied(entry) => repeated.push(self.duplicate(*entry.get(), id)),
            }
        }
        if !repeated.is_empty() {
            self.tree.children.truncate(first);
            self.tree.children.append(&mut kept);
            self.repeated.get_or_insert_default().append(&mut repeated);
        }
    }

    fn duplicate(&self, first: u32, second: u32) -> SyntaxError {
        let start = |id: u32| {
            let key = self.tree.records[id as usize].key;
            self.tree.keys[key as usize].start as usize
        };
        let kind = SyntaxErrorKind::DuplicateKey {
            key: self.tree.key_text(second).into(),
            first: self.tree.source.location(start(first)),
        };
        self.error(start(second), kind)
    }

    fn error(&self, offset: usize, kind: SyntaxErrorKind) -> SyntaxError {
        self.tree.source.error(offset, kind)
    }
}
