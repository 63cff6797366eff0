//! How places, values and near misses are put into words.

use std::borrow::Cow;

use margo_syntax::{Node, NodeKind, Pointer};

/// A place as a person calls it: `` `name` ``, `` item 2 of `components` ``, `the document`.
pub(crate) fn place(at: &Pointer) -> String {
    let Some(name) = at.last() else { return "the document".to_owned() };
    let number: Option<usize> = name.parse().ok();
    match (number, at.parent().and_then(|parent| parent.last().map(Cow::into_owned))) {
        (Some(number), Some(list)) => format!("item {} of `{}`", number + 1, clip(&list)),
        _ => format!("`{}`", clip(&name)),
    }
}

/// What a value is, with its text where that is short: `` the number `1.0` ``, `a list`.
pub(crate) fn value(node: Node<'_>) -> String {
    let text = || clip(node.literal().unwrap_or_default());
    match node.kind() {
        NodeKind::Null => "nothing".to_owned(),
        NodeKind::Bool => format!("the boolean `{}`", text()),
        NodeKind::Number => format!("the number `{}`", text()),
        NodeKind::String => format!("the text `{}`", text()),
        NodeKind::Sequence => "a list".to_owned(),
        _ => "a mapping".to_owned(),
    }
}

/// At most 60 characters of a stranger's text, without control characters.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == 60 {
            clipped.push('…');
            break;
        }
        if character.is_control() {
            clipped.extend(character.escape_default());
        } else {
            clipped.push(character);
        }
    }
    clipped
}

/// `` `a`, `b` or `c` ``
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// The one of `known` that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let count = word.chars().count();
    if count > 60 {
        return None;
    }
    let most = match count {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    // Words of too different a length are not compared.
    let is_near = |known: &&str| known.len().abs_diff(word.len()) <= most.max(4);
    let near = known.into_iter().filter(is_near).filter_map(|known| {
        let distance = if same_but_for_case(word, known) { 0 } else { distance(word, known, most)? };
        Some((distance, known))
    });
    near.min().map(|(_, known)| known)
}

/// Whether two words differ in nothing but case, `-`, `_` and blanks.
pub(crate) fn same_but_for_case(a: &str, b: &str) -> bool {
    bare(a).eq(bare(b))
}

fn bare(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase)
}

/// How many characters to insert, remove, replace or swap with their neighbor, if that is at most `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut cost = (last[j] + usize::from(a[i] != b[j])).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        // What follows costs no less than the least of these two rows: a swap skips one.
        if row.iter().chain(&last).all(|cost| *cost > most) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    Some(last[b.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use margo_syntax::pointer;

    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let known = ["helm", "compose", "custom"];
        assert_eq!(nearest("Helm", known), Some("helm"));
        assert_eq!(nearest("compsoe", known), Some("compose"));
        assert_eq!(nearest("docker-compose", known), None);
        assert_eq!(nearest("deployment_profile", ["deploymentProfile"]), Some("deploymentProfile"));
        assert_eq!(nearest("id", ["ad"]), None);
        assert_eq!(
            nearest("compnoents", ["properties", "components"]),
            Some("components"),
            "a swap is one change"
        );
        assert_eq!(nearest("componentstwo", ["components"]), Some("components"));
        assert_eq!(nearest("componentsfour", ["components"]), None);
    }

    #[test]
    fn places_are_named_as_people_name_them() {
        assert_eq!(place(&pointer![]), "the document");
        assert_eq!(place(&pointer!["spec", "components", 1]), "item 2 of `components`");
        assert_eq!(place(&pointer!["spec", "a/b"]), "`a/b`");
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
