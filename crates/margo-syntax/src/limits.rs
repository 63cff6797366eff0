/// How much a text may hold before reading it stops.
///
/// ```
/// use margo_syntax::Limits;
///
/// let limits = Limits::default().with_max_bytes(64 * 1024).with_max_depth(16);
/// assert_eq!(limits.max_nodes, 1_000_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest text in bytes, compared before anything is read. Default 16 MiB; never more than 1 GiB,
    /// whatever is asked for.
    ///
    /// The text that aliases repeat is held to the same number.
    pub max_bytes: usize,
    /// The deepest nesting of sequences and mappings; a lone scalar has depth 0. Default 64; never more than
    /// 128, whatever is asked for, because typed reading recurses.
    pub max_depth: usize,
    /// The number of values, counting what an alias stands for each time it is used. A key counts as one, and a mapping
    /// as four: that is about what they take in memory. Default 1,000,000, which is less than 300 MiB.
    pub max_nodes: usize,
}

impl Limits {
    /// The same limits with another [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The same limits with another [`max_depth`](Self::max_depth).
    #[must_use]
    pub fn with_max_depth(mut self, max_depth: usize) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// The same limits with another [`max_nodes`](Self::max_nodes).
    #[must_use]
    pub fn with_max_nodes(mut self, max_nodes: usize) -> Self {
        self.max_nodes = max_nodes;
        self
    }

    /// The limits as they are enforced.
    pub(crate) fn effective(&self) -> Self {
        Self {
            max_bytes: self.max_bytes.min(MAX_BYTES),
            max_depth: self.max_depth.min(MAX_DEPTH),
            max_nodes: self.max_nodes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 16 * 1024 * 1024, max_depth: 64, max_nodes: 1_000_000 }
    }
}

/// The values that a mapping counts for, besides its entries.
pub(crate) const MAPPING: usize = 4;

/// Offsets are kept in 32 bits, and decoding can lengthen a text by half (`\L` becomes three bytes).
const MAX_BYTES: usize = 1 << 30;

/// What `serde_json` itself allows; beyond it, reading and dropping a value could exhaust the stack.
const MAX_DEPTH: usize = 128;
