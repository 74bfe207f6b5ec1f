//! The view reader: follows the view map, and the output of the version it points at.
//!
//! **Invariants:**
//! - What is served is complete: a version's table is shown only when everything that was in its topic when the
//!   switch was seen has been read. Until then the old one is served, and kept up to date.
//! - An error changes nothing of what is served.

use super::table::{self, Format, Table};
use super::{ViewError, ViewHandle, ViewSnapshot};
use crate::app::ApplicationId;
use crate::log::SharedLog;
use crate::registry::{DEFAULT_REGISTRY, RegistryError, RegistryReader, Snapshot};
use kappa_state::Codec;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one look at the log may take, so that the registry is looked at in between.
const SLICE: Duration = Duration::from_millis(50);

/// How a view reader reads.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// The registry's topic.
    pub registry: String,
    /// The bound on single requests to the log.
    pub deadline: Duration,
}

impl Default for ViewSettings {
    fn default() -> Self {
        Self { registry: DEFAULT_REGISTRY.to_owned(), deadline: Duration::from_secs(30) }
    }
}

/// Something that happened to a view.
#[derive(Debug, Clone)]
pub enum ViewEvent<K, V> {
    /// The view map points at another version; its table is being built, the old one still serves.
    Switching {
        /// The version that is coming.
        to: ApplicationId,
        /// The view map's revision that says so.
        revision: u64,
    },
    /// From now on another version is served, completely.
    Switched {
        /// The last of the version before; `None` for the first.
        before: Option<ViewSnapshot<K, V>>,
        /// The first of the version that serves now.
        after: ViewSnapshot<K, V>,
    },
    /// The view map no longer has the view.
    Withdrawn {
        /// The last that was served.
        before: ViewSnapshot<K, V>,
    },
    /// A key of the version that serves has changed.
    Changed {
        /// The key.
        key: K,
        /// What was there.
        before: Option<V>,
        /// What is there now; `None` when it was removed.
        after: Option<V>,
    },
}

#[derive(Debug)]
struct Coming<K, V> {
    table: Table,
    entries: BTreeMap<K, V>,
    revision: u64,
}

/// Reads a view by its name.
///
/// One thread polls it; any number of threads read through [`ViewReader::handle`]. The table is kept in memory.
pub struct ViewReader<K, V> {
    log: SharedLog,
    settings: ViewSettings,
    format: Format<K, V>,
    registry: Option<RegistryReader>,
    serving: Option<Table>,
    coming: Option<Coming<K, V>>,
    handle: ViewHandle<K, V>,
    /// What has happened and not been returned yet: an error in between loses none of it.
    happened: Vec<ViewEvent<K, V>>,
}

impl<K, V> fmt::Debug for ViewReader<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewReader").field("view", &self.format.view).field("serving", &self.handle).finish()
    }
}

impl<K: Ord + Clone + 'static, V: Clone + 'static> ViewReader<K, V> {
    /// A reader of a view. Neither the view nor the registry need exist yet; polling waits for them.
    pub fn open(log: SharedLog, registry: &str, view: &str, key: impl Codec<K>, value: impl Codec<V>) -> Self {
        Self::open_with(
            log,
            ViewSettings { registry: registry.to_owned(), ..ViewSettings::default() },
            view,
            key,
            value,
        )
    }

    /// A reader of a view, with settings.
    pub fn open_with(
        log: SharedLog,
        settings: ViewSettings,
        view: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> Self {
        let format = Format { view: view.to_owned(), key: Arc::new(key), value: Arc::new(value) };
        Self {
            log,
            settings,
            format,
            registry: None,
            serving: None,
            coming: None,
            handle: ViewHandle::empty(),
            happened: Vec::new(),
        }
    }

    /// For other threads.
    pub fn handle(&self) -> ViewHandle<K, V> {
        self.handle.clone()
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.handle.get(key)
    }

    /// The whole content; `None` until the first version's is complete.
    pub fn snapshot(&self) -> Option<ViewSnapshot<K, V>> {
        self.handle.snapshot()
    }

    /// The version that is served.
    pub fn serving(&self) -> Option<ApplicationId> {
        self.handle.serving()
    }

    /// The view map's revision that is served; 0 before the first.
    pub fn revision(&self) -> u64 {
        self.handle.revision()
    }

    /// Reads on, and returns as soon as something has happened, at the latest after `timeout`.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<ViewEvent<K, V>>, ViewError> {
        let until = Instant::now() + timeout;
        loop {
            self.look_at_map()?;
            let left = until.saturating_duration_since(Instant::now());
            self.read_tables(if self.happened.is_empty() { left.min(SLICE) } else { Duration::ZERO })?;
            if !self.happened.is_empty() || Instant::now() >= until {
                return Ok(std::mem::take(&mut self.happened));
            }
        }
    }

    /// Events as they come; ends when nothing has happened for `idle`.
    pub fn events(&mut self, idle: Duration) -> ViewEvents<'_, K, V> {
        ViewEvents { reader: self, idle, waiting: Vec::new().into_iter() }
    }

    /// Ends reading.
    pub fn close(mut self, deadline: Duration) -> Result<(), ViewError> {
        let tables = [self.coming.take().map(|coming| coming.table), self.serving.take()];
        for table in tables.into_iter().flatten() {
            table.close(deadline).map_err(|error| self.format.log_error(error))?;
        }
        match self.registry.take() {
            Some(registry) => registry.close(deadline).map_err(|error| registry_error(&self.format.view, error)),
            None => Ok(()),
        }
    }

    fn look_at_map(&mut self) -> Result<(), ViewError> {
        let Some(snapshot) = self.follow_registry()? else { return Ok(()) };
        let revision = snapshot.view_map.revision;
        let Some(entry) = snapshot.view_map.views.get(&self.format.view) else {
            self.coming = None;
            self.serving = None;
            self.happened.extend(self.handle.replace(None).map(|before| ViewEvent::Withdrawn { before }));
            return Ok(());
        };
        if self.serving.as_ref().is_some_and(|table| table.id == entry.serves) {
            self.coming = None;
            self.handle.revise(revision);
            return Ok(());
        }
        if let Some(coming) = self.coming.as_mut().filter(|coming| coming.table.id == entry.serves) {
            coming.revision = revision;
            return Ok(());
        }
        self.coming = None;
        let version = snapshot.versions.get(&entry.serves);
        let named = version.and_then(|version| version.manifest.views.get(&self.format.view));
        let topic = named.cloned().unwrap_or_else(|| entry.serves.view(&self.format.view));
        let opened = Table::open(&self.log, entry.serves.clone(), &topic);
        let table = opened.map_err(|error| self.format.log_error(error))?;
        self.coming = Some(Coming { table, entries: BTreeMap::new(), revision });
        self.happened.push(ViewEvent::Switching { to: entry.serves.clone(), revision });
        Ok(())
    }

    /// The registry as far as it has been read; `None` while there is none.
    fn follow_registry(&mut self) -> Result<Option<Arc<Snapshot>>, ViewError> {
        let failed = |error| registry_error(&self.format.view, error);
        if let Some(registry) = &mut self.registry {
            let changed = registry.follow(Duration::ZERO).map_err(failed)?;
            return Ok(Some(changed.unwrap_or_else(|| registry.snapshot())));
        }
        match RegistryReader::open(&self.log, &self.settings.registry, self.settings.deadline) {
            Ok(registry) => Ok(Some(self.registry.insert(registry).snapshot())),
            Err(RegistryError::Missing { .. }) => {
                std::thread::sleep(SLICE);
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn read_tables(&mut self, timeout: Duration) -> Result<(), ViewError> {
        let building = self.coming.is_some();
        if let Some(mut table) = self.serving.take() {
            // Taken out and put back only when all went well: a table that failed is read again from its start.
            let changes = table.poll(&self.format, if building { Duration::ZERO } else { timeout })?;
            self.serving = Some(table);
            let before = self.handle.apply(&changes);
            let changed = changes.into_iter().zip(before);
            self.happened.extend(changed.map(|((key, after), before)| ViewEvent::Changed { key, before, after }));
        } else if !building {
            std::thread::sleep(timeout);
        }
        if let Some(mut coming) = self.coming.take() {
            for (key, value) in coming.table.poll(&self.format, timeout)? {
                table::put(&mut coming.entries, &key, &value);
            }
            if coming.table.complete() {
                self.switch(coming);
            } else {
                self.coming = Some(coming);
            }
        }
        Ok(())
    }

    fn switch(&mut self, coming: Coming<K, V>) {
        let Coming { table, entries, revision } = coming;
        let after = ViewSnapshot { serving: table.id.clone(), revision, entries: Arc::new(entries) };
        let before = self.handle.replace(Some(after.clone()));
        tracing::info!(view = self.format.view, serving = %after.serving, revision, entries = after.entries.len(), "view switched");
        self.serving = Some(table);
        self.happened.push(ViewEvent::Switched { before, after });
    }
}

fn registry_error(view: &str, error: RegistryError) -> ViewError {
    ViewError::Registry { view: view.to_owned(), error }
}

/// Events of a view, one by one.
#[derive(Debug)]
pub struct ViewEvents<'r, K, V> {
    reader: &'r mut ViewReader<K, V>,
    idle: Duration,
    waiting: std::vec::IntoIter<ViewEvent<K, V>>,
}

impl<K: Ord + Clone + 'static, V: Clone + 'static> Iterator for ViewEvents<'_, K, V> {
    type Item = Result<ViewEvent<K, V>, ViewError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.waiting.next() {
            return Some(Ok(event));
        }
        match self.reader.poll(self.idle) {
            Ok(events) => {
                self.waiting = events.into_iter();
                self.waiting.next().map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}
