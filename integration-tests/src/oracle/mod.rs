//! kappa against Kafka Streams itself, record by record.
//!
//! A [`Scenario`] names a topology with its parameters and lists what is done to it: records, moves of the wall clock,
//! commits. Kafka Streams runs it in [`judge`], kappa in [`run`]; [`compare`] says where they differ, and [`shrink`]
//! makes the smallest scenario that still does. Scenarios come from the judge's own generator and from [`generate`].
//!
//! **To add a topology:** one file in `families/` with a [`Family`], one line in [`families::ALL`], and recorded pairs
//! in `vectors/` (`cargo xtask oracle --record NAME N`), so that machines without Java check it too.

pub mod command;
pub mod compare;
mod context;
pub mod deviations;
pub mod families;
pub mod functions;
pub mod generate;
pub mod judge;
mod late;
mod params;
pub mod rules;
pub mod run;
mod scenario;
pub mod shrink;
pub mod text;
pub mod vectors;

pub use context::{BuildError, Context, Family};
pub use params::Params;
pub use scenario::{Input, Outcome, Output, Pair, Row, Scenario, Step, Window};
