use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::ser::{self, Impossible, Serialize, Serializer};
use serde_json::Number;

use super::WriteError;

/// A value about to be written: as `serde_json` would write it, with fields in their order, and nothing in it
/// that could not be read again.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ordered {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Sequence(Vec<Ordered>),
    Mapping(Vec<Entry>),
}

/// Names of fields need no copy.
pub(super) type Entry = (Cow<'static, str>, Ordered);

impl Ordered {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, WriteError> {
        value.serialize(Writer { depth: 0 })
    }

    /// A mapping from its entries, if no key is used twice: flattened fields may collide.
    fn mapping(entries: Vec<Entry>) -> Result<Self, WriteError> {
        let repeated = if entries.len() <= SMALL {
            let is_repeated = |&at: &usize| entries[..at].iter().any(|(other, _)| *other == entries[at].0);
            (1..entries.len()).find(is_repeated)
        } else {
            let mut keys = BTreeSet::new();
            entries.iter().position(|(key, _)| !keys.insert(key))
        };
        if let Some(at) = repeated {
            return Err(WriteError::new("duplicate key").within(&entries[at].0));
        }
        Ok(Self::Mapping(entries))
    }

    /// `{variant: value}`, the way `serde_json` writes variants with content.
    fn variant(variant: &'static str, value: Self) -> Self {
        Self::Mapping(vec![(variant.into(), value)])
    }
}

/// Mappings up to this many entries are searched from front to back.
const SMALL: usize = 16;

/// The deepest nesting [`crate::Limits`] can allow.
const MAX_DEPTH: usize = 128;

#[derive(Clone, Copy)]
struct Writer {
    depth: usize,
}

impl Writer {
    /// For what a collection contains.
    fn deeper(self) -> Result<Self, WriteError> {
        if self.depth >= MAX_DEPTH {
            return Err(WriteError::new(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }

    fn items(self, len: Option<usize>) -> Result<Items, WriteError> {
        Ok(Items {
            writer: self.deeper()?,
            variant: None,
            done: Vec::with_capacity(len.unwrap_or_default().min(1024)),
        })
    }

    fn entries(self, len: Option<usize>) -> Result<Entries, WriteError> {
        Ok(Entries {
            writer: self.deeper()?,
            variant: None,
            key: Cow::Borrowed(""),
            done: Vec::with_capacity(len.unwrap_or_default().min(1024)),
        })
    }
}

impl Serializer for Writer {
    type Ok = Ordered;
    type Error = WriteError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    fn serialize_bool(self, value: bool) -> Result<Ordered, WriteError> {
        Ok(Ordered::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_i16(self, value: i16) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_i32(self, value: i32) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_i64(self, value: i64) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_i128(self, value: i128) -> Result<Ordered, WriteError> {
        let number =
            u64::try_from(value).map(Number::from).or_else(|_| i64::try_from(value).map(Number::from));
        number
            .map(Ordered::Number)
            .map_err(|_| WriteError::new(format_args!("`{value}` needs more than 64 bits")))
    }

    fn serialize_u8(self, value: u8) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Result<Ordered, WriteError> {
        Ok(Ordered::Number(value.into()))
    }

    fn serialize_u128(self, value: u128) -> Result<Ordered, WriteError> {
        let number = u64::try_from(value).map(|value| Ordered::Number(value.into()));
        number.map_err(|_| WriteError::new(format_args!("`{value}` needs more than 64 bits")))
    }

    fn serialize_f32(self, value: f32) -> Result<Ordered, WriteError> {
        // The float a reader gets from the shortest text: 0.1, not 0.10000000149011612.
        self.serialize_f64(value.to_string().parse().unwrap_or_else(|_| value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<Ordered, WriteError> {
        let number = Number::from_f64(value).map(Ordered::Number);
        number.ok_or_else(|| WriteError::new(format_args!("`{value}` is not a finite number")))
    }

    fn serialize_char(self, value: char) -> Result<Ordered, WriteError> {
        Ok(Ordered::String(value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<Ordered, WriteError> {
        Ok(Ordered::String(value.to_owned()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Ordered, WriteError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<Ordered, WriteError> {
        Ok(Ordered::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Ordered, WriteError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Ordered, WriteError> {
        Ok(Ordered::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Ordered, WriteError> {
        Ok(Ordered::Null)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Ordered, WriteError> {
        Ok(Ordered::String(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Ordered, WriteError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Ordered, WriteError> {
        let value = value.serialize(self.deeper()?).map_err(|error| error.within(variant))?;
        Ok(Ordered::variant(variant, value))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items, WriteError> {
        self.items(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Items, WriteError> {
        self.items(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items, WriteError> {
        self.items(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items, WriteError> {
        Ok(Items { variant: Some(variant), ..self.deeper()?.items(Some(len))? })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries, WriteError> {
        self.entries(len)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Entries, WriteError> {
        // `RawValue` would appear under the name serde_json gives its private struct.
        if name.starts_with("$serde_json::private") {
            return Err(WriteError::new("raw JSON cannot be written"));
        }
        self.entries(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries, WriteError> {
        Ok(Entries { variant: Some(variant), ..self.deeper()?.entries(Some(len))? })
    }
}

struct Items {
    writer: Writer,
    variant: Option<&'static str>,
    done: Vec<Ordered>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        let item = value.serialize(self.writer).map_err(|error| {
            let error = error.within(self.done.len());
            if let Some(variant) = self.variant { error.within(variant) } else { error }
        })?;
        self.done.push(item);
        Ok(())
    }

    fn finish(self) -> Ordered {
        let items = Ordered::Sequence(self.done);
        match self.variant {
            Some(variant) => Ordered::variant(variant, items),
            None => items,
        }
    }
}

impl ser::SerializeSeq for Items {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.push(value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        Ok(self.finish())
    }
}

impl ser::SerializeTuple for Items {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.push(value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleStruct for Items {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.push(value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleVariant for Items {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.push(value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        Ok(self.finish())
    }
}

struct Entries {
    writer: Writer,
    variant: Option<&'static str>,
    /// The key that waits for its value.
    key: Cow<'static, str>,
    done: Vec<Entry>,
}

impl Entries {
    fn push<T: Serialize + ?Sized>(&mut self, key: Cow<'static, str>, value: &T) -> Result<(), WriteError> {
        match value.serialize(self.writer) {
            Ok(value) => {
                self.done.push((key, value));
                Ok(())
            }
            Err(error) => Err(self.place(error.within(key))),
        }
    }

    fn finish(self) -> Result<Ordered, WriteError> {
        let variant = self.variant;
        let entries = Ordered::mapping(self.done);
        match variant {
            Some(variant) => {
                let entries = entries.map_err(|error| error.within(variant))?;
                Ok(Ordered::variant(variant, entries))
            }
            None => entries,
        }
    }

    fn place(&self, error: WriteError) -> WriteError {
        match self.variant {
            Some(variant) => error.within(variant),
            None => error,
        }
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WriteError> {
        self.key = key.serialize(KeyWriter)?.into();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        let key = std::mem::take(&mut self.key);
        self.push(key, value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        self.finish()
    }
}

impl ser::SerializeStruct for Entries {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), WriteError> {
        self.push(key.into(), value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Entries {
    type Ok = Ordered;
    type Error = WriteError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), WriteError> {
        self.push(key.into(), value)
    }

    fn end(self) -> Result<Ordered, WriteError> {
        self.finish()
    }
}

/// Keys are strings; integers, booleans and names of variants become their text, as in `serde_json`.
struct KeyWriter;

/// The methods of a serializer for types that cannot be a key.
macro_rules! not_a_key {
    ($($method:ident($($argument:ident: $type:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $($argument: $type),*) -> Result<$ok, WriteError> {
            $(let _ = $argument;)*
            Err(not_a_key())
        })*
    };
}

macro_rules! key_as_text {
    ($($method:ident($type:ty);)*) => {
        $(fn $method(self, value: $type) -> Result<String, WriteError> {
            Ok(value.to_string())
        })*
    };
}

fn not_a_key() -> WriteError {
    WriteError::new("a mapping key must be a string")
}

impl Serializer for KeyWriter {
    type Ok = String;
    type Error = WriteError;
    type SerializeSeq = Impossible<String, WriteError>;
    type SerializeTuple = Impossible<String, WriteError>;
    type SerializeTupleStruct = Impossible<String, WriteError>;
    type SerializeTupleVariant = Impossible<String, WriteError>;
    type SerializeMap = Impossible<String, WriteError>;
    type SerializeStruct = Impossible<String, WriteError>;
    type SerializeStructVariant = Impossible<String, WriteError>;

    key_as_text! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
    }

    not_a_key! {
        serialize_f32(value: f32) -> String;
        serialize_f64(value: f64) -> String;
        serialize_bytes(value: &[u8]) -> String;
        serialize_none() -> String;
        serialize_unit() -> String;
        serialize_unit_struct(name: &'static str) -> String;
        serialize_seq(len: Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(len: usize) -> Self::SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> Self::SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> Self::SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, WriteError> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<String, WriteError> {
        Ok(variant.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<String, WriteError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<String, WriteError> {
        Err(not_a_key())
    }
}
