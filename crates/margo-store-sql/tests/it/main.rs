//! The store as a manager sees it: examined, reopened, killed, shared and damaged.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod concurrency;
mod crash;
mod damage;
mod examination;
mod opening;
mod records;
mod reopening;
