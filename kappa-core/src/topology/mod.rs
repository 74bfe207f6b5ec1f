//! Topologies: what an application computes, as data and as something that can be run.
//!
//! A [`TopologyBuilder`] is told of streams and tables (see [`crate::dsl`]); [`TopologyBuilder::build`]
//! checks the whole and cuts it into sub-topologies; [`Topology::instantiate`] makes the task of one
//! partition, a chain of operators fused by type.

mod assembly;
mod builder;
mod check;
mod describe;
mod description;
mod diff;
mod error;
mod fingerprint;
mod graph;
mod mermaid;
mod parking;
mod plan;
mod planner;
mod quiet;
mod special_stores;
mod svg;
mod wrapping;

pub(crate) use assembly::{Assembly, Entry, OBSERVED, erase};
pub use builder::{Topology, TopologyBuilder};
pub use description::{
    GlobalStoreDescription, NodeDescription, NodeKind, StoreDescription, SubTopologyDescription, TopicDescription,
    TopologyDescription,
};
pub use diff::{ChangeKind, TopologyChange, TopologyDiff, Verdict};
pub use error::TopologyError;
pub(crate) use graph::{
    Erased, FromTopic, Global, GlobalUpdate, Graph, Kind, NodeId, OldValues, OpenAs, SharedGraph, Store, StoreIndex,
};
pub use parking::{parking_control, parking_store};
pub use plan::{
    ChangelogSource, GlobalPlan, SourcePlan, StoreKind, StorePlan, SubTopologyPlan, TopicRef, TopologyPlan,
};
pub(crate) use planner::display;
