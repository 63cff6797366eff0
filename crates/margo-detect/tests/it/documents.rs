//! Our own documents and the specification's examples.

use std::path::{Path, PathBuf};

use margo_core::SpecVersion;
use margo_deployment::write_bundle;
use margo_detect::{DocumentKind, detect};
use margo_syntax::Limits;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Every valid document lies in a folder named for its revision, in one named for its kind.
#[test]
fn our_own_documents_are_what_their_folders_say() {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"));
    let (mut documents, mut certain) = (0, 0);
    for revisions in [fixtures.join("valid"), fixtures.join("messages/accepted")] {
        for revision in SpecVersion::ALL {
            for folder in entries(&revisions.join(revision.as_str())) {
                let kind: DocumentKind = name(&folder).parse().unwrap();
                for path in entries(&folder) {
                    let identity = detect(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
                    let place = path.display();
                    assert_eq!(identity.kind(), Some(kind), "{place}: {identity}");
                    assert!(identity.allows(kind, revision), "{place}: {identity}");
                    assert!(identity.candidates.iter().all(|found| !found.reasons.is_empty()), "{place}");
                    documents += 1;
                    certain += usize::from(identity.revision() == Some(revision));
                }
            }
        }
    }
    assert!(documents >= 110, "{documents}");
    // Most shapes belong to one revision; what does not is a manifest, a message, or a document with little in it.
    assert!(certain * 2 > documents, "{certain} of {documents}");
}

/// What the specification calls its examples, up to the first character that is none of a name, and what they are.
const EXAMPLES: [(&str, DocumentKind); 16] = [
    ("ApplicationDeployment", DocumentKind::ApplicationDeployment),
    ("DesiredState", DocumentKind::ApplicationDeployment),
    ("ApplicationDescription", DocumentKind::ApplicationDescription),
    ("StateManifest", DocumentKind::DesiredStateManifest),
    ("DeviceCapabilities", DocumentKind::DeviceCapabilities),
    ("DeviceCapabilitiesManifest", DocumentKind::DeviceCapabilities),
    ("DeploymentStatus", DocumentKind::DeploymentStatus),
    ("DeploymentStatusManifest", DocumentKind::DeploymentStatus),
    ("OnboardingRequest", DocumentKind::OnboardingRequest),
    ("OnboardingResponse", DocumentKind::OnboardingResponse),
    ("RootCertificateResponse", DocumentKind::RootCertificateResponse),
    ("TokenResponse", DocumentKind::TokenResponse),
    ("ProblemDetail", DocumentKind::ProblemDetail),
    ("DiscoveryDocument", DocumentKind::DiscoveryDocument),
    ("SpiffeBundle", DocumentKind::SpiffeBundle),
    ("gateway", DocumentKind::ApplicationDeployment),
];

#[test]
fn the_specifications_examples_are_what_they_are_called() {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
        return;
    }
    let mut seen = 0;
    for letter in ["A", "B", "C", "D"] {
        for path in entries(&folder.join(letter).join("valid")) {
            let file = name(&path);
            let called: String = file.chars().take_while(char::is_ascii_alphabetic).collect();
            let Some((_, kind)) = EXAMPLES.iter().find(|(name, _)| *name == called) else {
                panic!("{letter}/{file} is called as nothing known");
            };
            let identity = detect(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
            assert_eq!(identity.kind(), Some(*kind), "{letter}/{file}: {identity}");
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
}

/// No text at all: gzip, and inside it what a bundle is made of.
#[test]
fn a_bundle_is_told_by_its_archive() {
    let id = "a3e2f5dc".parse().unwrap();
    let bundle = write_bundle([(&id, &"id: a3e2f5dc\n".into())]);
    let identity = detect(&bundle, &Limits::default()).unwrap();
    assert_eq!((identity.kind(), identity.revision()), (Some(DocumentKind::Bundle), None));
    assert!(!identity.allows(DocumentKind::Bundle, SpecVersion::PreDraft));
    assert!(detect(&bundle[..bundle.len() / 2], &Limits::default()).unwrap().is_none());
    assert!(detect(&[0x1f, 0x8b], &Limits::default()).unwrap().is_none());
}

/// Ambiguous and unknown are answers; what is no text is an error with a place.
#[test]
fn what_nothing_tells_is_said() {
    let detect = |text: &str| detect(text.as_bytes(), &Limits::default());
    for text in ["{}", "[]", "null", "services: { web: { image: nginx } }", "name: chart\nversion: 1.0.0\n"] {
        let identity = detect(text).unwrap();
        assert!(identity.is_none() && !identity.is_ambiguous(), "{text}: {identity}");
        assert_eq!((identity.kind(), identity.to_string().as_str()), (None, "no known document"));
    }
    // Members of two messages: neither is more likely.
    let both = detect(r#"{"clientId": "c-7", "certificate": "MAA="}"#).unwrap();
    assert!(both.is_ambiguous() && both.kind().is_none(), "{both}");
    assert!(both.allows(DocumentKind::OnboardingResponse, SpecVersion::V1_0_0Rc1));
    assert!(both.allows(DocumentKind::RootCertificateResponse, SpecVersion::PreDraft));

    // YAML in braces is YAML; what is neither is told as what it looks like.
    assert_eq!(detect("{trustDomain: a.b, trustBundleUri: 'https://a.b'}").unwrap().candidates.len(), 1);
    assert!(detect("{\"a\": 1,").is_err());
    assert!(detect("a: 1\na: 2\n").unwrap_err().to_string().contains("duplicate key"));
    assert!(detect("a: 1\n---\nb: 2\n").is_err());
}

#[test]
fn every_kind_is_called_by_its_name() {
    for kind in DocumentKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("application".parse::<DocumentKind>().is_err());
}
