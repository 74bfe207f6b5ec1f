//! kappa's side of the judge's topologies, one a file.

mod aggregate;
mod process_values;
mod processor;
mod stateless;

use super::Family;

/// All of them, by the judge's names.
pub const ALL: &[(&str, &dyn Family)] = &[
    ("aggregate", &aggregate::Aggregate),
    ("process_values", &process_values::ProcessValues),
    ("processor", &processor::Script),
    ("stateless", &stateless::Stateless),
];

/// The family of a topology.
pub fn find(topology: &str) -> Option<&'static dyn Family> {
    ALL.iter().find(|(name, _)| *name == topology).map(|(_, family)| *family)
}
