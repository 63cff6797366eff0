use margo_core::{Deviation, Strictness};
use margo_syntax::{Fault, Pointer};

/// Gives every message the same surface.
macro_rules! message {
    ($name:ident, $revisions:expr, $detect:expr) => {
        impl $name {
            /// Reads a message.
            ///
            /// # Errors
            ///
            /// The first place that is not JSON, exceeds `limits`, or does not have the form of the page.
            pub fn parse(
                bytes: &[u8],
                limits: &margo_syntax::Limits,
            ) -> Result<Self, margo_syntax::DecodeError> {
                margo_syntax::decode_with(bytes, margo_syntax::Format::Json, limits, Self::from_value)
            }

            /// As [`parse`](Self::parse), keeping the bytes.
            ///
            /// # Errors
            ///
            /// Those of [`parse`](Self::parse).
            pub fn decode(
                bytes: bytes::Bytes,
                limits: &margo_syntax::Limits,
            ) -> Result<margo_core::Document<Self>, margo_syntax::DecodeError> {
                margo_core::Document::decode(bytes, |bytes| Self::parse(bytes, limits))
            }

            /// As [`decode`](Self::decode), as strictly as wanted, telling what was accepted. Where no revision is
            /// given, the likeliest is taken.
            ///
            /// # Errors
            ///
            /// Those of [`parse`](Self::parse), and what is too far off for this strictness.
            pub fn read(
                bytes: bytes::Bytes,
                revision: Option<margo_core::SpecVersion>,
                strictness: margo_core::Strictness,
                limits: &margo_syntax::Limits,
            ) -> Result<margo_core::Reading<margo_core::Document<Self>>, margo_syntax::DecodeError> {
                let mut found = Vec::new();
                let document = margo_core::Document::decode(bytes, |bytes| {
                    margo_syntax::decode_with(bytes, margo_syntax::Format::Json, limits, |value| {
                        let likeliest = || Self::detect(&value).likeliest();
                        let revision =
                            revision.or_else(likeliest).unwrap_or_else(|| $revisions[$revisions.len() - 1]);
                        found = margo_core::deviations(Self::INTERPRETATIONS, revision, &value);
                        let message = Self::from_value(value)?;
                        crate::message::refused(&found, strictness)?;
                        Ok(message)
                    })
                })?;
                Ok(margo_core::Reading::new(document, found))
            }

            /// Which revisions a document may be such a message of, by its shape; none if it is none.
            #[must_use]
            pub fn detect(value: &serde_json::Value) -> margo_core::Detection {
                let detect: fn(&serde_json::Value) -> Option<&'static str> = $detect;
                let revisions: &[margo_core::SpecVersion] = $revisions;
                detect(value).map_or_else(margo_core::Detection::none, |reason| {
                    let newest_first = revisions.iter().rev();
                    newest_first.fold(margo_core::Detection::none(), |found, revision| {
                        found.with(*revision, [reason])
                    })
                })
            }

            /// The message as JSON.
            #[must_use]
            pub fn to_json(&self) -> bytes::Bytes {
                // Texts can always be written as JSON.
                serde_json::to_vec(self).unwrap_or_default().into()
            }

            fn from_value(value: serde_json::Value) -> Result<Self, margo_syntax::Fault> {
                margo_syntax::from_value(value)
            }
        }
    };
}

pub(crate) use message;

/// What is too far off for this strictness.
pub(crate) fn refused(deviations: &[Deviation], strictness: Strictness) -> Result<(), Fault> {
    match deviations.iter().find(|deviation| deviation.level.is_refused(strictness)) {
        None => Ok(()),
        Some(Deviation { pointer, message, contradiction, .. }) => {
            let pointer = pointer.parse().unwrap_or_else(|_| Pointer::root());
            Err(Fault::new(pointer, format!("{message} ({contradiction})")))
        }
    }
}
