//! Refusals are logged as security events (R-B-030).

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use margo_agent::MemoryJournal;
use margo_api::{SourceError, SourceErrorKind};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::{World, deployment};

/// Remembers what is logged under the security target.
#[derive(Clone, Default)]
struct SecurityLog(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for SecurityLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "margo_agent::security"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                // Writing to a `String` cannot fail.
                let _ = write!(self.0, "{}={value:?} ", field.name());
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_rolled_back_manifest_is_a_security_event() {
    let log = SecurityLog::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let world = World::new();
    let mut agent = world.agent(MemoryJournal::new());
    world.desire(9, &[&deployment("d", &["a"], "1")]);
    agent.reconcile().await.unwrap();
    assert!(log.0.lock().unwrap().is_empty());
    world.desire(8, &[]);
    agent.reconcile().await.unwrap_err();
    // The source saw it first.
    world.lock().poll_failures.push_back(SourceError::new(SourceErrorKind::RolledBack));
    agent.reconcile().await.unwrap_err();
    // Anything else is no such event.
    world.lock().poll_failures.push_back(SourceError::new(SourceErrorKind::Unavailable));
    agent.reconcile().await.unwrap_err();
    drop(guard);
    let events = log.0.lock().unwrap();
    let [(level, text), (other, _)] = &events[..] else { panic!("expected two events, found {events:?}") };
    assert_eq!((*level, *other), (Level::WARN, Level::WARN));
    assert!(text.contains("offered=8 ") && text.contains("known=9 "), "{text}");
}
