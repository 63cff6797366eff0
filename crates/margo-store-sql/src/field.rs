//! Between the columns of a row and the values of a record.

use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::BoxError;
use margo_core::ManifestVersion;
use margo_server::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

/// A manifest version as a column holds it: 20 digits, so that text compares as the numbers do.
pub(crate) fn version_text(version: ManifestVersion) -> String {
    format!("{version:020}")
}

/// The columns of one row. Whatever cannot be read is an error that says where it stands.
pub(crate) struct Fields<'r> {
    table: &'static str,
    row: &'r SqliteRow,
}

impl<'r> Fields<'r> {
    pub(crate) fn of(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { table, row }
    }

    /// A column whose text is the value.
    pub(crate) fn text(&self, column: &'static str) -> Result<&'r str, StoreError> {
        self.raw(column)
    }

    /// A column whose text means a value.
    pub(crate) fn parsed<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: FromStr<Err: Into<BoxError>>,
    {
        self.text(column)?.parse().map_err(|cause: T::Err| self.unreadable(column, cause))
    }

    /// As [`parsed`](Self::parsed), where there may be nothing.
    pub(crate) fn parsed_if_any<T>(&self, column: &'static str) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: Into<BoxError>>,
    {
        let text: Option<&str> = self.raw(column)?;
        text.map(|text| text.parse().map_err(|cause: T::Err| self.unreadable(column, cause))).transpose()
    }

    /// A column of milliseconds since 1970.
    pub(crate) fn milliseconds(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_millisecond(self.raw(column)?).map_err(|cause| self.unreadable(column, cause))
    }

    /// A column of exact bytes.
    pub(crate) fn bytes(&self, column: &'static str) -> Result<Bytes, StoreError> {
        self.raw::<Vec<u8>>(column).map(Bytes::from)
    }

    /// As [`bytes`](Self::bytes), where there may be nothing.
    pub(crate) fn bytes_if_any(&self, column: &'static str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.raw::<Option<Vec<u8>>>(column)?.map(Bytes::from))
    }

    /// Says that a column cannot be read, and why.
    pub(crate) fn unreadable(&self, column: &'static str, cause: impl Into<BoxError>) -> StoreError {
        StoreError::failed(UnreadableField { table: self.table, column, cause: cause.into() })
    }

    fn raw<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|cause| self.unreadable(column, cause))
    }
}

/// A row says what this crate never wrote.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` of a row of table `{table}` cannot be read")]
struct UnreadableField {
    table: &'static str,
    column: &'static str,
    #[source]
    cause: BoxError,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// R-B-020: the whole range, in order.
        #[test]
        fn versions_compare_as_their_text_does(
            a in prop_oneof![1..=u64::MAX, 1..=20_u64],
            b in prop_oneof![1..=u64::MAX, Just(u64::MAX), Just(1 << 63)],
        ) {
            let [a, b] = [a, b].map(|number| ManifestVersion::new(number).unwrap());
            prop_assert_eq!(a.cmp(&b), version_text(a).cmp(&version_text(b)));
            prop_assert_eq!(version_text(a).parse(), Ok(a));
            prop_assert_eq!(version_text(b).len(), 20);
        }
    }
}
