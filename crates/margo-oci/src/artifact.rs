use margo_application::package::{
    COMPOSE_ARTIFACT_TYPE, COMPOSE_MEDIA_TYPE, Descriptor, MANIFEST_MEDIA_TYPE, PackageManifest,
};

use crate::{FetchError, FetchErrorKind, Reference};

/// The media type of a Helm chart's config in a registry.
const CHART_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

/// The media type of a Helm chart's layer.
const CHART_CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// What is expected at a reference (revision D, section 3.8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Artifact {
    /// A Compose component.
    Compose,
    /// A Helm chart, as `helm push` makes it.
    Chart,
    /// What a supplier and a device agree on for a `custom` profile (R-D-031).
    Custom {
        /// The artifact type of the manifest.
        artifact_type: String,
        /// The media type of the one layer that is wanted.
        layer: String,
    },
}

impl Artifact {
    /// The media type of the layer that is wanted.
    #[must_use]
    pub fn layer_media_type(&self) -> &str {
        match self {
            Self::Compose => COMPOSE_MEDIA_TYPE,
            Self::Chart => CHART_CONTENT,
            Self::Custom { layer, .. } => layer,
        }
    }

    /// Reads a manifest that says it is of `media_type`, and finds the one layer that is wanted in it.
    pub(crate) fn layer(
        &self,
        reference: &Reference,
        media_type: &str,
        manifest: &[u8],
    ) -> Result<Descriptor, FetchError> {
        let wrong =
            |problem: String| FetchError::new(FetchErrorKind::WrongType, format!("`{reference}` {problem}"));
        if media_type != MANIFEST_MEDIA_TYPE {
            let shown: String = media_type.chars().take(100).collect();
            return Err(wrong(format!("is a `{shown}`, expected `{MANIFEST_MEDIA_TYPE}`")));
        }
        let manifest: PackageManifest = serde_json::from_slice(manifest)
            .map_err(|error| wrong(format!("is no image manifest: {error}")).because(error))?;
        if manifest.schema_version != 2
            || manifest.media_type.as_deref().is_some_and(|inner| inner != MANIFEST_MEDIA_TYPE)
        {
            return Err(wrong("says of itself that it is something else than an image manifest".to_owned()));
        }
        let expected = match self {
            Self::Compose => COMPOSE_ARTIFACT_TYPE,
            Self::Chart => CHART_CONFIG,
            Self::Custom { artifact_type, .. } => artifact_type,
        };
        // Helm says what it is by the type of its config, as all did before artifact types.
        let found = match self {
            Self::Chart => Some(manifest.config.media_type.as_str()),
            _ => manifest.artifact_type.as_deref(),
        };
        if found != Some(expected) {
            let found: String = found.unwrap_or("nothing").chars().take(100).collect();
            return Err(wrong(format!("is an artifact of type `{found}`, expected `{expected}`")));
        }
        let wanted = self.layer_media_type();
        let mut layers = manifest.layers.into_iter().filter(|layer| layer.media_type == wanted);
        match (layers.next(), layers.next()) {
            (Some(layer), None) => Ok(layer),
            (None, _) => Err(wrong(format!("has no layer of type `{wanted}`"))),
            (Some(_), Some(_)) => Err(wrong(format!("has more than one layer of type `{wanted}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compose() -> Value {
        let mut manifest = PackageManifest::new(vec![Descriptor::of(COMPOSE_MEDIA_TYPE, b"layer")]);
        manifest.artifact_type = Some(COMPOSE_ARTIFACT_TYPE.to_owned());
        serde_json::to_value(manifest).unwrap()
    }

    fn layer(artifact: &Artifact, manifest: &Value) -> Result<Descriptor, String> {
        let reference = Reference::new("oci://r.example/a", "1").unwrap();
        artifact
            .layer(&reference, MANIFEST_MEDIA_TYPE, &serde_json::to_vec(manifest).unwrap())
            .map_err(|error| error.to_string())
    }

    /// R-D-034, revision D, section 3.8.
    #[test]
    fn a_compose_component_has_its_own_types() {
        assert_eq!(
            layer(&Artifact::Compose, &compose()).unwrap(),
            Descriptor::of(COMPOSE_MEDIA_TYPE, b"layer")
        );
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut manifest = compose();
            change(&mut manifest);
            layer(&Artifact::Compose, &manifest).unwrap_err()
        };
        let error = refused(&|m| m["artifactType"] = json!("application/vnd.docker.compose.project"));
        assert!(error.contains("`application/vnd.docker.compose.project`, expected"), "{error}");
        assert!(refused(&|m| drop(m.as_object_mut().unwrap().remove("artifactType"))).contains("`nothing`"));
        assert!(refused(&|m| m["layers"][0]["mediaType"] = json!("application/gzip")).contains("no layer"));
        assert!(refused(&|m| m["layers"] = json!([])).contains("no layer"));
        assert!(
            refused(&|m| m["layers"] = json!([m["layers"][0], m["layers"][0]])).contains("more than one")
        );
        assert!(refused(&|m| m["mediaType"] = json!("x")).contains("says of itself"));
        assert!(refused(&|m| m["schemaVersion"] = json!(1)).contains("says of itself"));
        assert!(refused(&|m| m["layers"][0]["digest"] = json!("md5:1")).contains("no image manifest"));
        assert!(refused(&|m| *m = json!([])).contains("no image manifest"));
    }

    #[test]
    fn a_chart_is_known_by_its_config() {
        let chart = json!({
            "schemaVersion": 2,
            "config": Descriptor::of(CHART_CONFIG, b"{}"),
            "layers": [
                Descriptor::of(CHART_CONTENT, b"chart"),
                Descriptor::of("application/vnd.cncf.helm.chart.provenance.v1.prov", b"proof"),
            ],
        });
        assert_eq!(layer(&Artifact::Chart, &chart).unwrap(), Descriptor::of(CHART_CONTENT, b"chart"));
        assert!(layer(&Artifact::Chart, &compose()).unwrap_err().contains("expected `application/vnd.cncf"));
        assert!(layer(&Artifact::Compose, &chart).unwrap_err().contains("`nothing`"));
    }

    /// R-D-031.
    #[test]
    fn a_custom_component_has_the_types_that_were_agreed() {
        let custom = Artifact::Custom {
            artifact_type: "application/vnd.acme.plc+json".to_owned(),
            layer: "application/vnd.acme.plc.st".to_owned(),
        };
        let mut manifest = PackageManifest::new(vec![Descriptor::of("application/vnd.acme.plc.st", b"x")]);
        manifest.artifact_type = Some("application/vnd.acme.plc+json".to_owned());
        let manifest = serde_json::to_value(manifest).unwrap();
        assert!(layer(&custom, &manifest).is_ok());
        assert!(layer(&custom, &compose()).is_err());
    }
}
