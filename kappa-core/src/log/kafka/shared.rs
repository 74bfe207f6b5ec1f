//! Clients that everybody who uses a log shares: each costs several threads and connections, and is asked seldom.
//!
//! **Invariants:**
//! - One client for topics, one reader of committed offsets for each group and isolation, whoever asks.
//! - A client that was given up is replaced for all: whoever still has the old one asks for the new one when it fails too.

use super::group_offsets::Reader;
use super::hooks::ClientHooks;
use super::settings::KafkaSettings;
use super::sys::{Client, Kind, Queue};
use crate::log::LogError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The client that is asked about topics.
#[derive(Debug)]
pub(super) struct TopicsClient {
    pub(super) errors: Queue,
    pub(super) hooks: Arc<ClientHooks>,
    pub(super) client: Arc<Client>,
}

/// A group, and whether only decided offsets are read.
type ReaderKey = (String, bool);

/// The clients of one log that are shared.
#[derive(Debug)]
pub(super) struct SharedClients {
    settings: KafkaSettings,
    topics: Mutex<Option<Arc<TopicsClient>>>,
    /// Kept only while somebody uses them: an application asks about its own group, a tool about many.
    readers: Mutex<HashMap<ReaderKey, Weak<Reader>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedClients {
    pub(super) fn new(settings: KafkaSettings) -> Self {
        Self { settings, topics: Mutex::default(), readers: Mutex::default() }
    }

    /// The client for topics.
    pub(super) fn topics(&self) -> Result<Arc<TopicsClient>, LogError> {
        let mut shared = lock(&self.topics);
        match &*shared {
            Some(client) => Ok(Arc::clone(client)),
            None => Ok(Arc::clone(shared.insert(self.new_topics()?))),
        }
    }

    /// The client for topics after this one, which is of no use any more.
    pub(super) fn topics_instead_of(&self, given_up: &Arc<TopicsClient>) -> Result<Arc<TopicsClient>, LogError> {
        let mut shared = lock(&self.topics);
        match &*shared {
            Some(client) if !Arc::ptr_eq(client, given_up) => Ok(Arc::clone(client)),
            _ => Ok(Arc::clone(shared.insert(self.new_topics()?))),
        }
    }

    fn new_topics(&self) -> Result<Arc<TopicsClient>, LogError> {
        let owned = [("allow.auto.create.topics", "false")];
        let conf = self.settings.conf("kappa-topics", &[("retry.backoff.ms", "20")], &owned)?;
        let (client, hooks) = self.settings.build(conf, Kind::Consumer, "kappa-topics")?;
        let errors = Queue::main(&client)
            .ok_or_else(|| LogError::Fatal { operation: "topics", reason: "a client without a queue".into() })?;
        Ok(Arc::new(TopicsClient { errors, hooks, client }))
    }

    /// The reader of what a group has committed; `stable` waits for open transactions.
    pub(super) fn reader(&self, group: &str, stable: bool) -> Result<Arc<Reader>, LogError> {
        let mut readers = lock(&self.readers);
        let key = (group.to_owned(), stable);
        if let Some(reader) = readers.get(&key).and_then(Weak::upgrade) {
            return Ok(reader);
        }
        readers.retain(|_, reader| reader.strong_count() > 0);
        let isolation = if stable { "read_committed" } else { "read_uncommitted" };
        let reader = Arc::new(Reader::new(&self.settings, group, isolation)?);
        readers.insert(key, Arc::downgrade(&reader));
        Ok(reader)
    }
}
