use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of bodies that are in memory at once: altogether, and of each sender.
pub(super) struct Budget<K> {
    all: usize,
    each: usize,
    held: Mutex<Held<K>>,
}

struct Held<K> {
    all: usize,
    of: BTreeMap<K, usize>,
}

impl<K: Ord + Clone> Budget<K> {
    /// At most `all` bytes, and at most `each` of one sender.
    pub(super) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, held: Mutex::new(Held { all: 0, of: BTreeMap::new() }) })
    }

    /// Nothing yet, of `sender`.
    pub(super) fn portion(self: &Arc<Self>, sender: K) -> Portion<K> {
        Portion { budget: Arc::clone(self), sender, bytes: 0 }
    }
}

/// What one request holds of a [`Budget`], for as long as it is there.
pub(super) struct Portion<K: Ord + Clone> {
    budget: Arc<Budget<K>>,
    sender: K,
    bytes: usize,
}

impl<K: Ord + Clone> Portion<K> {
    /// Whether there are so many more bytes; if so they are held.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        // Whatever a thread that panicked has left behind are numbers.
        let mut held = self.budget.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.of.get(&self.sender).copied().unwrap_or(0);
        if bytes > self.budget.all - held.all || bytes > self.budget.each - own {
            return false;
        }
        held.all += bytes;
        held.of.insert(self.sender.clone(), own + bytes);
        self.bytes += bytes;
        true
    }
}

impl<K: Ord + Clone> Drop for Portion<K> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= self.bytes;
        if let Some(own) = held.of.get_mut(&self.sender) {
            *own -= self.bytes;
            if *own == 0 {
                held.of.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_there_is_and_than_their_share() {
        let budget = Budget::new(100, 60);
        let [mut first, mut second, mut other] = ["a", "a", "b"].map(|sender| budget.portion(sender));
        assert!(first.take(40) && second.take(20));
        assert!(!second.take(1), "the share is of the sender, however many requests it has");
        assert!(!other.take(41), "there are 40 left");
        assert!(other.take(40) && !other.take(1));
        drop(first);
        assert!(second.take(40) && !second.take(1));
        drop((second, other));
        let held = budget.held.lock().unwrap();
        assert!(held.all == 0 && held.of.is_empty());
    }
}
