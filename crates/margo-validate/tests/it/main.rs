//! The rules against our fixtures, their own pages, and bad input.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod budget;
mod fixes;
mod fixtures;
mod hostile;
mod layout;
mod mistakes;
mod options;
mod pages;
mod rest;
mod specification;
