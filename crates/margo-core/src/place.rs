use serde_json::Value;

/// A place in a tree: what stands there, if anything does, and the way to it.
///
/// ```
/// use margo_core::Place;
/// use serde_json::json;
///
/// let document = json!({"properties": {"roles": ["Gateway", 3]}});
/// let roles = Place::root(&document).at("properties").at("roles");
/// let texts: Vec<_> = roles.items().filter_map(|role| role.text()).collect();
/// assert_eq!(texts, ["Gateway"]);
/// assert_eq!(roles.items().nth(1).unwrap().pointer(), "/properties/roles/1");
/// assert!(!roles.at("nothing").exists());
/// ```
#[derive(Clone, Debug)]
pub struct Place<'a> {
    value: Option<&'a Value>,
    pointer: String,
}

impl<'a> Place<'a> {
    /// The root of a document.
    #[must_use]
    pub fn root(document: &'a Value) -> Self {
        Self { value: Some(document), pointer: String::new() }
    }

    /// The member `name` of the object here. Nothing stands there if this is no object or has no such member.
    #[must_use]
    pub fn at(&self, name: &str) -> Self {
        let value = self.value.and_then(Value::as_object).and_then(|members| members.get(name));
        Self { value, pointer: self.below(name) }
    }

    /// What stands here.
    #[must_use]
    pub fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// Whether anything stands here; `null` does.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.value.is_some()
    }

    /// The text that stands here.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.value?.as_str()
    }

    /// The items of the list here; none if this is no list.
    pub fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.and_then(Value::as_array).into_iter().flatten();
        items
            .enumerate()
            .map(|(i, item)| Self { value: Some(item), pointer: format!("{}/{i}", self.pointer) })
    }

    /// The members of the object here, by name; none if this is no object.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.value.and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), Self { value: Some(value), pointer: self.below(name) }))
    }

    /// The way here: a JSON Pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    fn below(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_way_can_be_walked_again() {
        let document = json!({"a/b": {"c~d": [{"e": null}]}});
        let place = Place::root(&document).at("a/b").at("c~d").items().next().unwrap().at("e");
        assert!(place.exists());
        assert_eq!(place.pointer(), "/a~1b/c~0d/0/e");
        assert_eq!(document.pointer(place.pointer()), place.value());
        let (name, member) = Place::root(&document).members().next().unwrap();
        assert_eq!((name, member.pointer()), ("a/b", "/a~1b"));
    }

    #[test]
    fn what_is_not_there_has_nothing_below_it() {
        let document = json!(7);
        let place = Place::root(&document).at("a").at("b");
        assert!(!place.exists() && place.items().next().is_none() && place.members().next().is_none());
        assert_eq!((place.text(), place.pointer()), (None, "/a/b"));
    }
}
