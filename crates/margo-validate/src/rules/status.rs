//! What a deployment status must be as a whole: what the model crate finds, in words.

use super::rules;
use crate::Clause;

rules! {
    OVERALL_STATE = "overall-state-contradicts-components", "the overall state is the most severe of the components'",
        Clause::should("deployment-status#status-attributes");
    ERROR_WITHOUT_CODE = "error-without-code", "an error has a code, a source and a message",
        Clause::should("deployment-status#status-attributes");
    RESERVED_ERROR_CODE = "reserved-error-code", "the codes 101 to 103 are the gateways'",
        Clause::should("deployment-status#status-attributes");
}
