//! Where a process keeps its state, and under which identity it writes.

use super::settings::Settings;
use crate::Error;
use crate::app::ApplicationId;
use kappa_state::{MemoryBackend, StateBackend};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::Arc;

/// The state of one process, and the name its transactional ids carry.
#[derive(Debug)]
pub(crate) struct StateHome {
    pub(crate) backend: Arc<dyn StateBackend>,
    /// Stable as long as the state is: a restart on the same state ends its own open transaction at once.
    pub(crate) identity: String,
}

impl StateHome {
    pub(crate) fn open(settings: &Settings, id: &ApplicationId, fingerprint: &str) -> Result<Self, Error> {
        match &settings.state_dir {
            Some(path) => on_disk(&path.join(id.state_directory()), settings, id, fingerprint),
            None => {
                tracing::info!(
                    "state is kept in memory and restored in full at every start; KAPPA_STATE_DIR keeps it on disk"
                );
                let identity = settings.instance_id.clone().unwrap_or_else(random_identity);
                Ok(Self { backend: Arc::new(MemoryBackend::new()), identity })
            }
        }
    }
}

#[cfg(feature = "rocksdb")]
fn on_disk(path: &Path, settings: &Settings, id: &ApplicationId, fingerprint: &str) -> Result<StateHome, Error> {
    use kappa_state::{RocksBackend, RocksOptions};
    use std::sync::OnceLock;
    /// One budget a process, as the first application to start asks for it.
    static BUDGET: OnceLock<kappa_state::MemoryBudget> = OnceLock::new();
    let budget = BUDGET.get_or_init(|| kappa_state::MemoryBudget::new(settings.memory_bytes)).clone();
    let backend = RocksBackend::open(&RocksOptions {
        path: path.to_owned(),
        application_id: id.to_string(),
        topology_fingerprint: fingerprint.to_owned(),
        memory: budget,
    })?;
    let identity = backend.identity().to_owned();
    tracing::info!(path = %path.display(), identity, "state directory opened");
    Ok(StateHome { backend: Arc::new(backend), identity })
}

#[cfg(not(feature = "rocksdb"))]
fn on_disk(path: &Path, _: &Settings, _: &ApplicationId, _: &str) -> Result<StateHome, Error> {
    let reason = format!(
        "state on disk ({}) needs the cargo feature `rocksdb`, which this program was built without; build with it, or leave the \
         setting away to keep state in memory",
        path.display()
    );
    Err(Error::Setting { name: "KAPPA_STATE_DIR".into(), reason })
}

/// An identity for state that does not outlive the process.
fn random_identity() -> String {
    // The standard library seeds each RandomState from the system's randomness.
    format!("{:016x}", std::hash::RandomState::new().build_hasher().finish())
}
