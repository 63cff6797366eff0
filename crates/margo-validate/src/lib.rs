//! Everything that is wrong with Margo documents: each finding with its rule, its place, its reason and its remedy.
//!
//! A [`Checker`] takes [`Source`]s and gives a [`Report`]. It never stops at the first fault. Four phases, each
//! complete before the next begins: **read** (syntax and places), **shape** (the JSON Schema of the document's
//! revision), **meaning** (rules on one document) and **relations** (rules across documents). Of a document that fails
//! its shape, the rest is asked what it means, and it is not compared with others.
//!
//! # What it refuses
//!
//! It opens no file, sends nothing and prints nothing; [`render`] makes text of a report. It decides nothing that a
//! model crate decides already: it asks them, and says the answer in a sentence with a place.
//!
//! # Example
//!
//! ```
//! use margo_validate::{Checker, Source};
//!
//! let text = "\
//! id: a3e2f5dc-912e-494f-8395-52cf3769bc06
//! metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
//! spec:
//!   applicationId: pump-monitor
//!   deploymentProfile:
//!     type: helm
//!     components:
//!       - name: collector
//!         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
//!   parameters:
//!     interval:
//!       value: 60
//!       targets: [{ pointer: interval, components: [colector] }]
//! ";
//! let sources = [Source::new("deployment.yaml", text)];
//! let report = Checker::default().check(&sources);
//! let found = &report.diagnostics()[0];
//! assert_eq!(found.rule.name, "unknown-target-component");
//! assert_eq!(found.message, "no component is named `colector`");
//! let place = sources[0].location(found.primary.span.clone().unwrap().start);
//! assert_eq!(place.to_string(), "line 13, column 51");
//! ```
//!
//! # Where to go next
//!
//! [`Options`] for revision, strictness, levels and a vendor's own rules; [`Checker::check_document`] for one
//! document and its value; [`docs::rules`] for every rule there is.

mod checker;
mod diagnostic;
pub mod docs;
mod document;
mod kind;
mod options;
pub mod render;
mod report;
mod reporter;
mod rule;
pub mod rules;
pub mod schema;
mod source;

pub use checker::{Budget, Checker, Inspected};
pub use diagnostic::{Diagnostic, Edit, Fix, Label, Severity};
pub use kind::{DocumentKind, ParseDocumentKindError};
pub use options::{Options, ParseRuleLevelError, RuleLevel, RuleSet, Subject};
pub use report::{Checked, FoundDocument, Report, Valid};
pub use reporter::{Change, Finding, Reporter};
pub use rule::{Clause, Requirement, Rule, RuleInfo};
pub use source::Source;

/// The exit code of a program that checked everything and found no broken `MUST`.
pub const CLEAN: u8 = 0;

/// The exit code of a program that checked everything and found a broken `MUST` (or whatever it was told to fail on).
pub const FINDINGS: u8 = 1;

/// The exit code of a program that could not look: an unreadable file, a wrong option.
pub const COULD_NOT_LOOK: u8 = 2;
