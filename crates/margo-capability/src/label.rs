use std::fmt;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

/// The value of a label: text, a number, a boolean, a list of texts or a list of numbers ([spec]).
///
/// An empty list is a list of texts.
///
/// ```
/// use margo_capability::LabelValue;
///
/// let value: LabelValue = serde_json::from_str(r#"["hall-1", "hall-2"]"#)?;
/// assert_eq!(value, LabelValue::Texts(vec!["hall-1".into(), "hall-2".into()]));
/// assert!(serde_json::from_str::<LabelValue>(r#"["hall-1", 2]"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/device-capabilities#labels
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LabelValue {
    /// Text.
    Text(String),
    /// A number, exactly as it was read.
    Number(Number),
    /// True or false.
    Boolean(bool),
    /// Several texts.
    Texts(Vec<String>),
    /// Several numbers.
    Numbers(Vec<Number>),
}

impl From<&str> for LabelValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for LabelValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl Serialize for LabelValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Boolean(value) => value.serialize(serializer),
            Self::Texts(texts) => texts.serialize(serializer),
            Self::Numbers(numbers) => numbers.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for LabelValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = LabelValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, a boolean, or a list of only strings or only numbers")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LabelValue, E> {
                Ok(text.into())
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<LabelValue, E> {
                Ok(value.into())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<LabelValue, E> {
                Ok(LabelValue::Number(number.into()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<LabelValue, E> {
                Ok(LabelValue::Number(number.into()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<LabelValue, E> {
                let number = Number::from_f64(number)
                    .ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))?;
                Ok(LabelValue::Number(number))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LabelValue, A::Error> {
                match items.next_element::<Scalar>()? {
                    None => Ok(LabelValue::Texts(Vec::new())),
                    Some(Scalar(LabelValue::Number(first))) => rest(first, items).map(LabelValue::Numbers),
                    Some(Scalar(LabelValue::Text(first))) => rest(first, items).map(LabelValue::Texts),
                    Some(_) => Err(A::Error::invalid_type(Unexpected::Other("list"), &self)),
                }
            }
        }

        deserializer.deserialize_any(Value)
    }
}

fn rest<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(first: T, mut items: A) -> Result<Vec<T>, A::Error> {
    let mut all = vec![first];
    while let Some(item) = items.next_element()? {
        all.push(item);
    }
    Ok(all)
}

/// What a list may hold: it decides what the others must be.
struct Scalar(LabelValue);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match LabelValue::deserialize(deserializer)? {
            LabelValue::Boolean(value) => {
                Err(D::Error::invalid_type(Unexpected::Bool(value), &"a string or a number"))
            }
            LabelValue::Texts(_) | LabelValue::Numbers(_) => {
                Err(D::Error::invalid_type(Unexpected::Seq, &"a string or a number"))
            }
            scalar => Ok(Self(scalar)),
        }
    }
}

#[cfg(test)]
mod tests {
    use margo_syntax::from_value;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_five_kinds_are_read_and_written_unchanged() {
        for json in [
            json!("hall-1"),
            json!(3),
            json!(-3),
            json!(2.5),
            json!(true),
            json!([]),
            json!(["a"]),
            json!([1, 2.5]),
        ] {
            let value: LabelValue = from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(&value).unwrap(), json);
        }
    }

    #[test]
    fn anything_else_is_told_what_is_allowed_and_where() {
        let fault = |json: Value| {
            let fault = from_value::<LabelValue>(json).unwrap_err();
            (fault.pointer().to_string(), fault.message().to_owned())
        };
        for json in [json!(null), json!({"a": 1})] {
            let (place, message) = fault(json);
            assert_eq!(place, "");
            assert!(message.contains("a list of only strings or only numbers"), "{message}");
        }
        assert_eq!(fault(json!([true])).0, "/0");
        assert_eq!(fault(json!(["a", 1])).0, "/1");
        assert_eq!(fault(json!([1, "a"])).0, "/1");
        assert!(fault(json!([["a"]])).1.contains("expected a string or a number"));
    }
}
