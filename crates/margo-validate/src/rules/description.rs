//! What an application description must be as a whole: what `margo_application::check_description` finds, in words.

use super::rules;
use crate::Clause;

rules! {
    DUPLICATE_PROFILE_ID = "duplicate-profile-id", "profiles of a description have different ids",
        Clause::must("application-description"), ["repeated-profile-id"];
    CUSTOM_WITHOUT_LABELS = "custom-without-labels", "a `custom` profile selects devices by label",
        Clause::must("application-description#deviceconstraints");
    UNKNOWN_SETTING_PARAMETER = "unknown-setting-parameter", "settings name parameters of the description",
        Clause::must("application-description");
    UNKNOWN_SETTING_SCHEMA = "unknown-setting-schema", "settings name schemas of the configuration",
        Clause::must("application-description");
    DUPLICATE_SCHEMA = "duplicate-schema", "schemas of a configuration have different names",
        Clause::must("application-description#schema-attributes");
    UNUSABLE_SCHEMA = "unusable-schema", "schemas can be followed",
        Clause::must("application-description#schema-attributes"), ["unusable-pattern"];
    DEFAULT_AGAINST_ITS_SCHEMA = "default-against-its-schema", "defaults are valid values",
        Clause::must("application-description#schema-attributes");
}
