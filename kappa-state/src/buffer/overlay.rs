//! The keys that a scan finds in the buffer, in order; made by the first scan and kept up from then on, so that stores which
//! are never scanned don't pay for it.

use std::collections::BTreeSet;

/// Keys in order, once somebody has scanned.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    keys: Option<BTreeSet<Box<[u8]>>>,
}

impl Overlay {
    pub(super) fn is_kept(&self) -> bool {
        self.keys.is_some()
    }

    /// Adds a key, if keys are kept.
    #[inline]
    pub(super) fn add(&mut self, key: &[u8]) {
        if let Some(keys) = &mut self.keys
            && !keys.contains(key)
        {
            keys.insert(key.into());
        }
    }

    /// Begins to keep keys, or begins anew, with these.
    pub(super) fn begin<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        self.keys = Some(keys.map(Box::from).collect());
    }

    /// The keys, where they are kept.
    pub(super) fn keys(&self) -> Option<&BTreeSet<Box<[u8]>>> {
        self.keys.as_ref()
    }
}
