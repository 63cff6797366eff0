use std::fmt;

use serde::{Deserialize, Serialize};

const UNITS: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// An amount of memory or storage in binary units, as a document writes it: `16Gi`, `59 Gi`.
///
/// Any text is a quantity; one that cannot be understood is of unknown size (X-D-07: never a reason to refuse a
/// device). It prints as it was read.
///
/// ```
/// use margo_core::Quantity;
///
/// assert_eq!(Quantity::from("59 Gi").bytes(), Some(59 << 30));
/// assert_eq!(Quantity::from("59 GB").bytes(), None);
/// assert_eq!(Quantity::of_bytes(1536 << 20).to_string(), "1536Mi");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(String);

impl Quantity {
    /// The whole `Ki` in `bytes`, in the largest unit that says them exactly.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        let bytes = bytes & !0x3ff;
        let exact =
            UNITS.iter().rev().find(|(_, shift)| bytes >> shift > 0 && bytes.is_multiple_of(1 << shift));
        let (unit, shift) = exact.unwrap_or(&UNITS[0]);
        Self(format!("{}{unit}", bytes >> shift))
    }

    /// The number of bytes: digits, at most one blank, and one of `Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei`.
    /// `None` for anything else, and for more than 2^64 - 1 bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let (unit, shift) = UNITS.iter().find(|(unit, _)| self.0.ends_with(unit))?;
        let digits = self.0.strip_suffix(unit)?;
        let digits = digits.strip_suffix(' ').unwrap_or(digits);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(1 << shift)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Quantity {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// X-D-07.
    #[test]
    fn only_the_grammar_has_a_size() {
        for (text, bytes) in [
            ("1Ki", Some(1024)),
            ("0Gi", Some(0)),
            ("15Ei", Some(15 << 60)),
            ("16Ei", None),
            ("59  Gi", None),
            ("1.5Gi", None),
            ("-1Gi", None),
            ("+1Gi", None),
            ("Gi", None),
            ("64", None),
            ("", None),
        ] {
            assert_eq!(Quantity::from(text).bytes(), bytes, "{text}");
        }
    }

    proptest! {
        /// Type to text to type, and text to type to text, whatever the text.
        #[test]
        fn a_quantity_prints_as_it_was_read(text in prop_oneof!["[0-9]{0,21} ?[KMGTPE]i", "\\PC{0,12}"]) {
            let quantity = Quantity::from(text.as_str());
            prop_assert_eq!(quantity.to_string(), text.clone());
            let json = serde_json::to_value(&quantity).unwrap();
            prop_assert_eq!(&json, &serde_json::Value::from(text));
            prop_assert_eq!(serde_json::from_value::<Quantity>(json).unwrap(), quantity);
        }

        /// The size is that of the digits and the unit, exactly, or none.
        #[test]
        fn a_size_is_exact(number: u64, unit in 0..UNITS.len(), blank in prop_oneof![Just(""), Just(" ")]) {
            let (unit, shift) = UNITS[unit];
            let exact = u128::from(number) << shift;
            prop_assert_eq!(Quantity::from(format!("{number}{blank}{unit}")).bytes(), u64::try_from(exact).ok());
        }

        /// What is said of an amount is never more than it is, and the same again.
        #[test]
        fn an_amount_is_rounded_down_at_most(number: u64, shift in 0..64_u32) {
            let bytes = (number >> shift << shift) | (number >> 60);
            let quantity = Quantity::of_bytes(bytes);
            let said = quantity.bytes().unwrap();
            prop_assert!(said <= bytes && bytes - said < 1024);
            prop_assert_eq!(Quantity::of_bytes(said), quantity);
        }

        #[test]
        fn whole_kibibytes_are_kept(kibibytes in 0..1_u64 << 54) {
            prop_assert_eq!(Quantity::of_bytes(kibibytes << 10).bytes(), Some(kibibytes << 10));
        }
    }
}
