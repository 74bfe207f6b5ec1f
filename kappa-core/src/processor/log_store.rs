//! Stores of any kind whose changes go nowhere but to their changelog.

use super::Cx;
use super::materialized::Flush;
use crate::task::ProcessError;
use kappa_state::{BufferedStore, SessionStore, VersionedStore, WindowStore};
use std::marker::PhantomData;

/// Takes a change's key, value and timestamp.
pub(crate) type Log<'l> = dyn FnMut(&[u8], Option<&[u8]>, i64) + 'l;

/// A store that says what its changelog is to have.
pub(crate) trait LogChanges {
    /// Stages all changes and gives `log` each one's key, value and timestamp.
    fn stage_into(&mut self, log: &mut Log<'_>) -> Result<(), ProcessError>;
}

impl<V: Send + 'static> LogChanges for BufferedStore<V> {
    fn stage_into(&mut self, log: &mut Log<'_>) -> Result<(), ProcessError> {
        self.stage(|change| {
            log(change.key, change.value_bytes, change.timestamp_ms);
            Ok(())
        })
    }
}

impl<V: Send + 'static> LogChanges for WindowStore<V> {
    fn stage_into(&mut self, log: &mut Log<'_>) -> Result<(), ProcessError> {
        self.stage(|change| {
            log(change.key, change.value_bytes, change.timestamp_ms);
            Ok(())
        })
    }
}

impl<V: Send + 'static> LogChanges for SessionStore<V> {
    fn stage_into(&mut self, log: &mut Log<'_>) -> Result<(), ProcessError> {
        self.stage(|change| {
            log(change.key, change.value_bytes, change.timestamp_ms);
            Ok(())
        })
    }
}

impl<V: Send + 'static> LogChanges for VersionedStore<V> {
    fn stage_into(&mut self, log: &mut Log<'_>) -> Result<(), ProcessError> {
        self.stage(|key, value, timestamp_ms| {
            log(key, value, timestamp_ms);
            Ok(())
        })
    }
}

/// The flush of a store whose changelog is the topic it is made of: nothing is logged.
pub(crate) struct StageOnly<V> {
    slot: usize,
    types: PhantomData<fn(V)>,
}

impl<V> StageOnly<V> {
    pub(crate) fn new(slot: usize) -> Self {
        Self { slot, types: PhantomData }
    }
}

impl<V: Send + 'static> Flush for StageOnly<V> {
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        cx.store::<V>(self.slot).stage(|_| Ok(()))
    }
}

/// The flush of such a store.
pub(crate) struct LogStore<S> {
    slot: usize,
    changelog: usize,
    types: PhantomData<fn(S)>,
}

impl<S> LogStore<S> {
    pub(crate) fn new(slot: usize, changelog: usize) -> Self {
        Self { slot, changelog, types: PhantomData }
    }
}

impl<S: LogChanges + 'static> Flush for LogStore<S> {
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (store, out) = cx.typed::<S>(self.slot);
        store.stage_into(&mut |key, value, timestamp_ms| out.log(self.changelog, timestamp_ms, key, value))
    }
}
