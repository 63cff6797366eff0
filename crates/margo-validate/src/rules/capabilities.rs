//! What device capabilities must be as a whole: what `AnyDeviceCapabilities::check` finds, in words.

use super::rules;
use crate::Clause;

rules! {
    MISSING_HOSTING_FIELD = "missing-hosting-field", "a device that hosts workloads tells what it offers",
        Clause::must("device-capabilities"), ["hosting-without-resources", "hosting-without-collector"];
    COMPOSE_WITHOUT_OCI = "compose-without-oci", "a device that takes Compose has an OCI runtime",
        Clause::must("device-capabilities");
    FRACTIONAL_CORES = "fractional-cores", "a device has a whole number of cores",
        Clause::should("device-capabilities");
}
