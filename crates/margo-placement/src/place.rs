use std::fmt::Display;

/// A JSON Pointer (RFC 6901) under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(String);

impl Place {
    pub(crate) fn root() -> Self {
        Self::default()
    }

    pub(crate) fn at(&self, segment: impl Display) -> Self {
        let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{segment}", self.0))
    }

    /// The place a pointer leads to from here.
    pub(crate) fn follow(&self, pointer: &str) -> Self {
        Self(format!("{}{pointer}", self.0))
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.0
    }
}

/// Whether `text` is a JSON Pointer at all: empty, or begins with `/`, and every `~` is an escape.
pub(crate) fn is_pointer(text: &str) -> bool {
    let mut escapes = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/')) && escapes.all(|rest| rest.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped_and_pointers_are_not() {
        let place = Place::root().at("labels").at("a/b~c").at(0).follow("/d~1e");
        assert_eq!(String::from(place), "/labels/a~1b~0c/0/d~1e");
    }

    #[test]
    fn a_pointer_is_empty_or_begins_with_a_slash() {
        for text in ["", "/", "/a/0", "/a~1b~0c"] {
            assert!(is_pointer(text), "{text}");
        }
        for text in ["vendor", "a/b", "/a~", "/a~2", "~0"] {
            assert!(!is_pointer(text), "{text}");
        }
    }
}
