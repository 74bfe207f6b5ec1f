//! Topologies: what an application computes, as data and as something that can be run.

mod plan;

pub use plan::{ChangelogSource, SourcePlan, StorePlan, SubTopologyPlan, TopicRef, TopologyPlan};
