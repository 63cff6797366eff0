use bytes::Bytes;
use margo_application::AnyApplicationDescription;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{Deviation, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_status::AnyDeploymentStatus;
use margo_syntax::{Fault, Node, Pointer, Tree};

use crate::DocumentKind;

pub(crate) mod detect;

/// A document as it was written: what it is, and its text.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) source: usize,
    pub(crate) index: usize,
    pub(crate) kind: DocumentKind,
    pub(crate) revision: SpecVersion,
    /// `None` for what is not text, such as an archive.
    pub(crate) tree: Option<Tree>,
    /// What it means, if its shape tells.
    pub(crate) value: Option<Value>,
    /// The bytes of the source, if it holds nothing else.
    pub(crate) bytes: Option<Bytes>,
}

impl Written {
    /// The value at a place of the text.
    pub(crate) fn at(&self, pointer: &Pointer) -> Option<Node<'_>> {
        self.tree.as_ref()?.get(pointer)
    }
}

/// What a document means.
#[derive(Clone, Debug)]
#[doc(hidden)]
#[expect(unnameable_types, reason = "the sealed trait `Subject` takes itself out of it")]
#[non_exhaustive]
pub enum Value {
    ApplicationDeployment(Box<AnyApplicationDeployment>),
    ApplicationDescription(Box<AnyApplicationDescription>),
    DesiredStateManifest(Box<DesiredStateManifest>),
    DeploymentStatus(Box<AnyDeploymentStatus>),
    DeviceCapabilities(Box<AnyDeviceCapabilities>),
}

impl Value {
    /// Reads an untyped value as a document of this kind and revision; the model crate decides.
    pub(crate) fn read(
        tree: &Tree,
        value: serde_json::Value,
        kind: DocumentKind,
        revision: SpecVersion,
    ) -> Result<Self, Fault> {
        match kind {
            DocumentKind::ApplicationDeployment => AnyApplicationDeployment::from_value(value, revision)
                .map(|value| Self::ApplicationDeployment(Box::new(value))),
            DocumentKind::ApplicationDescription => {
                AnyApplicationDescription::from_tree(tree, value, revision)
                    .map(|value| Self::ApplicationDescription(Box::new(value)))
            }
            DocumentKind::DesiredStateManifest => {
                margo_syntax::from_value(value).map(|value| Self::DesiredStateManifest(Box::new(value)))
            }
            DocumentKind::DeploymentStatus => AnyDeploymentStatus::of_revision(&value, revision)
                .map(|value| Self::DeploymentStatus(Box::new(value))),
            DocumentKind::DeviceCapabilities => AnyDeviceCapabilities::of_revision(&value, revision)
                .map(|value| Self::DeviceCapabilities(Box::new(value))),
            DocumentKind::Bundle => Err(Fault::new(Pointer::root(), "an archive is not text")),
        }
    }

    /// What the revision does not allow in one place, and a lenient reader lets pass.
    pub(crate) fn check(&self) -> Vec<Fault> {
        match self {
            Self::ApplicationDeployment(value) => value.check(),
            Self::ApplicationDescription(value) => value.check(),
            Self::DesiredStateManifest(_) => Vec::new(),
            Self::DeploymentStatus(value) => value.check(),
            Self::DeviceCapabilities(value) => value.check(),
        }
    }

    /// What its places say about each other, and no manager or client accepts.
    pub(crate) fn contradictions(&self) -> Vec<Fault> {
        match self {
            Self::ApplicationDescription(value) => match &**value {
                AnyApplicationDescription::Rc3(newest) => margo_application::check_description(newest),
                older => margo_application::check_description(&older.clone().upgrade().value),
            },
            Self::DesiredStateManifest(value) => value.check(),
            _ => Vec::new(),
        }
    }
}

/// How a document is written otherwise than we would write it.
pub(crate) fn deviations(
    value: &serde_json::Value,
    kind: DocumentKind,
    revision: SpecVersion,
) -> Vec<Deviation> {
    match kind {
        DocumentKind::ApplicationDeployment => AnyApplicationDeployment::deviations(value, revision),
        DocumentKind::ApplicationDescription => AnyApplicationDescription::deviations(value, revision),
        DocumentKind::DesiredStateManifest => {
            margo_core::deviations(DesiredStateManifest::INTERPRETATIONS, revision, value)
        }
        DocumentKind::DeploymentStatus => AnyDeploymentStatus::deviations(value, revision),
        DocumentKind::DeviceCapabilities => AnyDeviceCapabilities::deviations(value, revision),
        DocumentKind::Bundle => Vec::new(),
    }
}
