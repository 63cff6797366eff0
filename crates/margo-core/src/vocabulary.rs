use std::fmt;

/// A value of a vocabulary that this library does not know: read, kept, and never produced.
///
/// Only reading creates one, so a known value is always its own variant and equality means what it says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unrecognized(Box<str>);

impl Unrecognized {
    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Unrecognized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// For [`string_enum!`](crate::string_enum) alone.
#[doc(hidden)]
#[must_use]
pub fn unrecognized(text: &str) -> Unrecognized {
    Unrecognized(text.into())
}

/// Declares a vocabulary: an enum that knows some strings and keeps all others.
///
/// Adds the variant `Unrecognized`, the constant `KNOWN`, `as_str`, `is_known`, `From<&str>`, `Display` and
/// serde. Values are open when read; only known ones can be written by hand.
///
/// With `ignoring case`, known values are recognized whatever their case, and written in the declared one.
///
/// ```
/// margo_core::string_enum! {
///     /// A light.
///     pub enum Light {
///         /// Stop.
///         Red = "red",
///         /// Go.
///         Green = "green",
///     }
/// }
///
/// assert_eq!(Light::from("green"), Light::Green);
/// assert_eq!(Light::from("blue").as_str(), "blue");
/// assert!(!Light::from("Green").is_known());
/// ```
#[macro_export]
macro_rules! string_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $crate::string_enum!(@declare $(#[$meta])* $vis $name { $($(#[$variant_meta])* $variant = $text),+ });

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Unrecognized($crate::__private::unrecognized(text)),
                }
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident ignoring case { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $crate::string_enum!(@declare $(#[$meta])* $vis $name { $($(#[$variant_meta])* $variant = $text),+ });

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($text) {
                    return Self::$variant;
                })+
                Self::Unrecognized($crate::__private::unrecognized(text))
            }
        }
    };
    (@declare $(#[$meta:meta])* $vis:vis $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A value this library does not know. Only reading creates one.
            Unrecognized($crate::Unrecognized),
        }

        $crate::__vocabulary_schema!($name);

        impl $name {
            /// Every value the specification names, in its order.
            $vis const KNOWN: &'static [Self] = &[$(Self::$variant),+];

            /// The text of the value on the wire.
            #[must_use]
            $vis fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unrecognized(text) => text.as_str(),
                }
            }

            /// Whether the specification names this value.
            #[must_use]
            $vis fn is_known(&self) -> bool {
                !matches!(self, Self::Unrecognized(_))
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::__private::parsed(deserializer, |text| Ok::<_, ::std::convert::Infallible>(Self::from(text)))
            }
        }
    };
}

/// The JSON Schema of a vocabulary: the values the specification names. Decided here and not where the vocabulary is
/// declared, because the feature is this crate's.
#[cfg(feature = "schema")]
#[doc(hidden)]
#[macro_export]
macro_rules! __vocabulary_schema {
    ($name:ident) => {
        impl $crate::__private::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }

            fn json_schema(
                _: &mut $crate::__private::schemars::SchemaGenerator,
            ) -> $crate::__private::schemars::Schema {
                $crate::schema::vocabulary(Self::KNOWN.iter().map(Self::as_str))
            }
        }
    };
}

#[cfg(not(feature = "schema"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __vocabulary_schema {
    ($name:ident) => {};
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    string_enum! {
        /// Exact.
        enum Exact {
            /// One.
            One = "one",
            /// Two.
            Two = "Two",
        }
    }

    string_enum! {
        /// Whatever the case.
        enum Relaxed ignoring case {
            /// One.
            One = "One",
        }
    }

    #[test]
    fn case_matters_unless_said_otherwise() {
        assert_eq!(Exact::from("Two"), Exact::Two);
        assert!(!Exact::from("two").is_known());
        assert_eq!(Relaxed::from("oNE"), Relaxed::One);
        assert_eq!(Relaxed::from("oNE").as_str(), "One");
        assert!(Relaxed::KNOWN.iter().all(Relaxed::is_known));
        assert_eq!(Exact::KNOWN.iter().map(Exact::as_str).collect::<Vec<_>>(), ["one", "Two"]);
    }

    proptest! {
        #[test]
        fn any_value_survives_a_round_trip(text in ".*") {
            let value = Exact::from(text.as_str());
            prop_assert_eq!(value.as_str(), text.as_str());
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Exact>(&json).unwrap(), value);
        }
    }
}
