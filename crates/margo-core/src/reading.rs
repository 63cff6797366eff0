use crate::{Deviation, Strictness};

/// A document, and every place where it is written in another way than we would write it.
///
/// ```
/// use margo_core::{Deviation, Level, Reading, Strictness};
///
/// let deviation = Deviation::new("X-C-16", Level::L3, "/id", "is not a UUID");
/// let reading = Reading::judge("pump-1", vec![deviation.clone()], Strictness::Lenient)?;
/// assert_eq!(reading.warnings().count(), 1);
/// assert_eq!(Reading::judge("pump-1", vec![deviation.clone()], Strictness::Strict), Err(deviation));
/// # Ok::<(), Deviation>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading<T> {
    /// What the document means.
    pub value: T,
    /// What was accepted, the silently accepted forms ([`Level::L1`](crate::Level::L1)) included.
    pub deviations: Vec<Deviation>,
}

impl<T> Reading<T> {
    /// A document, and what was accepted in it.
    #[must_use]
    pub fn new(value: T, deviations: Vec<Deviation>) -> Self {
        Self { value, deviations }
    }

    /// A document, if nothing in it is to be refused.
    ///
    /// # Errors
    ///
    /// The first deviation that a reading of this strictness refuses.
    pub fn judge(value: T, deviations: Vec<Deviation>, strictness: Strictness) -> Result<Self, Deviation> {
        match deviations.iter().find(|deviation| deviation.level.is_refused(strictness)) {
            Some(refused) => Err(refused.clone()),
            None => Ok(Self::new(value, deviations)),
        }
    }

    /// The deviations that are worth a warning.
    pub fn warnings(&self) -> impl Iterator<Item = &Deviation> {
        self.deviations.iter().filter(|deviation| deviation.level.is_warned())
    }

    /// The same reading, seen as something else.
    #[must_use]
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Reading<U> {
        Reading { value: view(self.value), deviations: self.deviations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    #[test]
    fn a_level_decides_what_is_refused_and_what_is_told() {
        let read = |level, strictness| {
            let deviations = vec![Deviation::new("X-A-14", level, "/wait", "a string")];
            Reading::judge((), deviations, strictness).map(|reading| reading.warnings().count())
        };
        for strictness in [Strictness::Lenient, Strictness::Strict] {
            assert_eq!(read(Level::L1, strictness), Ok(0));
            assert_eq!(read(Level::L2, strictness), Ok(1));
            assert!(read(Level::L4, strictness).is_err());
        }
        assert_eq!(read(Level::L3, Strictness::Lenient), Ok(1));
        assert!(read(Level::L3, Strictness::Strict).is_err());
    }
}
