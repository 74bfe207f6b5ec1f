//! Dropping what has expired.

use super::BufferedStore;
use crate::StateError;

impl<V: 'static> BufferedStore<V> {
    /// Drops everything from `from` up to but without `to` in the store behind, without a trace in the changelog.
    ///
    /// Nothing of it may be in a layer that is still to be written, and nobody may read or write it from then on: what the
    /// buffer remembers of it is not looked for.
    pub(crate) fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.store.drop_range(from, to)
    }
}
