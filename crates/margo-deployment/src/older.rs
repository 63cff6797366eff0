//! What the older revisions share on the way up and down.

use margo_core::{DowngradeError, Extensions, Loss, SpecVersion};
use margo_syntax::{Fault, Pointer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::profile::check_names;
use crate::{Component, Package, Parameter};

/// The word `ApplicationDeployment`, checked when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is one word and will stay one")]
pub struct Kind;

impl Kind {
    pub(crate) const TEXT: &'static str = "ApplicationDeployment";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == Self::TEXT {
            return Ok(Self);
        }
        Err(serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"`ApplicationDeployment`"))
    }
}

/// Takes off the `ENV.` that the examples of older revisions put before the name of an environment variable
/// (X-A-15, X-B-17, X-C-04).
///
/// ```
/// let mut pointer = "ENV.POLL_FREQUENCY".to_owned();
/// margo_deployment::pre_draft::strip_environment_prefix(&mut pointer);
/// assert_eq!(pointer, "POLL_FREQUENCY");
/// ```
pub fn strip_environment_prefix(pointer: &mut String) {
    if pointer.starts_with("ENV.") {
        pointer.drain(.."ENV.".len());
    }
}

/// Why a member of the newest revision is lost on the way down.
pub const NO_EXTENSIONS: &str = "there are no extensions";

/// How an older revision packages the components of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "for margo-application alone")]
pub enum Packaging {
    /// `repository` and `revision`.
    Charts,
    /// `packageLocation`.
    Archives,
    /// Either: the type of the profile is not known, or the revision allows both.
    Either,
}

impl Packaging {
    /// The first component with the wrong kind of package.
    ///
    /// # Errors
    ///
    /// Its place.
    pub fn check(self, components: &[Component], at: &Pointer) -> Result<(), Fault> {
        for (index, component) in components.iter().enumerate() {
            let missing = match (self, &component.properties.package) {
                (Self::Charts, Package::Archive { .. }) => "a chart needs `repository` and `revision`",
                (Self::Archives, Package::Oci { .. }) => "an archive needs `packageLocation`",
                _ => continue,
            };
            return Err(Fault::new(at.join("components").with(index).with("properties"), missing));
        }
        Ok(())
    }

    /// As [`check`](Self::check); also at least one component (X-A-28), and no name used twice.
    pub(crate) fn check_all(self, components: &[Component], at: &Pointer) -> Result<(), Fault> {
        match check_names(components, &at.join("components")).into_iter().next() {
            Some(fault) => Err(fault),
            None => self.check(components, at),
        }
    }

    /// Components of the newest revision, without extensions.
    ///
    /// # Errors
    ///
    /// A package that `revision` has no words for.
    pub fn downgrade(
        self,
        components: &[Component],
        revision: SpecVersion,
        at: &Pointer,
        losses: &mut Losses,
    ) -> Result<Vec<Component>, DowngradeError> {
        let mut components = components.to_vec();
        for (index, component) in components.iter_mut().enumerate() {
            let at = at.join("components").with(index);
            let (member, reason) = match (self, &component.properties.package) {
                (Self::Charts, Package::Archive { .. }) => {
                    ("packageLocation", "a chart has `repository` and `revision`")
                }
                (Self::Archives, Package::Oci { .. }) => {
                    ("repository", "a Compose component is an archive at `packageLocation`")
                }
                _ => {
                    losses.drain(std::mem::take(&mut component.extensions), &at, NO_EXTENSIONS);
                    continue;
                }
            };
            return Err(cannot_say(revision, &at.join("properties").with(member), reason));
        }
        Ok(components)
    }
}

/// Components in the newest revision's words: other members than extensions have no place.
pub fn upgrade_components(components: &mut [Component], at: &Pointer, losses: &mut Losses) {
    for (index, component) in components.iter_mut().enumerate() {
        let at = at.join("components").with(index);
        let extensions = std::mem::take(&mut component.extensions);
        component.extensions = losses.keep(extensions, &at, Extensions::is_extension_name);
    }
}

/// Parameters without members that no older revision has.
pub(crate) fn downgrade_parameters<'a>(
    parameters: impl IntoIterator<Item = (&'a String, &'a Parameter)>,
    at: &Pointer,
    losses: &mut Losses,
) -> impl Iterator<Item = (String, Parameter)> {
    let mut downgraded = Vec::new();
    for (name, parameter) in parameters {
        let at = at.join("parameters").with(name);
        let mut parameter = parameter.clone();
        losses.drain(std::mem::take(&mut parameter.extensions), &at, NO_EXTENSIONS);
        for (index, target) in parameter.targets.iter_mut().enumerate() {
            let at = at.join("targets").with(index);
            losses.drain(std::mem::take(&mut target.extensions), &at, NO_EXTENSIONS);
        }
        downgraded.push((name.clone(), parameter));
    }
    downgraded.into_iter()
}

/// `revision` has no words for what stands at `at`.
#[must_use]
pub fn cannot_say(revision: SpecVersion, at: &Pointer, reason: &str) -> DowngradeError {
    DowngradeError::new(revision, at.as_str(), reason)
}

/// What found no place.
#[derive(Debug, Default)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What stands at `at` has no place.
    pub fn add(&mut self, at: &Pointer, reason: &str) {
        self.0.push(Loss::new(at.as_str(), reason));
    }

    /// None of these members of `at` has a place.
    pub fn drain(&mut self, extensions: Extensions, at: &Pointer, reason: &str) {
        for (name, _) in extensions {
            self.add(&at.join(name), reason);
        }
    }

    /// Members with a place; the others are lost.
    pub fn keep(
        &mut self,
        extensions: Extensions,
        at: &Pointer,
        has_place: impl Fn(&str) -> bool,
    ) -> Extensions {
        let mut kept = Extensions::new();
        for (name, value) in extensions {
            if has_place(&name) {
                kept.insert(name, value);
            } else {
                self.add(
                    &at.join(name),
                    "the newest revision forbids it here, or means something else by it",
                );
            }
        }
        kept
    }

    /// The list.
    #[must_use]
    pub fn into_vec(self) -> Vec<Loss> {
        self.0
    }
}

/// Moves the member at `from` to `to`, unless the same value is there already. Returns whether it moved.
///
/// # Errors
///
/// Another value is there.
pub(crate) fn relocate(value: &mut Value, from: (&str, &str), to: (&str, &str)) -> Result<bool, Fault> {
    let place = |at: (&str, &str)| at.0.split('/').skip(1).chain([at.1]).fold(Pointer::root(), Pointer::with);
    let Some(moved) = value.pointer(from.0).and_then(|parent| parent.get(from.1)).cloned() else {
        return Ok(false);
    };
    let Some(Value::Object(parent)) = value.pointer_mut(to.0) else { return Ok(false) };
    match parent.get(to.1) {
        Some(there) if *there != moved => {
            let message = format!("differs from `{}`", place(to));
            return Err(Fault::new(place(from), message));
        }
        Some(_) => {}
        None => {
            parent.insert(to.1.to_owned(), moved);
        }
    }
    if let Some(Value::Object(parent)) = value.pointer_mut(from.0) {
        parent.remove(from.1);
    }
    Ok(true)
}

/// The fault of a deployment whose profile has a type that its revision does not know.
pub(crate) fn unknown_type(is_known: bool, text: &str) -> Option<Fault> {
    let at = margo_syntax::pointer!["spec", "deploymentProfile", "type"];
    (!is_known).then(|| Fault::new(at, format!("`{text}` is not a type of profile")))
}
