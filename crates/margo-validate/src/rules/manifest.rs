//! What a state manifest must be as a whole: what `DesiredStateManifest::check` finds, in words.

use super::rules;
use crate::Clause;

rules! {
    MISSING_BUNDLE = "missing-bundle", "`bundle` is there, and an archive where there are deployments",
        Clause::must("desired-state#bundle");
    BUNDLE_OF_NOTHING = "bundle-of-nothing", "`bundle` is null where there are no deployments",
        Clause::must("desired-state#bundle");
    WRONG_MEDIA_TYPE = "wrong-media-type", "media types are those of the specification",
        Clause::must("desired-state#bundle"), ["wrong-bundle-media-type"];
    URL_OF_ANOTHER_DIGEST = "url-of-another-digest", "URLs end in the digest of what they lead to",
        Clause::must("desired-state#digest");
    DEPLOYMENT_LISTED_TWICE = "deployment-listed-twice", "a manifest lists a deployment once",
        Clause::must("desired-state#state-manifest");
}
