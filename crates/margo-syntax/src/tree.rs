use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Number, Value};

use crate::Format;
use crate::pointer::Pointer;
use crate::source::{Location, Source};

pub(crate) mod builder;

/// A document as it was written: every value with its place, its style and its own text.
///
/// A tree holds no duplicate key, nothing deeper or larger than the limits it was read with, and no value that
/// JSON cannot express. Aliases stay references; following them never exceeds the limits.
///
/// ```
/// use margo_syntax::{Format, Limits, parse, pointer};
///
/// let tree = parse(b"version: 1.0\nports: [80, 443]\n", Format::Yaml, &Limits::default())?;
/// assert_eq!(tree.to_value(), serde_json::json!({"version": 1.0, "ports": [80, 443]}));
/// assert_eq!(tree.literal(&pointer!["version"]), Some("1.0"));
/// assert_eq!(tree.locate(&pointer!["ports", 1]).unwrap().to_string(), "line 2, column 13");
/// assert_eq!(tree.span(&pointer!["ports", 1]), Some(25..28));
/// # Ok::<(), margo_syntax::SyntaxError>(())
/// ```
#[derive(Clone)]
pub struct Tree {
    source: Arc<Source>,
    format: Format,
    /// In the order in which values begin. The first is the root.
    records: Vec<Record>,
    keys: Vec<KeyRecord>,
    /// The children of each collection, side by side.
    children: Vec<u32>,
    /// The children of each large mapping, ordered by key.
    by_key: Vec<u32>,
    /// Texts that differ from their notation in the source.
    decoded: String,
    cost: usize,
}

impl Tree {
    /// The value of the document as a whole.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, id: 0 }
    }

    /// The value at `pointer`, if there is one. Aliases on the way are followed.
    #[must_use]
    pub fn get(&self, pointer: &Pointer) -> Option<Node<'_>> {
        let mut node = self.root();
        for segment in pointer.segments() {
            node = node.child(&segment)?;
        }
        Some(node)
    }

    /// Every value in the order in which they begin, each once: aliases are listed and not followed.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        let nodes = (0..index(self.records.len())).map(|id| Node { tree: self, id });
        nodes.filter(|node| !node.is_anchored_key())
    }

    /// Where the value at `pointer` begins.
    #[must_use]
    pub fn locate(&self, pointer: &Pointer) -> Option<Location> {
        self.get(pointer).map(|node| node.location())
    }

    /// Where the key of the entry at `pointer` begins. `None` for items of a sequence, and for the root.
    #[must_use]
    pub fn locate_key(&self, pointer: &Pointer) -> Option<Location> {
        Some(self.get(pointer)?.key()?.location())
    }

    /// Where the value at `pointer` begins or, where there is none, the innermost value that should contain it.
    #[must_use]
    pub fn locate_nearest(&self, pointer: &Pointer) -> Location {
        self.nearest(pointer).location()
    }

    /// The value at `pointer` or, where there is none, the innermost value that should contain it.
    #[must_use]
    pub fn nearest(&self, pointer: &Pointer) -> Node<'_> {
        let mut node = self.root();
        for segment in pointer.segments() {
            let Some(child) = node.child(&segment) else { break };
            node = child;
        }
        node
    }

    /// The bytes that the value at `pointer` takes in the text.
    #[must_use]
    pub fn span(&self, pointer: &Pointer) -> Option<Range<usize>> {
        self.get(pointer).map(|node| node.span())
    }

    /// The bytes that the key of the entry at `pointer` takes in the text.
    #[must_use]
    pub fn key_span(&self, pointer: &Pointer) -> Option<Range<usize>> {
        Some(self.get(pointer)?.key()?.span())
    }

    /// The text of the scalar at `pointer`: what stands between the quotes with escapes resolved, and numbers as
    /// they were written, such as `1.0`. `None` for sequences and mappings.
    #[must_use]
    pub fn literal(&self, pointer: &Pointer) -> Option<&str> {
        self.get(pointer)?.literal()
    }

    /// The place of the byte at `offset`; the end of the text for any offset beyond it.
    #[must_use]
    pub fn location_of(&self, offset: usize) -> Location {
        self.source.location(offset)
    }

    /// The untyped value, with aliases followed.
    ///
    /// Integers from -2^63 to 2^64 - 1 are exact; other numbers become the nearest 64-bit float.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.root().to_value()
    }

    /// What the document counts for in [`Limits::max_nodes`](crate::Limits::max_nodes), for who holds several.
    ///
    /// ```
    /// use margo_syntax::{Limits, parse_all};
    ///
    /// let trees = parse_all(b"[1, 2]\n---\na: &a {}\nb: *a\n", &Limits::default())?;
    /// assert_eq!([trees[0].cost(), trees[1].cost()], [3, 4 + 2 + 2 * 4]);
    /// # Ok::<(), margo_syntax::SyntaxError>(())
    /// ```
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// The notation the document was read from.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The whole text. A document from a stream shares it with its neighbors.
    #[must_use]
    pub fn source(&self) -> &str {
        self.source.text()
    }

    fn text(&self, text: Text) -> &str {
        let range = text.start as usize..text.end as usize;
        if text.is_decoded { &self.decoded[range] } else { &self.source.text()[range] }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("format", &self.format)
            .field("root", &self.root())
            .finish_non_exhaustive()
    }
}

/// A value in a [`Tree`].
///
/// Kind, text and children of an alias are those of the value it stands for; its place is its own.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree,
    id: u32,
}

impl<'a> Node<'a> {
    /// What the value is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        match self.content() {
            Content::Scalar { value: Scalar::Null, .. } => NodeKind::Null,
            Content::Scalar { value: Scalar::Bool(_), .. } => NodeKind::Bool,
            Content::Scalar { value: Scalar::Number(_), .. } => NodeKind::Number,
            Content::Scalar { value: Scalar::String, .. } => NodeKind::String,
            Content::Sequence { .. } => NodeKind::Sequence,
            Content::Mapping { .. } | Content::Alias(_) => NodeKind::Mapping,
        }
    }

    /// How the value is written.
    #[must_use]
    pub fn style(&self) -> Style {
        self.record().style
    }

    /// The bytes it takes in the text: quotes and brackets included, anchors and tags not.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        let record = self.record();
        record.start as usize..record.end as usize
    }

    /// Where it begins.
    #[must_use]
    pub fn location(&self) -> Location {
        self.tree.source.location(self.record().start as usize)
    }

    /// The text of the source it takes.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        &self.tree.source.text()[self.span()]
    }

    /// The scalar's own text: what stands between the quotes with escapes resolved, and numbers as they were
    /// written. `None` for sequences and mappings.
    #[must_use]
    pub fn literal(&self) -> Option<&'a str> {
        match self.content() {
            Content::Scalar { text, .. } => Some(self.tree.text(*text)),
            _ => None,
        }
    }

    /// The key it belongs to; `None` for items of a sequence, and for the root.
    #[must_use]
    pub fn key(&self) -> Option<Key<'a>> {
        let key = self.tree.keys.get(self.record().key as usize)?;
        Some(Key { tree: self.tree, key })
    }

    /// The sequence or mapping that contains it; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Node<'a>> {
        let id = self.record().parent;
        (id != NONE).then_some(Node { tree: self.tree, id })
    }

    /// Its place in the document. What an alias stands for has the place of the anchor.
    #[must_use]
    pub fn pointer(&self) -> Pointer {
        let mut path = Vec::new();
        let mut node = *self;
        while let Some(parent) = node.parent() {
            path.push(node);
            node = parent;
        }
        let mut pointer = Pointer::root();
        for node in path.into_iter().rev() {
            match (node.key(), node.parent()) {
                (Some(key), _) => pointer.push(key.text()),
                (None, Some(parent)) if parent.kind() == NodeKind::Sequence => {
                    pointer.push(parent.children_ids().partition_point(|&id| id < node.id));
                }
                // An anchored key: the mapping is the closest place there is.
                _ => {}
            }
        }
        pointer
    }

    /// The value an alias stands for; `None` where no alias is written.
    #[must_use]
    pub fn target(&self) -> Option<Node<'a>> {
        match self.record().content {
            Content::Alias(id) => Some(Node { tree: self.tree, id }),
            _ => None,
        }
    }

    /// The items of a sequence or the values of a mapping, in the order of the text. Empty for scalars.
    #[must_use]
    pub fn children(&self) -> impl ExactSizeIterator<Item = Node<'a>> + DoubleEndedIterator + use<'a> {
        let tree = self.tree;
        self.children_ids().iter().map(move |&id| Node { tree, id })
    }

    /// The value of `key` in a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let Content::Mapping { by_key, .. } = *self.content() else { return None };
        let children = self.children_ids();
        let tree = self.tree;
        let id = if by_key == NONE {
            children.iter().find(|&&id| tree.key_text(id) == key)
        } else {
            let ordered = &tree.by_key[by_key as usize..][..children.len()];
            ordered.binary_search_by(|&id| tree.key_text(id).cmp(key)).ok().map(|at| &ordered[at])
        };
        id.map(|&id| Node { tree, id })
    }

    /// The item at `index` of a sequence.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Node<'a>> {
        let Content::Sequence { .. } = self.content() else { return None };
        self.children_ids().get(index).map(|&id| Node { tree: self.tree, id })
    }

    /// The untyped value, with aliases followed.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self.content() {
            Content::Scalar { value: Scalar::Null, .. } => Value::Null,
            Content::Scalar { value: Scalar::Bool(value), .. } => Value::Bool(*value),
            Content::Scalar { value: Scalar::Number(value), .. } => Value::Number(value.clone()),
            Content::Scalar { value: Scalar::String, text } => {
                Value::String(self.tree.text(*text).to_owned())
            }
            Content::Sequence { .. } => Value::Array(self.children().map(|child| child.to_value()).collect()),
            Content::Mapping { .. } | Content::Alias(_) => Value::Object(
                self.children()
                    .map(|child| (self.tree.key_text(child.id).to_owned(), child.to_value()))
                    .collect(),
            ),
        }
    }

    fn child(&self, segment: &str) -> Option<Node<'a>> {
        match self.content() {
            Content::Mapping { .. } => self.get(segment),
            Content::Sequence { .. } => self.item(parse_index(segment)?),
            _ => None,
        }
    }

    fn children_ids(&self) -> &'a [u32] {
        match *self.content() {
            Content::Sequence { first, len } | Content::Mapping { first, len, .. } => {
                &self.tree.children[first as usize..][..len as usize]
            }
            _ => &[],
        }
    }

    fn record(&self) -> &'a Record {
        &self.tree.records[self.id as usize]
    }

    /// The content, of the target if this is an alias. YAML has no alias to an alias.
    fn content(&self) -> &'a Content {
        match &self.record().content {
            Content::Alias(target) => &self.tree.records[*target as usize].content,
            content => content,
        }
    }

    fn is_anchored_key(&self) -> bool {
        self.record().key == NONE && self.parent().is_some_and(|parent| parent.kind() == NodeKind::Mapping)
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("kind", &self.kind()).field("span", &self.span()).finish_non_exhaustive()
    }
}

/// A key of a mapping in a [`Tree`].
#[derive(Clone, Copy)]
pub struct Key<'a> {
    tree: &'a Tree,
    key: &'a KeyRecord,
}

impl<'a> Key<'a> {
    /// The key. A number or another scalar that is not a string is its own text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.tree.text(self.key.text)
    }

    /// How the key is written.
    #[must_use]
    pub fn style(&self) -> Style {
        self.key.style
    }

    /// The bytes it takes in the text, quotes included.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.key.start as usize..self.key.end as usize
    }

    /// Where it begins.
    #[must_use]
    pub fn location(&self) -> Location {
        self.tree.source.location(self.key.start as usize)
    }

    /// The text of the source it takes.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        &self.tree.source.text()[self.span()]
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("text", &self.text()).field("span", &self.span()).finish_non_exhaustive()
    }
}

/// What a value is, in the terms of JSON and of YAML's core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// Text.
    String,
    /// A sequence, which JSON calls array.
    Sequence,
    /// A mapping, which JSON calls object.
    Mapping,
}

/// How a value is written. JSON knows only `Plain`, `DoubleQuoted` and `Flow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Style {
    /// A scalar without quotes.
    Plain,
    /// A scalar in `'…'`.
    SingleQuoted,
    /// A scalar in `"…"`.
    DoubleQuoted,
    /// Lines after `|`.
    Literal,
    /// Lines after `>`.
    Folded,
    /// A collection by indentation.
    Block,
    /// A collection in brackets.
    Flow,
    /// A `*reference` to something written elsewhere.
    Alias,
}

/// Stands for "none" among indices.
const NONE: u32 = u32::MAX;

#[derive(Clone)]
struct Record {
    start: u32,
    end: u32,
    parent: u32,
    key: u32,
    style: Style,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Scalar { text: Text, value: Scalar },
    Sequence { first: u32, len: u32 },
    Mapping { first: u32, len: u32, by_key: u32 },
    Alias(u32),
}

/// The type of a scalar; a string is its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    String,
}

#[derive(Clone)]
struct KeyRecord {
    start: u32,
    end: u32,
    text: Text,
    style: Style,
}

/// A text in the source or, if it is written differently there, among the decoded ones.
#[derive(Clone, Copy)]
struct Text {
    start: u32,
    end: u32,
    is_decoded: bool,
}

impl Text {
    fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

impl Tree {
    fn key_text(&self, id: u32) -> &str {
        let key = self.records[id as usize].key;
        self.keys.get(key as usize).map_or("", |key| self.text(key.text))
    }
}

/// The indices of RFC 6901: no sign, no leading zero.
fn parse_index(segment: &str) -> Option<usize> {
    let is_canonical = segment == "0" || !segment.starts_with(['0', '+']);
    if is_canonical { segment.parse().ok() } else { None }
}

/// An offset or count as it is kept. A text has no more values than bytes.
#[expect(clippy::cast_possible_truncation, reason = "`Limits` allow no text beyond 1 GiB")]
fn index(value: usize) -> u32 {
    debug_assert!(u32::try_from(value).is_ok());
    value as u32
}
