//! Amounts: whole GB and GHz, as numbers or as text with a unit (X-A-03, X-A-04).

use std::fmt;

use margo_core::Quantity;
use margo_syntax::Pointer;
use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

use crate::older::Losses;

const GIGABYTE: u64 = 1_000_000_000;
const KIBIBYTE: u64 = 1024;

pub(super) fn quantity(gigabytes: u64, place: &Pointer, losses: &mut Losses) -> Quantity {
    if gigabytes.checked_mul(GIGABYTE).is_none() {
        losses.add(place, "it is too much to be understood");
    }
    let kibibytes = u128::from(gigabytes) * u128::from(GIGABYTE) / u128::from(KIBIBYTE);
    format!("{kibibytes}Ki").into()
}

/// Whole GB, rounded down; an amount that was itself rounded down to whole `Ki` gets its last bytes back first.
pub(super) fn gigabytes_of(quantity: &Quantity) -> Option<u64> {
    let bytes = u128::from(quantity.bytes()?) + u128::from(KIBIBYTE - 1);
    u64::try_from(bytes / u128::from(GIGABYTE)).ok()
}

pub(super) fn gigabytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let Decimal { whole, .. } = deserializer.deserialize_any(Amount { unit: "GB" })?;
    whole.parse().map_err(|_| D::Error::custom("expected fewer GB"))
}

pub(super) fn gigahertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let Decimal { whole, fraction } = deserializer.deserialize_any(Amount { unit: "GHz" })?;
    let frequency = format!("{whole}.{fraction}").parse::<f64>().ok();
    frequency.filter(|frequency| frequency.is_finite()).ok_or_else(|| D::Error::custom("expected fewer GHz"))
}

/// Digits before the point, and after it.
struct Decimal {
    whole: String,
    fraction: String,
}

/// A number that is not negative, or a text with such a number and a unit.
struct Amount {
    unit: &'static str,
}

impl Amount {
    fn decimal<E: Error>(&self, digits: &str, unexpected: Unexpected<'_>) -> Result<Decimal, E> {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !(all_digits(whole) && all_digits(fraction)) {
            return Err(E::invalid_value(unexpected, self));
        }
        Ok(Decimal { whole: whole.to_owned(), fraction: fraction.to_owned() })
    }
}

impl Visitor<'_> for Amount {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number of {0} that is not negative, or text such as `8 {0}`", self.unit)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Decimal, E> {
        self.decimal(&number.to_string(), Unexpected::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Decimal, E> {
        self.decimal(&number.to_string(), Unexpected::Signed(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Decimal, E> {
        self.decimal(&number.to_string(), Unexpected::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
        let number = text.strip_suffix(self.unit).map(|number| number.strip_suffix(' ').unwrap_or(number));
        let number = number.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?;
        self.decimal(number, Unexpected::Str(text))
    }
}
