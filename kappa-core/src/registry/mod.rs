//! The registry: which versions there are, and which of them readers are sent to.
//!
//! A compacted topic of one partition; its records are described in `record`. Everybody reads it, and writes go
//! through one gate, compare-and-set:
//!
//! 1. fence: take over the registry's one transactional id, which ends and bars every earlier writer;
//! 2. read to the exact end, so that nothing that was ever committed is missed;
//! 3. decide on what was read; a refusal ends here, with nothing written;
//! 4. write and commit. Whoever was overtaken between 1 and 4 is fenced by the log and starts over.
//!
//! **Invariants:**
//! - Any number of views switch by one record, hence at one point of one log.
//! - A change of what is live is refused when another writer has changed the same app since it was asked for:
//!   [`RegistryError::Lost`] says who won.
//! - A writer that dies at any point leaves the registry as it was, or as it wanted it, never between.

mod error;
mod manifest;
mod promote;
mod reader;
mod record;
mod snapshot;
mod write;

use crate::app::ApplicationId;
use crate::deploy::CatchUp;
use crate::log::{CleanupPolicy, LogError, SharedLog, TopicSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use error::RegistryError;
pub use manifest::{Manifest, Stage};
pub use promote::{FirstLive, Promotion};
pub use reader::RegistryReader;
pub use record::{AppEntry, Phase, ViewEntry, ViewMap};
pub use snapshot::{RegisteredVersion, Snapshot};

/// The registry's topic where no other is named.
pub const DEFAULT_REGISTRY: &str = "kappa-registry";

/// How a registry is opened.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Its topic.
    pub topic: String,
    /// Who writes, as the view map shall name it: unique among the processes that use the registry.
    pub writer: String,
    /// The bound on each read and each write.
    pub deadline: Duration,
    /// How long `promote` waits for a version that is nearly there.
    pub promote_wait: Duration,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let opened = OPENED.fetch_add(1, Ordering::Relaxed);
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kappa".to_owned());
        Self {
            topic: DEFAULT_REGISTRY.to_owned(),
            writer: format!("{host}-{}-{opened}", std::process::id()),
            deadline: Duration::from_secs(30),
            promote_wait: Duration::from_secs(10),
        }
    }
}

/// Reads and writes the registry.
#[derive(Debug)]
pub struct Registry {
    log: SharedLog,
    settings: RegistrySettings,
    reader: RegistryReader,
    /// The question of [`Registry::go_live_if_first`], put when it is first asked.
    first: Option<(ApplicationId, CatchUp)>,
}

impl Registry {
    /// Opens the registry of that topic, creating it where it is missing.
    pub fn open(log: SharedLog, topic: &str) -> Result<Self, RegistryError> {
        Self::open_with(log, RegistrySettings { topic: topic.to_owned(), ..RegistrySettings::default() })
    }

    /// Opens a registry, creating it where it is missing.
    pub fn open_with(log: SharedLog, settings: RegistrySettings) -> Result<Self, RegistryError> {
        if let Some(registry) = Self::open_existing(Arc::clone(&log), settings.clone())? {
            return Ok(registry);
        }
        create(&log, &settings.topic)?;
        let reader = RegistryReader::open(&log, &settings.topic, settings.deadline)?;
        Ok(Self { log, settings, reader, first: None })
    }

    /// Opens a registry where there is one, and creates none.
    pub fn open_existing(log: SharedLog, settings: RegistrySettings) -> Result<Option<Self>, RegistryError> {
        crate::app::check_name("registry topic", &settings.topic, crate::app::TOPIC_NAME_LENGTH_MAX)?;
        match RegistryReader::open(&log, &settings.topic, settings.deadline) {
            Ok(reader) => Ok(Some(Self { log, settings, reader, first: None })),
            Err(RegistryError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The registry as it is now.
    pub fn snapshot(&mut self) -> Result<Arc<Snapshot>, RegistryError> {
        self.reader.refresh(self.settings.deadline)
    }

    /// Waits up to `timeout` for a change; `None` when there is none.
    pub fn follow(&mut self, timeout: Duration) -> Result<Option<Arc<Snapshot>>, RegistryError> {
        self.reader.follow(timeout)
    }

    /// Registers a version: on its first start, and again, changing nothing, on every later one.
    ///
    /// Refuses a manifest whose topology is not the one registered under the same version.
    pub fn register(&mut self, manifest: &Manifest) -> Result<Arc<Snapshot>, RegistryError> {
        if registered(&*self.snapshot()?, manifest)? {
            return Ok(self.reader.snapshot());
        }
        self.write(manifest.created_at_ms, |snapshot| {
            if registered(snapshot, manifest)? {
                return Ok((Vec::new(), ()));
            }
            let phase = record::Record::phase(&manifest.id, Phase::Hidden, manifest.created_at_ms);
            Ok((vec![record::Record::manifest(manifest), phase], ()))
        })?;
        tracing::info!(id = %manifest.id, fingerprint = manifest.fingerprint, "registered");
        Ok(self.reader.snapshot())
    }

    /// The log the registry lives on.
    pub fn log(&self) -> &SharedLog {
        &self.log
    }

    /// Ends reading.
    pub fn close(self, deadline: Duration) -> Result<(), RegistryError> {
        self.reader.close(deadline)
    }
}

fn create(log: &SharedLog, topic: &str) -> Result<(), RegistryError> {
    let spec = TopicSpec {
        name: topic.to_owned(),
        partitions: 1,
        replication_factor: None,
        cleanup: CleanupPolicy::Compact,
        settings: Vec::new(),
    };
    match log.topics()?.create(&spec) {
        Ok(()) | Err(LogError::TopicExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether this very version is registered already; an error where it may not be.
fn registered(snapshot: &Snapshot, manifest: &Manifest) -> Result<bool, RegistryError> {
    let id = &manifest.id;
    if snapshot.versions.contains_key(id) {
        let known = &snapshot.running(id)?.manifest;
        if known.fingerprint == manifest.fingerprint {
            return Ok(true);
        }
        return Err(RegistryError::TopologyChanged {
            id: id.clone(),
            registered: known.fingerprint.clone(),
            offered: manifest.fingerprint.clone(),
        });
    }
    match manifest.views.keys().find_map(|view| Some((view, snapshot.foreign_owner(view, id.app())?))) {
        Some((view, owner)) => {
            Err(RegistryError::ViewTaken { view: view.clone(), id: id.clone(), owner: owner.clone() })
        }
        None => Ok(false),
    }
}
