//! The handle of a column family, kept beside its database, so that a read looks nothing up.
//!
//! **Invariants:** a handle never outlives its database; nobody gets at it but through a borrow of the
//! pair.
#![allow(unsafe_code)]

use std::fmt;
use std::mem;
use std::sync::Arc;

use rocksdb::{BoundColumnFamily, DBWithThreadMode, MultiThreaded};

pub(super) type Db = DBWithThreadMode<MultiThreaded>;

/// A database with one of its column families.
pub(super) struct Family {
    // Before `db`: fields are dropped in order, and the handle must go first.
    handle: Arc<BoundColumnFamily<'static>>,
    db: Arc<Db>,
}

impl Family {
    /// `None` where there is no such column family.
    pub(super) fn of(db: &Arc<Db>, name: &str) -> Option<Self> {
        let handle = db.cf_handle(name)?;
        // SAFETY: only the lifetime changes. It says that the handle must go before the database it comes
        // from. `Family` holds that database by an `Arc` which is dropped after the handle, and lends the
        // handle for no longer than itself (`handle()` ties it to `&self`).
        let handle = unsafe { mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle) };
        Some(Self { handle, db: Arc::clone(db) })
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    pub(super) fn handle<'s>(&'s self) -> &'s Arc<BoundColumnFamily<'s>> {
        // `BoundColumnFamily` is covariant: the handle is lent with the shorter lifetime.
        &self.handle
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").finish_non_exhaustive()
    }
}
