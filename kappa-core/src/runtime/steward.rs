//! Looks after a running version from the side: makes the first version of an app live when it has caught up, measures
//! how far behind it is, and purges its repartition topics.
//!
//! Invariants:
//! - Nothing of the data path waits for this thread; trouble here is logged and tried again.
//! - A version replays from when it was found far behind until it has caught up with what was there then, or is live; once that is
//!   over it does not replay again before its next start.
//! - Clients are kept as long as they are of use and no longer: each costs several threads and connections.

use super::clock::Clock;
use super::purge::Purger;
use super::shared::Shared;
use crate::deploy::{CatchUp, Progress};
use crate::log::{LogError, SharedLog};
use crate::registry::{FirstLive, Manifest, Registry};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A version that is less behind than this does not replay: it is there in no time.
const REPLAY_FROM_RECORDS: u64 = 100_000;
const PACE: Duration = Duration::from_millis(250);
const LAG_INTERVAL_MS: i64 = 5_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// What is known of a version that wants to go live by itself.
enum Decision {
    /// Nothing yet.
    Open,
    /// It is live.
    Live,
    /// It is for somebody else to make it live.
    Hidden,
}

/// The steward of one running version.
pub(crate) struct Steward {
    pub(crate) log: SharedLog,
    /// Until it is decided whether this version goes live by itself.
    pub(crate) registry: Option<Registry>,
    pub(crate) manifest: Manifest,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) progress: Arc<Mutex<Option<Progress>>>,
    /// Whether a version that is far behind replays.
    pub(crate) may_replay: bool,
    /// Deletes what repartition topics are no longer needed for.
    pub(crate) purger: Option<Purger>,
}

impl Steward {
    pub(crate) fn run(mut self) {
        let mut question = None;
        // Whether this version, which is not to go live by itself, has caught up; only while that is not known.
        let mut hidden = None;
        let mut lag_at_ms = self.clock.now_ms();
        while !self.shared.is_stopping() {
            if self.shared.all_running()
                && let Some(mut registry) = self.registry.take()
            {
                match self.try_to_go_live(&mut registry) {
                    Decision::Open => self.registry = Some(registry),
                    Decision::Live => {
                        self.end_replay("live");
                        close(registry);
                    }
                    Decision::Hidden => {
                        hidden = self.may_replay.then(|| self.put_question()).flatten();
                        close(registry);
                    }
                }
            }
            if let Some(question) = &mut hidden
                && self.has_caught_up(question)
            {
                hidden = None;
            }
            if self.clock.now_ms() >= lag_at_ms {
                self.measure(&mut question);
                lag_at_ms = self.clock.now_ms() + LAG_INTERVAL_MS;
            }
            if let Some(purger) = &mut self.purger {
                purger.turn(self.clock.now_ms());
            }
            self.shared.wait_for_stop(PACE);
        }
        self.registry.take().into_iter().for_each(close);
    }

    fn try_to_go_live(&self, registry: &mut Registry) -> Decision {
        let id = &self.manifest.id;
        match registry.go_live_if_first(id.app(), id.version(), self.clock.now_ms()) {
            Ok(FirstLive::WentLive(_) | FirstLive::Live) => Decision::Live,
            Ok(FirstLive::Hidden { first }) => {
                tracing::info!(%id, %first, "hidden: readers stay with the live version until this one is promoted");
                Decision::Hidden
            }
            Ok(FirstLive::Behind(progress)) => {
                self.begin_replay(&progress);
                Decision::Open
            }
            Err(error) => {
                tracing::warn!(%error, "registry not reached, tried again");
                self.shared.metrics.error("registry");
                Decision::Open
            }
        }
    }

    fn put_question(&self) -> Option<CatchUp> {
        CatchUp::new(&self.log, &self.manifest)
            .inspect_err(|error| tracing::warn!(%error, "not known how far behind: no replay mode"))
            .ok()
    }

    /// Whether a hidden version has caught up; while it has not, it replays.
    fn has_caught_up(&self, question: &mut CatchUp) -> bool {
        match question.check(DEADLINE) {
            Ok(progress) if progress.caught_up() => {
                self.end_replay("caught up");
                true
            }
            Ok(progress) => {
                self.begin_replay(&progress);
                false
            }
            Err(error) => {
                tracing::debug!(%error, "not known how far behind, asked again");
                false
            }
        }
    }

    fn begin_replay(&self, progress: &Progress) {
        if self.may_replay && progress.behind >= REPLAY_FROM_RECORDS && !self.shared.is_replaying() {
            tracing::info!(id = %self.manifest.id, behind = progress.behind, "replay: large transactions until caught up");
            self.shared.set_replaying(true);
        }
    }

    fn end_replay(&self, why: &str) {
        if self.shared.is_replaying() {
            self.shared.set_replaying(false);
            tracing::info!(id = %self.manifest.id, why, "replay over: commits as set");
        }
    }

    fn measure(&self, question: &mut Option<CatchUp>) {
        match self.ask(question) {
            Ok(progress) => {
                for input in &progress.inputs {
                    let partition = input.partition.to_string();
                    let lag = self.shared.metrics.lag.with_label_values(&[&*input.topic, &partition]);
                    lag.set(input.lag as i64);
                }
                *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
            }
            Err(error) => {
                tracing::debug!(%error, "lag not measured");
                *question = None;
            }
        }
    }

    fn ask(&self, question: &mut Option<CatchUp>) -> Result<Progress, LogError> {
        let question = match question {
            Some(question) => {
                question.put_again()?;
                question
            }
            None => question.insert(CatchUp::new(&self.log, &self.manifest)?),
        };
        question.check(DEADLINE)
    }
}

fn close(registry: Registry) {
    if let Err(error) = registry.close(DEADLINE) {
        tracing::debug!(%error, "registry reader not closed in time");
    }
}
