//! Topologies whose failed records are parked: what each sub-topology has for that.
//!
//! **Invariants:**
//! - The control topic is a sub-topology's last source and the parking store its last store, so that all others keep their places.
//! - Their names follow from the sub-topology's.

use super::graph::Graph;
use super::planner::{SubTopology, display};
use super::{
    ChangelogSource, NodeDescription, NodeKind, SourcePlan, StoreDescription, StoreKind, StorePlan,
    SubTopologyDescription, TopicDescription, TopicRef, TopologyBuilder, TopologyError,
};
use crate::parking::Parking;

/// The form of the store's rows, as descriptions and the fingerprint have it.
const SHAPE: &str = "parked records, version 1";

impl TopologyBuilder {
    /// Parks records that fail: the failed record goes to a parking topic, and later records of its key follow it there until the
    /// key is released, so that the order of each key survives while other keys go on. What the record had done before it failed is
    /// taken back. Records that can't be decoded are parked as well. A key is parked for the source it was read from.
    ///
    /// Released records are processed in their order, with their own timestamps and headers, before anything newer of their key. If
    /// one fails again, it stays parked with those behind it. `kappa parked` on the command line lists, releases and discards;
    /// records in the control topic do so too ([`ParkingCommand`](crate::parking::ParkingCommand)).
    ///
    /// Each sub-topology has a store for that, `<sub-topology>-parked`, and a topic `<sub-topology>-control`: they are part of the
    /// topology, so parking is switched on with a new version. `KAPPA_FAILED_RECORDS` and `KAPPA_BAD_RECORDS` then only decide
    /// about what can't be parked: records without a key. To be able to take records back costs some time for each of them.
    ///
    /// ```
    /// use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    ///
    /// let mut app = Topology::builder();
    /// app.park_failed_keys();
    /// app.stream("amounts", utf8(), i64_be()).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("amounts", utf8(), i64_be());
    /// input.pipe_bytes(Some(b"ann"), Some(b"ten"), 1)?;
    /// input.pipe("ann", 20, 2)?;
    /// input.pipe("bob", 30, 3)?;
    /// let out = driver.output("out", utf8(), i64_be());
    /// assert_eq!(out.read_all()?, [("bob".into(), Some(30), 3)]);
    /// assert_eq!(driver.parked()?[0].records, 2);
    ///
    /// driver.discard_first("amounts", "ann")?;
    /// driver.release("amounts", "ann")?;
    /// assert_eq!(out.read_all()?, [("ann".into(), Some(20), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn park_failed_keys(&mut self) {
        self.graph.borrow_mut().parks = true;
    }
}

/// The name of a sub-topology's parking store.
pub fn parking_store(sub_topology: &str) -> String {
    format!("{sub_topology}-parked")
}

/// The topic that a sub-topology takes parking commands from.
pub fn parking_control(sub_topology: &str) -> TopicRef {
    TopicRef::Control(sub_topology.to_owned())
}

/// Gives each sub-topology what parking needs.
pub(super) fn extend(graph: &Graph, subs: &mut [SubTopology]) -> Result<(), TopologyError> {
    for sub in subs {
        let plan = &mut sub.plan;
        let name = parking_store(&plan.name);
        if graph.stores.iter().any(|store| store.needed && store.name == name) {
            return Err(TopologyError::DuplicateName { what: "store", name });
        }
        let changelog = TopicRef::Changelog(name.clone());
        let place = plan.outputs.partition_point(|output| *output < changelog);
        plan.outputs.insert(place, changelog);
        for store in &mut plan.stores {
            if let ChangelogSource::Own { output } = &mut store.changelog {
                *output += usize::from(*output >= place);
            }
        }
        let changelog = ChangelogSource::Own { output: place };
        plan.stores.push(StorePlan { name, changelog, kind: StoreKind::KeyValue });
        plan.sources.push(SourcePlan { topic: parking_control(&plan.name), partitions: None, aligned: true });
    }
    Ok(())
}

/// What a task of the sub-topology is told.
pub(super) fn parking(sub: &SubTopology) -> Parking {
    let store = parking_store(&sub.plan.name);
    let changelog = TopicRef::Changelog(store.clone());
    let changelog = sub.plan.outputs.partition_point(|output| *output < changelog);
    let sources = sub.plan.sources.iter().map(|source| display(&source.topic)).collect();
    let restoring = (sub.plan.stores.iter())
        .filter_map(|store| match store.changelog {
            ChangelogSource::Input { source } => Some(source),
            _ => None,
        })
        .collect();
    Parking { sources, restoring, store, changelog }
}

/// For the fingerprint.
pub(super) fn line() -> String {
    format!("{SHAPE}\n")
}

/// Adds it to the sub-topology's description.
pub(super) fn describe(sub: &mut SubTopologyDescription) {
    let store = parking_store(&sub.name);
    sub.nodes.push(NodeDescription {
        name: format!("{}.parking", sub.name),
        kind: NodeKind::Source(TopicDescription {
            topic: parking_control(&sub.name),
            partitions: None,
            key: "none".to_owned(),
            value: "parking commands".to_owned(),
        }),
        stores: vec![store.clone()],
        parents: Vec::new(),
        children: Vec::new(),
    });
    sub.stores.push(StoreDescription {
        name: store.clone(),
        shape: SHAPE.to_owned(),
        kind: StoreKind::KeyValue,
        changelog: TopicRef::Changelog(store),
    });
}
