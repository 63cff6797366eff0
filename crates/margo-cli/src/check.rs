//! `margo check`: from what stands on the command line to an [`Outcome`](margo_validate::render::Outcome).

mod expect;
mod fix;
mod plan;
mod run;

pub(crate) use expect::{Expect, UNEXPECTED, judge};
pub(crate) use fix::{Fixing, diff, fix, write};
pub(crate) use plan::{Group, Plan, options};
pub(crate) use run::{Looked, run};
