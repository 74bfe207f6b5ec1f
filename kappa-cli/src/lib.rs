//! The `kappa` command without its connection: what it does on any log.
//!
//! Exit codes: 0 done · 1 the log failed or can't be reached · 2 wrong usage or setting · 3 refused, nothing was changed
//! (behind, unknown version, nothing to roll back to) · 4 another writer was first, nothing was changed here.

mod arguments;
mod change;
mod failure;
mod parked;
mod status;
mod text;
mod topology;

pub use arguments::{Arguments, Command, Form, ParkedArguments, TopologyCommand};
pub use failure::{Exit, Failure};

use kappa_core::log::SharedLog;
use std::io::Write;

/// Runs a command. What it has to say goes to `out`; what went wrong is returned. `connect` gives the log, and is called by
/// those commands that need it.
///
/// `now_ms` is the time, ms since 1970.
pub fn run(
    arguments: &Arguments,
    connect: &dyn Fn() -> Result<SharedLog, Failure>,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match &arguments.command {
        Command::Status { app } => status::status(arguments, &connect()?, app.as_deref(), now_ms, out),
        Command::Promote { app, version, wait } => {
            change::promote(arguments, &connect()?, (app, version, *wait), now_ms, out)
        }
        Command::Rollback { app } => change::rollback(arguments, &connect()?, app, now_ms, out),
        Command::Parked(wanted) => parked::parked(arguments, &connect()?, wanted, out),
        Command::Topology(TopologyCommand::Show { topology, format }) => {
            topology::show(arguments, connect, topology, *format, out)
        }
        Command::Topology(TopologyCommand::Diff { older, newer }) => {
            topology::diff(arguments, connect, (older, newer), out)
        }
    }
}
