use std::collections::BTreeMap;
use std::collections::btree_map;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The members of an object that this library has no field for: supplier extensions
/// (`x-<name>-extensions`, R-D-032), and fields newer than this library.
///
/// They are read, kept in order of their names, and written back unchanged, so nothing a supplier said is lost
/// on the way through a manager or a device.
///
/// ```
/// use margo_core::Extensions;
///
/// assert!(Extensions::is_extension_name("x-acme-extensions"));
/// assert!(!Extensions::is_extension_name("x-Acme-extensions"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extensions(BTreeMap<String, Value>);

impl Extensions {
    /// No extensions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `name` has the form the specification reserves for extensions:
    /// `^x-[a-z][a-z0-9-]*-extensions$` (R-D-032).
    #[must_use]
    pub fn is_extension_name(name: &str) -> bool {
        let unique = name.strip_prefix("x-").and_then(|rest| rest.strip_suffix("-extensions"));
        unique.is_some_and(|unique| {
            unique.starts_with(|first: char| first.is_ascii_lowercase())
                && unique.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets a member and returns what it replaces.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) -> Option<Value> {
        self.0.insert(name.into(), value)
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// The members, by name.
    pub fn iter(&self) -> btree_map::Iter<'_, String, Value> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Extensions {
    type Item = (&'a String, &'a Value);
    type IntoIter = btree_map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Extensions {
    type Item = (String, Value);
    type IntoIter = btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Value)> for Extensions {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}
