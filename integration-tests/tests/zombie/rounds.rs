//! Two processes, frozen in turns at every kind of moment while records keep coming.

use super::{APP, PARTITIONS, PATIENCE, alone};
use kappa_integration_tests::pausing::{Freezer, Order, Point};
use kappa_integration_tests::process::Process;
use kappa_integration_tests::random::Random;
use kappa_integration_tests::records::{Feeder, Writer, ends, partitions, wait_committed};
use kappa_integration_tests::totals::{self, Setup, end_well};
use kappa_integration_tests::wait::wait_until;
use kappa_integration_tests::{Options, harness};
use std::collections::BTreeMap;

/// What a woken process says about its work.
const REFUSED: [&str; 3] = ["transaction refused", "tasks lost", "no longer this process's"];

/// Two processes, frozen in turns while records keep coming.
struct Rounds {
    setup: Setup,
    processes: Vec<(Process, Freezer)>,
    random: Random,
    /// How often a woken process said what.
    said: BTreeMap<&'static str, u32>,
    let_through: u32,
}

/// How far the take-over has come when the frozen process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Some moment around the end of its session.
    About,
    /// Its input is another's, its transaction may still be open.
    InputTaken,
    /// All its tasks are another's.
    AllTaken,
}

impl Rounds {
    fn start(brokers: &str) -> Rounds {
        let setup = Setup::new(APP, brokers, PARTITIONS);
        let processes = ["a", "b"].map(|name| {
            let freezer = Freezer::new(&setup.orders(name));
            let mut command = setup.command(name);
            command
                .env("KAPPA_TEST_ORDERS", freezer.dir())
                .env("KAPPA_TRANSACTION_TIMEOUT_MS", "6000")
                .env("KAPPA_REPARTITION_PURGE_INTERVAL_MS", "200");
            (Process::start(name, &mut command), freezer)
        });
        let (processes, random) = (processes.into(), Random::from_env());
        Rounds { setup, processes, random, said: BTreeMap::new(), let_through: 0 }
    }

    fn run(mut self, rounds: usize) {
        let writer = Writer::open(&self.setup.log, &self.setup.input);
        let feeder = Feeder::start(writer, 1_000, |writer, n| totals::put(writer, n, PARTITIONS));
        for (process, _) in &mut self.processes {
            process.wait_line("running", PATIENCE);
        }
        for round in 0..rounds {
            let point = Point::ALL[round % Point::ALL.len()];
            let order = Order { point, count: 1 + self.random.below(8) as u32, hold: false };
            let until = [Until::About, Until::InputTaken, Until::AllTaken, Until::AllTaken][self.random.index(4)];
            self.round(round, order, until);
        }
        let fed = feeder.stop();
        self.setup.wait_exact(PATIENCE);
        for (process, _) in &mut self.processes {
            end_well(process);
        }
        let differences = self.setup.differences();
        assert!(differences.is_empty(), "after the end: {differences:?}");
        eprintln!(
            "{rounds} rounds, {fed} records, exact; what woken processes said: {:?}; rounds that lost nothing: {}",
            self.said, self.let_through
        );
    }

    fn round(&mut self, round: usize, order: Order, until: Until) {
        let victim = self.random.index(self.processes.len());
        let other = 1 - victim;
        let (process, freezer) = &mut self.processes[victim];
        freezer.order(order);
        let frozen = wait_until(PATIENCE, || freezer.is_frozen());
        assert!(frozen, "round {round}: {order} was not reached\n{}", process.log());
        let heard = process.log().len();
        let other_heard = self.processes[other].0.log().len();
        self.wait_for_takeover(round, order, until);
        if until != Until::About {
            // Where the frozen process had no part of the input, that the input goes on says nothing: its tasks must be another's.
            let (process, _) = &self.processes[other];
            let taken = wait_until(PATIENCE, || process.log()[other_heard..].contains("tasks assigned"));
            assert!(taken, "round {round}: {order}: the other process was not given its tasks\n{}", process.log());
        }
        // Around the end of its session it may have lost nothing: then it says nothing, and just goes on.
        let patience = if until == Until::About { self.setup.session() * 2 } else { PATIENCE };
        let (process, freezer) = &mut self.processes[victim];
        freezer.release(process);
        let log_since = |process: &Process| process.log()[heard..].to_owned();
        let mut seen = String::new();
        let back = wait_until(patience, || {
            seen = log_since(process);
            assert!(process.exited().is_none(), "round {round}: {order}: it ended\n{}", process.log());
            REFUSED.iter().any(|text| seen.contains(text)) && seen.contains("tasks assigned")
        });
        assert!(back || until == Until::About, "round {round}: {order} {until:?}: neither refused nor back\n{seen}");
        let words: Vec<&'static str> = REFUSED.into_iter().filter(|text| seen.contains(text)).collect();
        words.iter().for_each(|text| *self.said.entry(text).or_default() += 1);
        self.let_through += u32::from(words.is_empty());
        eprintln!("round {round}: {order}, until {until:?}: {words:?}");
    }

    /// Waits until the others have taken over as far as `until` says.
    fn wait_for_takeover(&mut self, round: usize, order: Order, until: Until) {
        let setup = &self.setup;
        let topics = match until {
            Until::About => {
                let session = setup.session();
                std::thread::sleep(self.random.between(session * 3 / 4, session * 3 / 2));
                vec![]
            }
            Until::InputTaken => vec![setup.input.clone()],
            Until::AllTaken => vec![setup.input.clone(), setup.repartition()],
        };
        for topic in topics {
            let partitions = partitions(&setup.log, &topic);
            let ends = ends(&setup.log, &partitions);
            let taken = wait_committed(&setup.log, &setup.application_id(), &partitions, &ends, PATIENCE);
            assert!(taken, "round {round}: {order}: {topic} was not taken over up to {ends:?}");
        }
    }
}

#[test]
#[ignore = "takes over three minutes; run by cargo xtask soak"]
fn soak_a_frozen_process_is_refused_when_it_wakes() {
    let Some(brokers) = harness::brokers() else { return };
    let _alone = alone();
    Rounds::start(&brokers).run(Point::ALL.len());
}

#[test]
#[ignore = "three brokers and the application are too much for two cores in the ordinary run; run by cargo xtask soak"]
fn soak_a_frozen_process_is_refused_on_three_brokers() {
    let _alone = alone();
    let Some(cluster) = harness::own_broker(&Options { nodes: 3, ..Options::default() }) else { return };
    Rounds::start(&cluster.bootstrap()).run(2);
}

#[test]
#[ignore = "a soak test: about twenty minutes"]
fn soak_zombie() {
    let Some(brokers) = harness::brokers() else { return };
    let _alone = alone();
    Rounds::start(&brokers).run(100);
}

#[test]
#[ignore = "a soak test: about twenty minutes"]
fn soak_zombie_on_three_brokers() {
    let _alone = alone();
    let Some(cluster) = harness::own_broker(&Options { nodes: 3, ..Options::default() }) else { return };
    Rounds::start(&cluster.bootstrap()).run(100);
}
