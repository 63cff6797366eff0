use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::ManifestVersion;

/// Reads an optional boolean; accepts exactly the strings `"true"` and `"false"` as well
/// (X-A-14, X-B-16: the specification's own examples write `wait: "true"`).
///
/// For `#[serde(deserialize_with = "margo_core::lenient_boolean")]`.
///
/// # Errors
///
/// Whatever is neither a boolean nor one of the two strings nor null.
pub fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Boolean;

    impl<'de> Visitor<'de> for Boolean {
        type Value = Option<bool>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a boolean")
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<Option<bool>, E> {
            Ok(Some(value))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<bool>, E> {
            match text {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
            }
        }

        fn visit_none<E: Error>(self) -> Result<Option<bool>, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Option<bool>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<bool>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    deserializer.deserialize_any(Boolean)
}

/// Reads an object; accepts a list of exactly one object as well (X-A-06, X-A-07, X-B-01, X-B-06, X-D-12: tables
/// that type one object as a list).
///
/// For `#[serde(deserialize_with = "margo_core::lenient_single")]`.
///
/// # Errors
///
/// Whatever is neither an object that is a `T` nor a list of one.
pub fn single<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Single<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Single<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
            let first = items.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
            match items.next_element::<IgnoredAny>()? {
                None => Ok(first),
                Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
            }
        }
    }

    deserializer.deserialize_any(Single(PhantomData))
}

/// Reads a manifest version; accepts a whole number that is written with a fraction or an exponent as well, as far
/// as it is exact: up to 2^53 (X-B-36, X-D-31).
///
/// For `#[serde(deserialize_with = "margo_core::lenient_manifest_version")]`.
///
/// # Errors
///
/// Whatever is not a whole number from 1 to 2^64 - 1.
pub fn manifest_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ManifestVersion, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = ManifestVersion;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number from 1 to 18446744073709551615")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<ManifestVersion, E> {
            ManifestVersion::new(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<ManifestVersion, E> {
            const EXACT: f64 = 9_007_199_254_740_992.0;
            // An `f64` displays without exponent, and without fraction where it has none.
            let exact = if number <= EXACT { number.to_string().parse().ok() } else { None };
            exact.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    deserializer.deserialize_any(Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_object_may_stand_in_a_list() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct State {
            state: String,
        }
        let read = |value| single::<_, State>(&value);
        let state = State { state: "pending".to_owned() };
        assert_eq!(read(json!({"state": "pending"})).unwrap(), state);
        assert_eq!(read(json!([{"state": "pending"}])).unwrap(), state);
        for value in
            [json!([]), json!([{"state": "a"}, {"state": "b"}]), json!([[{"state": "a"}]]), json!("a")]
        {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }

    /// X-B-36, X-D-31.
    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_while_it_is_exact() {
        let read = |text: &str| manifest_version(&mut serde_json::Deserializer::from_str(text));
        for (text, number) in [
            ("7", 7),
            ("7.0", 7),
            ("1e3", 1000),
            ("9007199254740992.0", 1 << 53),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(read(text).unwrap().get(), number, "{text}");
        }
        for text in ["0", "0.0", "-1.0", "-7", "7.5", "1e16", "1e300", "\"7\"", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
