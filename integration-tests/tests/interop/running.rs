//! An application of kappa's in this process, for as long as a test needs it.

use super::PATIENCE;
use kappa_core::app::{App, Version};
use kappa_core::log::SharedLog;
use kappa_core::runtime::{RunningApp, Runtime, Settings};
use kappa_core::topology::Topology;
use kappa_integration_tests::records::{ends, partitions, wait_committed};
use kappa_integration_tests::wait::wait_for;
use std::time::Duration;

const BEAT: Duration = Duration::from_millis(100);
const STOPPED: Duration = Duration::from_secs(40);

/// A running application and its log.
#[derive(Debug)]
pub(crate) struct Kappa {
    pub(crate) log: SharedLog,
    running: RunningApp,
}

impl Kappa {
    /// Starts version 1 of `name`; its state is in memory, and what it has committed of repartition topics is purged soon.
    pub(crate) fn start(log: &SharedLog, name: &str, topology: Topology) -> Kappa {
        let settings = Settings {
            registry_topic: format!("{name}-registry"),
            repartition_purge_interval_ms: 200,
            cache_bytes: 0,
            ..Settings::default()
        };
        let app = App::new(name, Version(1), topology).expect("a name");
        let running = Runtime::new(log.clone(), settings).start(&app).unwrap_or_else(|error| panic!("{error}"));
        Kappa { log: log.clone(), running }
    }

    /// Waits until everything in these topics is processed and committed.
    pub(crate) fn wait_processed(self, topics: &[String]) -> Kappa {
        for topic in topics {
            let partitions = partitions(&self.log, topic);
            let ends = ends(&self.log, &partitions);
            let group = self.running.id().to_string();
            let committed = || wait_committed(&self.log, &group, &partitions, &ends, BEAT);
            let done = wait_for(PATIENCE, || match committed() {
                true => Some(true),
                false => self.running.status().failed.then_some(false),
            });
            if done != Some(true) {
                let (status, ended) = (self.running.status(), self.running.stop(STOPPED));
                panic!("{topic} is not processed up to {ends:?}: {ended:?}, {status:?}");
            }
        }
        self
    }

    pub(crate) fn stop(self) {
        self.running.stop(STOPPED).unwrap_or_else(|error| panic!("{error}"));
    }
}
