//! kappa's side of the judge's topologies, one a file.

mod aggregate;
mod stateless;

use super::Family;

/// All of them, by the judge's names.
pub const ALL: &[(&str, &dyn Family)] = &[("aggregate", &aggregate::Aggregate), ("stateless", &stateless::Stateless)];

/// The family of a topology.
pub fn find(topology: &str) -> Option<&'static dyn Family> {
    ALL.iter().find(|(name, _)| *name == topology).map(|(_, family)| *family)
}
