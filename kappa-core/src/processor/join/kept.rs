//! One side's records, kept for as long as the other side may look for them.
//!
//! **Invariants:** the largest time put and the last sequence number travel with the committed offsets (`FusedTask`), so after a
//! restart the store lets go and numbers as if there had been none.

use crate::codec::SharedCodec;
use crate::processor::{Cx, Dropped, Slot};
use crate::task::ProcessError;
use kappa_state::{Direction, Held, StateError, WindowStore};
use std::ops::ControlFlow;

/// A side's store as operators use it.
pub(crate) struct Kept<V> {
    pub(crate) slot: usize,
    pub(crate) changelog: usize,
    pub(crate) value: SharedCodec<V>,
}

impl<V: Send + 'static> Kept<V> {
    /// Keeps a record. A null value is not kept, but moves the store's time. What comes too late to be found is dropped.
    pub(crate) fn put(
        &self,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let (store, out) = cx.typed::<WindowStore<Held<V>>>(self.slot);
        store.observe(timestamp_ms);
        let kept = match value {
            Some(bytes) => store.put(key, timestamp_ms, Some(Held::of(bytes)), timestamp_ms)?,
            None => !store.is_expired(timestamp_ms),
        };
        if store.over_cache() {
            store.stage(|change| {
                out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
                Ok::<_, ProcessError>(())
            })?;
        }
        if kept { Ok(()) } else { cx.drop_record(Dropped::Expired) }
    }

    /// Calls `each` with the records of a key from one time to another, both included, in the order of time, then of coming.
    pub(crate) fn visit(
        &self,
        key: &[u8],
        (from_ms, to_ms): (i64, i64),
        cx: &mut Cx<'_>,
        mut each: impl FnMut(i64, &V, &mut Cx<'_>) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError> {
        // Out of its place meanwhile: only this join uses it, and results go downstream, away from here.
        let mut taken: Option<Box<dyn Slot>> = cx.state.stores[self.slot].take();
        let Some(store) = taken.as_mut().and_then(|slot| slot.any().downcast_mut::<WindowStore<Held<V>>>()) else {
            unreachable!("slots are typed by the builder, and a join is no part of what it feeds")
        };
        let codec = &*self.value.codec;
        let mut failed = None;
        let fetched = store.fetch(key, from_ms, to_ms, Direction::Forward, |time_ms, held, _| {
            let done = match held.get(codec) {
                Ok(value) => each(time_ms, value, cx),
                Err(error) => Err(StateError::Decode { store: "of a join".into(), reason: error.reason }.into()),
            };
            match done {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        cx.state.stores[self.slot] = taken;
        fetched?;
        failed.map_or(Ok(()), Err)
    }
}
