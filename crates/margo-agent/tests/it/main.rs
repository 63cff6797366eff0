//! An agent between a manager, a device and a journal, all in one process, with time under control; and the example
//! for vendors, as the program it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod capabilities;
mod eligible;
mod examples;
mod gateway;
mod outbox;
mod restarts;
mod rounds;
mod runtimes;
mod security;
mod timing;
mod world;
