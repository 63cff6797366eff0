//! The laws of conversion that hold for every document. Each model crate's tests include this file, so that all of them
//! are held to the same.

use margo_core::{DowngradeError, Loss, Upgraded};
use proptest::test_runner::TestCaseError;
use serde_json::Value;

/// What is lost is listed: `document` was converted with these losses, and read back it is `again`.
///
/// Every loss stands at a place of the document; every place that is different now is one of them, inside one, or holds
/// one; and without any the document is the same.
pub(crate) fn holds(document: &Value, again: &Value, losses: &[Loss]) -> Result<(), TestCaseError> {
    told(document, losses)?;
    let mut different = Vec::new();
    compare(document, again, String::new(), &mut different);
    for place in different {
        let is_listed =
            losses.iter().any(|loss| is_within(&place, &loss.pointer) || is_within(&loss.pointer, &place));
        if !is_listed {
            let listed: Vec<_> = losses.iter().map(ToString::to_string).collect();
            let message =
                format!("`{place}` is lost, and listed is {listed:?}: {document} came back as {again}");
            return Err(TestCaseError::fail(message));
        }
    }
    Ok(())
}

/// Every loss stands at a place of the document it is of, and has a reason.
pub(crate) fn told(document: &Value, losses: &[Loss]) -> Result<(), TestCaseError> {
    for loss in losses {
        if document.pointer(&loss.pointer).is_none() || loss.reason.is_empty() {
            return Err(TestCaseError::fail(format!("{loss}: nothing is there in {document}")));
        }
    }
    Ok(())
}

/// What cannot be said stands at a place of the document, or is missing from one.
pub(crate) fn named(document: &Value, error: &DowngradeError) -> Result<(), TestCaseError> {
    let parent = error.pointer.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
    if parent.is_none() || error.reason.is_empty() {
        return Err(TestCaseError::fail(format!("{error}: nothing is there in {document}")));
    }
    Ok(())
}

/// As [`holds`], for a way that may be impossible; `back` leads to the newest revision again, as a tree.
pub(crate) fn down_and_up<T>(
    document: &Value,
    converted: Result<Upgraded<T>, DowngradeError>,
    back: impl FnOnce(T) -> Value,
) -> Result<(), TestCaseError> {
    match converted {
        Ok(Upgraded { value, losses, .. }) => holds(document, &back(value), &losses),
        Err(error) => named(document, &error),
    }
}

fn compare(one: &Value, other: &Value, place: String, different: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => compare(one, other, place, different),
                    _ => different.push(place),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(one, other, format!("{place}/{index}"), different);
            }
        }
        _ if one == other => {}
        _ => different.push(place),
    }
}

fn is_within(place: &str, other: &str) -> bool {
    place.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
