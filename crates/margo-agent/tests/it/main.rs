//! An agent between a manager, a device and a journal, all in one process, with time under control.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod capabilities;
mod outbox;
mod restarts;
mod rounds;
mod security;
mod timing;
mod world;
