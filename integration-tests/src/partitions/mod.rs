//! The same through real partitions: scenarios of the families run through the whole runtime (coordinators, stream threads,
//! restorers, transactions) on the embedded log, with three partitions, two instances, restarts and moves of tasks at random
//! moments. What is committed in the end must be what single-partition runs of the test driver make of the same records.
//!
//! - [`operators`]: what is run, one entry an operator.
//! - [`plan`]: what is fed when, and what the test driver makes of it.
//! - [`cluster`]: two instances on one thread, disturbed by a seed.
//! - [`outcome`]: what is committed, and whether it is the same.
//!
//! **What is compared:** every record of every output topic, for each key in order (value, timestamp, headers), and the rows of
//! every store, read from its changelog. Nothing else can be expected of partitions: each has a time of its own, and there is
//! no order between them. So
//! - without repartitioning, what must come is what single-partition runs make of each partition's records, in whatever order
//!   the timestamps put them;
//! - with repartitioning, records are fed one by one, each processed to the end before the next, and what must come is what one
//!   single-partition run makes of them all. Where results depend on time, records then come in order of time, and the last ones
//!   close every window in every partition; each key's results are compared without their order and their headers,
//!   since the moment at which something is due differs.

pub mod cluster;
pub mod operators;
pub mod outcome;
pub mod plan;

use crate::oracle::Scenario;
use crate::random::Random;
use cluster::Cluster;
use operators::Operator;
use plan::Plan;

/// How often things happened, so that a run can show that they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records fed.
    pub records: u64,
    /// Records compared.
    pub outputs: u64,
    /// Processes that crashed.
    pub crashes: u64,
    /// Of these, with the loss of their disk.
    pub lost_disks: u64,
    /// Processes that stopped in good order.
    pub stops: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.outputs += other.outputs;
        self.crashes += other.crashes;
        self.lost_disks += other.lost_disks;
        self.stops += other.stops;
    }
}

/// Runs the `number`th scenario of an operator; an error says what is wrong.
pub fn check(operator: &Operator, seed: u64, number: u64) -> Result<Tally, String> {
    let (scenario, plan) = operator.scenario(seed, number)?;
    run(&scenario, &plan, Random::seeded(seed ^ number.rotate_left(17))).map_err(|what| {
        let json = serde_json::to_string(&scenario).unwrap_or_default();
        format!("{what}\nfed {:?}, in this order: {json}", plan.feeding)
    })
}

fn run(scenario: &Scenario, plan: &Plan, random: Random) -> Result<Tally, String> {
    let mut cluster = Cluster::new(&plan.built, scenario, plan.feeding, random)?;
    cluster.run(plan)?;
    let found = outcome::committed(&cluster.log, &cluster.layout, &plan.built)?;
    let outputs = outcome::compare(&plan.expected, &found, plan.in_order)?;
    Ok(Tally { outputs, ..cluster.tally })
}
