use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// Reads a string and makes something of it, without keeping a copy of the string.
///
/// # Errors
///
/// Whatever is not a string, and what `parse` refuses.
pub fn parsed<'de, D, T, E>(deserializer: D, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: Display,
{
    deserializer.deserialize_str(Parse(parse, PhantomData))
}

struct Parse<F, T>(F, PhantomData<T>);

impl<F: FnOnce(&str) -> Result<T, E>, T, E: Display> Visitor<'_> for Parse<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<R: Error>(self, text: &str) -> Result<T, R> {
        (self.0)(text).map_err(R::custom)
    }
}
