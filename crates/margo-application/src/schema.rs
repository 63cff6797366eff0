use std::cmp::Ordering;
use std::fmt;

use margo_core::{Extensions, string_enum};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// The most bytes a compiled pattern may take: patterns come from strangers.
const PATTERN_SIZE: usize = 1 << 20;

/// What values a setting allows ([spec]).
///
/// Which members count depends on the data type: lengths and the pattern on texts, bounds on numbers, precision
/// on doubles. With `options` it is a *select*: each value is one of them. Lists are checked item by item.
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/application-description#schema-attributes
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Schema {
    /// The name that settings refer to.
    pub name: String,
    /// The type of the value. Read as `datatype` too (X-A-24).
    #[serde(alias = "datatype")]
    pub data_type: DataType,
    /// Whether there may be no value, an empty text or an empty list. False unless said otherwise; the older
    /// pages say the opposite by mistake (X-A-25).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// The fewest characters of a text, not bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// The most characters of a text, not bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// A regular expression that must match somewhere in a text; anchor it with `^` and `$` to match all of it.
    ///
    /// The syntax is that of the crate `regex`: no look-around and no back-references, hence never slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex_match: Option<String>,
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_value: Option<Number>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_value: Option<Number>,
    /// The fewest decimal places of a double.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_precision: Option<u64>,
    /// The most decimal places of a double.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_precision: Option<u64>,
    /// Whether several options may be chosen, which makes the value a list. False unless said otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multiselect: bool,
    /// What there is to choose from; makes the schema a select.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<Value>>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Schema {
    /// A schema that asks for a value of a type, and nothing more.
    #[must_use]
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            allow_empty: false,
            min_length: None,
            max_length: None,
            regex_match: None,
            min_value: None,
            max_value: None,
            min_precision: None,
            max_precision: None,
            multiselect: false,
            options: None,
            extensions: Extensions::new(),
        }
    }

    /// Whether values are lists.
    #[must_use]
    pub fn takes_a_list(&self) -> bool {
        self.multiselect || self.data_type.is_array()
    }

    /// The value in its native type, `None` if it is an allowed nothing; or every violation.
    pub(crate) fn apply(&self, value: &Value) -> Result<Option<Value>, Vec<Violation>> {
        match value {
            Value::Null => return self.empty(None),
            Value::String(text) if text.is_empty() => {
                let is_text = self.data_type == DataType::String && !self.takes_a_list();
                return self.empty(is_text.then(|| value.clone()));
            }
            Value::Array(items) if items.is_empty() && self.takes_a_list() => {
                return self.empty(Some(value.clone()));
            }
            _ => {}
        }
        let mut violations = Vec::new();
        let native = match value {
            Value::Array(items) if self.takes_a_list() => {
                let numbered = items.iter().enumerate();
                let apply = |(index, item): (usize, &Value)| {
                    self.apply_to_one(item, &format!("item {} ", index + 1), &mut violations)
                };
                Value::Array(numbered.map(apply).collect())
            }
            _ if self.takes_a_list() && self.data_type.is_known() => {
                let message = format!("must be a list of {}, and is {}", self.item_names(), Described(value));
                return Err(vec![Violation { kind: FaultKind::WrongType, message }]);
            }
            _ => self.apply_to_one(value, "", &mut violations),
        };
        if violations.is_empty() { Ok(Some(native)) } else { Err(violations) }
    }

    /// What is wrong with the schema itself.
    pub(crate) fn defects(&self) -> Vec<(&'static str, String)> {
        let mut defects = Vec::new();
        if !self.data_type.is_known() {
            defects.push(("dataType", format!("`{}` is not a data type", self.data_type)));
        }
        if let Some(Err(error)) = self.pattern() {
            defects.push(("regexMatch", error));
        }
        if let (Some(min), Some(max)) = (self.min_length, self.max_length)
            && min > max
        {
            defects.push(("minLength", format!("greater than `maxLength`, which is {max}")));
        }
        if let (Some(min), Some(max)) = (&self.min_value, &self.max_value)
            && compare(min, max) == Ordering::Greater
        {
            defects.push(("minValue", format!("greater than `maxValue`, which is {max}")));
        }
        if let (Some(min), Some(max)) = (self.min_precision, self.max_precision)
            && min > max
        {
            defects.push(("minPrecision", format!("greater than `maxPrecision`, which is {max}")));
        }
        match &self.options {
            None if self.multiselect => {
                defects.push(("multiselect", "there are no `options` to select from".to_owned()));
            }
            Some(options) if options.is_empty() => {
                defects.push(("options", "expected at least one option".to_owned()));
            }
            Some(options) => {
                let is_misfit = |option: &&Value| self.native(option).is_none();
                if let Some(misfit) = options.iter().find(is_misfit) {
                    let names = self.item_names();
                    defects.push(("options", format!("expected {names}, found {}", Described(misfit))));
                }
            }
            None => {}
        }
        defects
    }

    fn empty(&self, native: Option<Value>) -> Result<Option<Value>, Vec<Violation>> {
        if self.allow_empty {
            return Ok(native);
        }
        Err(vec![Violation { kind: FaultKind::Empty, message: "must not be empty".to_owned() }])
    }

    fn apply_to_one(&self, value: &Value, subject: &str, violations: &mut Vec<Violation>) -> Value {
        let mut violate = |kind, message: fmt::Arguments<'_>| {
            violations.push(Violation { kind, message: format!("{subject}{message}") });
        };
        let Some(native) = self.native(value) else {
            let wanted = self.data_type.item().map_or("", Item::one);
            violate(FaultKind::WrongType, format_args!("must be {wanted}, and is {}", Described(value)));
            return value.clone();
        };
        match (self.data_type.item(), &native) {
            (Some(Item::Text), Value::String(text)) => self.check_text(text, &mut violate),
            (Some(Item::Integer), Value::Number(number)) => self.check_range(number, &mut violate),
            (Some(Item::Double), Value::Number(number)) => {
                self.check_range(number, &mut violate);
                self.check_precision(decimal_places(value), &mut violate);
            }
            _ => {}
        }
        if let Some(options) = &self.options {
            let is_chosen = |option| self.native(option).is_some_and(|option| is_same(&option, &native));
            if !options.iter().any(is_chosen) {
                violate(FaultKind::NotAnOption, format_args!("must be one of {}", Listed(options)));
            }
        }
        native
    }

    fn check_text(&self, text: &str, violate: &mut impl FnMut(FaultKind, fmt::Arguments<'_>)) {
        let length = text.chars().count() as u64;
        if let Some(min) = self.min_length.filter(|min| length < *min) {
            let message = format_args!("must have at least {}, and has {length}", Counted(min, "character"));
            violate(FaultKind::Length, message);
        }
        if let Some(max) = self.max_length.filter(|max| length > *max) {
            let message = format_args!("must have at most {}, and has {length}", Counted(max, "character"));
            violate(FaultKind::Length, message);
        }
        match self.pattern() {
            Some(Ok(pattern)) if !pattern.is_match(text) => {
                violate(FaultKind::Pattern, format_args!("must match the pattern `{}`", pattern.as_str()));
            }
            Some(Err(error)) => {
                violate(FaultKind::UnusablePattern, format_args!("cannot be checked: {error}"));
            }
            _ => {}
        }
    }

    fn check_range(&self, number: &Number, violate: &mut impl FnMut(FaultKind, fmt::Arguments<'_>)) {
        if let Some(min) = &self.min_value
            && compare(number, min) == Ordering::Less
        {
            violate(FaultKind::Range, format_args!("must be at least {min}, and is {number}"));
        }
        if let Some(max) = &self.max_value
            && compare(number, max) == Ordering::Greater
        {
            violate(FaultKind::Range, format_args!("must be at most {max}, and is {number}"));
        }
    }

    fn check_precision(&self, places: u64, violate: &mut impl FnMut(FaultKind, fmt::Arguments<'_>)) {
        if let Some(min) = self.min_precision.filter(|min| places < *min) {
            let message =
                format_args!("must have at least {}, and has {places}", Counted(min, "decimal place"));
            violate(FaultKind::Precision, message);
        }
        if let Some(max) = self.max_precision.filter(|max| places > *max) {
            let message =
                format_args!("must have at most {}, and has {places}", Counted(max, "decimal place"));
            violate(FaultKind::Precision, message);
        }
    }

    fn pattern(&self) -> Option<Result<Regex, String>> {
        let pattern = self.regex_match.as_deref()?;
        let compiled =
            RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).build();
        Some(compiled.map_err(|_| format!("the pattern `{pattern}` is not supported")))
    }

    /// One item in its native type (X-A-30); a value of an unknown type is what it is.
    fn native(&self, value: &Value) -> Option<Value> {
        match self.data_type.item() {
            None => Some(value.clone()),
            Some(item) => item.native(value),
        }
    }

    fn item_names(&self) -> &'static str {
        self.data_type.item().map_or("values", Item::many)
    }
}

string_enum! {
    /// The type of a value.
    pub enum DataType {
        /// A text.
        String = "string",
        /// A whole number.
        Integer = "integer",
        /// A number.
        Double = "double",
        /// True or false.
        Boolean = "boolean",
        /// A list of texts.
        StringArray = "array[string]",
        /// A list of whole numbers.
        IntegerArray = "array[integer]",
        /// A list of numbers.
        DoubleArray = "array[double]",
        /// A list of true and false.
        BooleanArray = "array[boolean]",
    }
}

impl DataType {
    /// Whether values are lists.
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self, Self::StringArray | Self::IntegerArray | Self::DoubleArray | Self::BooleanArray)
    }

    fn item(&self) -> Option<Item> {
        Some(match self {
            Self::String | Self::StringArray => Item::Text,
            Self::Integer | Self::IntegerArray => Item::Integer,
            Self::Double | Self::DoubleArray => Item::Double,
            Self::Boolean | Self::BooleanArray => Item::Boolean,
            Self::Unrecognized(_) => return None,
        })
    }
}

/// Which rule a value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The application has no such parameter.
    UnknownParameter,
    /// A parameter that must have a value has none, neither given nor by default.
    Missing,
    /// The value is nothing, an empty text or an empty list, and must not be (`allowEmpty`).
    Empty,
    /// The value is not of the data type (`dataType`).
    WrongType,
    /// The text is too short or too long (`minLength`, `maxLength`).
    Length,
    /// The number is too small or too great (`minValue`, `maxValue`).
    Range,
    /// The number has too few or too many decimal places (`minPrecision`, `maxPrecision`).
    Precision,
    /// The text does not match the pattern (`regexMatch`).
    Pattern,
    /// The description's pattern cannot be used, so the value cannot be checked.
    UnusablePattern,
    /// The value is not one of the options (`options`).
    NotAnOption,
    /// The value was fixed by an earlier installation (`immutable`, R-A-041).
    Immutable,
}

impl FaultKind {
    /// A name for programs, in kebab case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownParameter => "unknown-parameter",
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::WrongType => "wrong-type",
            Self::Length => "length",
            Self::Range => "range",
            Self::Precision => "precision",
            Self::Pattern => "pattern",
            Self::UnusablePattern => "unusable-pattern",
            Self::NotAnOption => "not-an-option",
            Self::Immutable => "immutable",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is wrong with a value, as the end of a sentence: `must be at least 30, and is 5`.
///
/// Texts are never repeated: a value may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
}

/// Whether two native values are the same, numbers by what they are worth.
pub(crate) fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right) == Ordering::Equal,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        _ => left == right,
    }
}

#[derive(Clone, Copy)]
enum Item {
    Text,
    Integer,
    Double,
    Boolean,
}

impl Item {
    fn one(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Double => "a number",
            Self::Boolean => "true or false",
        }
    }

    fn many(self) -> &'static str {
        match self {
            Self::Text => "texts",
            Self::Integer => "whole numbers",
            Self::Double => "numbers",
            Self::Boolean => "true or false",
        }
    }

    fn native(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Text, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Double, Value::Number(_)) => Some(value.clone()),
            (Self::Integer, Value::Number(number)) => whole(number),
            (Self::Integer, Value::String(text)) => whole(&number(text)?),
            (Self::Double, Value::String(text)) => number(text).map(Value::Number),
            (Self::Boolean, Value::String(text)) => match text.as_str() {
                "true" => Some(true.into()),
                "false" => Some(false.into()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A number as JSON writes it, with nothing around it.
fn number(text: &str) -> Option<Number> {
    let is_bare =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'));
    is_bare.then(|| serde_json::from_str(text).ok()).flatten()
}

/// A whole number, also when it is written as `30.0` or `3e1`.
fn whole(number: &Number) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.is_i64() || number.is_u64() {
        return Some(Value::Number(number.clone()));
    }
    let float = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number that a float holds exactly")]
    (float.fract() == 0.0 && float.abs() <= EXACT).then(|| Value::from(float as i64))
}

fn compare(left: &Number, right: &Number) -> Ordering {
    let exact = |number: &Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    if let (Some(left), Some(right)) = (exact(left), exact(right)) {
        return left.cmp(&right);
    }
    let float = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
    // JSON has no number that is not comparable.
    float(left).partial_cmp(&float(right)).unwrap_or(Ordering::Equal)
}

/// How many digits follow the decimal point: in a text as written, in a number as few as say it.
fn decimal_places(value: &Value) -> u64 {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction);
    let fraction = if value.is_number() { fraction.trim_end_matches('0') } else { fraction };
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let shifted = places.saturating_sub(exponent.parse::<i64>().unwrap_or(0));
    u64::try_from(shifted).unwrap_or(0)
}

/// The kind of a value, without its text.
struct Described<'a>(&'a Value);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("nothing"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::String(_) => f.write_str("a text"),
            Value::Array(_) => f.write_str("a list"),
            Value::Object(_) => f.write_str("an object"),
        }
    }
}

/// `1 character`, `2 characters`.
struct Counted(u64, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

/// The first few options.
struct Listed<'a>(&'a [Value]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        for (index, option) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match option {
                Value::String(text) => write!(f, "{separator}`{text}`")?,
                other => write!(f, "{separator}`{other}`")?,
            }
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            others => write!(f, " and {others} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(members: &Value) -> Schema {
        let mut whole = json!({ "name": "s", "dataType": "string" });
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    /// The native value, or the messages.
    fn apply(members: &Value, value: &Value) -> Result<Option<Value>, Vec<String>> {
        let violations = |violations: Vec<Violation>| violations.into_iter().map(|v| v.message).collect();
        schema(members).apply(value).map_err(violations)
    }

    #[track_caller]
    fn accepts(members: &Value, value: &Value, native: &Value) {
        assert_eq!(apply(members, value), Ok(Some(native.clone())));
    }

    #[track_caller]
    fn refuses(members: &Value, value: &Value, message: &str) {
        assert_eq!(apply(members, value), Err(vec![message.to_owned()]));
    }

    /// X-A-30: texts are converted by the data type, and only by it.
    #[test]
    fn values_become_native() {
        let integer = json!({ "dataType": "integer" });
        accepts(&integer, &json!("16384"), &json!(16384));
        accepts(&integer, &json!(30.0), &json!(30));
        accepts(&integer, &json!(u64::MAX), &json!(u64::MAX));
        refuses(&integer, &json!(1.5), "must be a whole number, and is 1.5");
        for text in [" 30", "+3", "0x1f", "007", "1e400", "NaN", "-", "thirty"] {
            refuses(&integer, &json!(text), "must be a whole number, and is a text");
        }
        refuses(&integer, &json!(true), "must be a whole number, and is true");
        refuses(&integer, &json!(1e300), "must be a whole number, and is 1e+300");

        let double = json!({ "dataType": "double" });
        accepts(&double, &json!("0.5"), &json!(0.5));
        accepts(&double, &json!("4"), &json!(4));
        accepts(&double, &json!(4), &json!(4));
        refuses(&double, &json!("1,5"), "must be a number, and is a text");

        let boolean = json!({ "dataType": "boolean" });
        accepts(&boolean, &json!("true"), &json!(true));
        refuses(&boolean, &json!("yes"), "must be true or false, and is a text");
        refuses(&boolean, &json!(1), "must be true or false, and is 1");

        refuses(&json!({}), &json!(5), "must be a text, and is 5");
        refuses(&json!({}), &json!({ "a": 1 }), "must be a text, and is an object");
    }

    #[test]
    fn lengths_count_characters() {
        let code = json!({ "minLength": 2, "maxLength": 3 });
        accepts(&code, &json!("äöü"), &json!("äöü"));
        refuses(&code, &json!("ä"), "must have at least 2 characters, and has 1");
        refuses(&code, &json!("abcd"), "must have at most 3 characters, and has 4");
        refuses(&json!({ "maxLength": 1 }), &json!("ab"), "must have at most 1 character, and has 2");
    }

    #[test]
    fn ranges_include_their_ends() {
        let range = json!({ "dataType": "integer", "minValue": 30, "maxValue": 360 });
        accepts(&range, &json!(30), &json!(30));
        accepts(&range, &json!(360), &json!(360));
        refuses(&range, &json!(29), "must be at least 30, and is 29");
        refuses(&range, &json!("361"), "must be at most 360, and is 361");
        // Beyond what a float can tell apart.
        let large = json!({ "dataType": "integer", "maxValue": 9_007_199_254_740_992_u64 });
        refuses(
            &large,
            &json!(9_007_199_254_740_993_u64),
            "must be at most 9007199254740992, and is 9007199254740993",
        );
        let double = json!({ "dataType": "double", "minValue": 0.5 });
        accepts(&double, &json!(1), &json!(1));
        refuses(&double, &json!(0.25), "must be at least 0.5, and is 0.25");
    }

    /// MI-013.
    #[test]
    fn precision_is_the_number_of_decimal_places() {
        let places = |value: &Value| decimal_places(value);
        for (value, expected) in [
            (json!(4), 0),
            (json!(4.0), 0),
            (json!(0.25), 2),
            (json!(1e-7), 7),
            (json!(1.5e-7), 8),
            (json!(1e20), 0),
            (json!("1.50"), 2),
            (json!("1.5e1"), 0),
            (json!("15e-1"), 1),
        ] {
            assert_eq!(places(&value), expected, "{value}");
        }
        let cpu = json!({ "dataType": "double", "minPrecision": 1, "maxPrecision": 2 });
        accepts(&cpu, &json!("1.50"), &json!(1.5));
        refuses(&cpu, &json!(1), "must have at least 1 decimal place, and has 0");
        refuses(&cpu, &json!(0.125), "must have at most 2 decimal places, and has 3");
    }

    /// MI-012: a pattern is searched for; the specification's own one for an address (X-B-41) is not anchored.
    #[test]
    fn a_pattern_is_searched_for() {
        let mail = json!({ "regexMatch": ".*@[a-z0-9.-]*" });
        accepts(
            &mail,
            &json!("Some One <someone@somewhere.com>"),
            &json!("Some One <someone@somewhere.com>"),
        );
        refuses(&mail, &json!("someone"), "must match the pattern `.*@[a-z0-9.-]*`");
        let anchored = json!({ "regexMatch": "^[0-9]+$" });
        refuses(&anchored, &json!("a1b"), "must match the pattern `^[0-9]+$`");
    }

    /// MI-012.
    #[test]
    fn an_unusable_pattern_is_a_fault_and_not_a_pass() {
        for pattern in ["(?=look)ahead", "(a)\\1", "[unclosed", "(a{9999}){9999}"] {
            let schema = json!({ "regexMatch": pattern });
            let message = format!("cannot be checked: the pattern `{pattern}` is not supported");
            refuses(&schema, &json!("a"), &message);
            assert_eq!(self::schema(&schema).defects()[0].0, "regexMatch");
        }
    }

    /// X-A-25, X-B-37: `true` means that empty is allowed.
    #[test]
    fn empty_is_allowed_only_when_it_says_so() {
        for (members, value) in [
            (json!({}), json!("")),
            (json!({}), Value::Null),
            (json!({ "dataType": "integer" }), json!("")),
            (json!({ "dataType": "array[string]" }), json!([])),
        ] {
            refuses(&members, &value, "must not be empty");
        }
        // An optional text of five characters or more may still be empty.
        accepts(&json!({ "allowEmpty": true, "minLength": 5 }), &json!(""), &json!(""));
        accepts(&json!({ "allowEmpty": true, "dataType": "array[integer]" }), &json!([]), &json!([]));
        // There is no empty number: nothing is written.
        assert_eq!(apply(&json!({ "allowEmpty": true, "dataType": "integer" }), &json!("")), Ok(None));
        assert_eq!(apply(&json!({ "allowEmpty": true }), &Value::Null), Ok(None));
    }

    #[test]
    fn a_select_takes_its_options() {
        let mode = json!({ "options": ["eco", "fast"] });
        accepts(&mode, &json!("eco"), &json!("eco"));
        refuses(&mode, &json!("turbo"), "must be one of `eco`, `fast`");
        refuses(&mode, &json!(["eco"]), "must be a text, and is a list");
        let rate = json!({ "dataType": "integer", "options": ["9600", 19200] });
        accepts(&rate, &json!("9600"), &json!(9600));
        refuses(&rate, &json!(300), "must be one of `9600`, `19200`");

        let many = json!({ "options": ["a", "b"], "multiselect": true });
        accepts(&many, &json!(["b", "a"]), &json!(["b", "a"]));
        refuses(&many, &json!("a"), "must be a list of texts, and is a text");
        let faults = apply(&many, &json!(["c", "a", 5])).unwrap_err();
        assert_eq!(faults, ["item 1 must be one of `a`, `b`", "item 3 must be a text, and is 5"]);
    }

    #[test]
    fn lists_are_checked_item_by_item() {
        let ports = json!({ "dataType": "array[integer]", "minValue": 1, "maxValue": 9 });
        accepts(&ports, &json!(["1", 9]), &json!([1, 9]));
        let faults = apply(&ports, &json!([0, 10, "x"])).unwrap_err();
        assert_eq!(
            faults,
            [
                "item 1 must be at least 1, and is 0",
                "item 2 must be at most 9, and is 10",
                "item 3 must be a whole number, and is a text",
            ]
        );
        refuses(&ports, &json!(1), "must be a list of whole numbers, and is 1");
    }

    #[test]
    fn several_rules_break_at_once() {
        let code = json!({ "minLength": 3, "regexMatch": "^[A-Z]+$", "options": ["ABC"] });
        assert_eq!(apply(&code, &json!("a")).unwrap_err().len(), 3);
    }

    /// A data type newer than this library refuses nothing.
    #[test]
    fn an_unknown_data_type_takes_any_value() {
        let newer = json!({ "dataType": "duration", "minValue": 5 });
        accepts(&newer, &json!("3h"), &json!("3h"));
        assert_eq!(schema(&newer).defects()[0].1, "`duration` is not a data type");
    }

    /// X-A-24.
    #[test]
    fn datatype_is_read_and_written_as_data_type() {
        let read: Schema = serde_json::from_value(json!({ "name": "s", "datatype": "integer" })).unwrap();
        assert_eq!(read.data_type, DataType::Integer);
        assert_eq!(serde_json::to_value(read).unwrap(), json!({ "name": "s", "dataType": "integer" }));
    }

    #[test]
    fn a_schema_that_cannot_be_followed_is_told() {
        for (members, member) in [
            (json!({ "minLength": 3, "maxLength": 2 }), "minLength"),
            (json!({ "dataType": "double", "minValue": 0.5, "maxValue": 0 }), "minValue"),
            (json!({ "dataType": "double", "minPrecision": 2, "maxPrecision": 1 }), "minPrecision"),
            (json!({ "multiselect": true }), "multiselect"),
            (json!({ "options": [] }), "options"),
            (json!({ "dataType": "integer", "options": [1, "two"] }), "options"),
        ] {
            let defects = schema(&members).defects();
            assert_eq!(defects.iter().map(|defect| defect.0).collect::<Vec<_>>(), [member], "{members}");
        }
        assert_eq!(schema(&json!({ "minLength": 2, "maxLength": 2, "options": ["a"] })).defects(), []);
    }
}
