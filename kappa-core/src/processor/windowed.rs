//! The table of a windowed aggregate: a store of windows or sessions, with what follows behind it.
//!
//! What is written to the store is passed on at once, at the flush, or, where results are emitted when windows close, by the
//! operator then; it goes to the changelog at every flush.

use super::chain::Joint;
use super::materialized::Flush;
use super::{Cx, Slot, unencodable};
use crate::codec::SharedCodec;
use crate::log::Headers;
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::window::Windowed;
use kappa_state::{Change, ManagedStore, Session, SessionStore, WindowStore};
use std::marker::PhantomData;
use std::sync::Arc;

/// A store of windows or sessions.
pub(crate) trait WindowRows<A>: ManagedStore + 'static {
    /// Bytes at the end of a changelog key that are not in a record's key.
    const REST: usize;

    /// Stages the changes, with the changelog's keys.
    fn stage_rows(
        &mut self,
        visit: &mut dyn FnMut(Change<'_, A>) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError>;

    /// Whether the changes take more than the cache may.
    fn is_over_cache(&self) -> bool;
}

impl<A: Send + 'static> WindowRows<A> for WindowStore<A> {
    const REST: usize = 4;

    fn stage_rows(
        &mut self,
        visit: &mut dyn FnMut(Change<'_, A>) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError> {
        self.stage(visit)
    }

    fn is_over_cache(&self) -> bool {
        self.over_cache()
    }
}

impl<A: Send + 'static> WindowRows<A> for SessionStore<A> {
    const REST: usize = 0;

    fn stage_rows(
        &mut self,
        visit: &mut dyn FnMut(Change<'_, A>) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError> {
        self.stage(visit)
    }

    fn is_over_cache(&self) -> bool {
        self.over_cache()
    }
}

/// When results go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emit {
    /// With every update, or the last of each window at the flush.
    OnUpdate,
    /// Once, when the window has closed.
    OnClose,
}

/// The table of a windowed aggregate in a task.
pub(crate) struct WindowTable<K, A, S> {
    /// The operator's name.
    pub(crate) name: Arc<str>,
    pub(crate) slot: usize,
    /// Index of the changelog among the outputs.
    pub(crate) changelog: usize,
    pub(crate) key: SharedCodec<Windowed<K>>,
    pub(crate) value: SharedCodec<A>,
    /// What follows; `None` where nothing does.
    pub(crate) next: Option<Joint<Windowed<K>, A>>,
    /// An operator downstream reads this very store, so it must be in its place while results are passed on.
    pub(crate) read_downstream: bool,
    /// Results carry the value before.
    pub(crate) sends_old: bool,
    pub(crate) emit: Emit,
    pub(crate) store: PhantomData<fn(S)>,
}

impl<K, A, S> Clone for WindowTable<K, A, S> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            key: self.key.clone(),
            value: self.value.clone(),
            next: self.next.clone(),
            ..*self
        }
    }
}

/// A result on its way: the encoded values now and before.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) new: Option<Vec<u8>>,
    pub(crate) old: Option<Vec<u8>>,
}

impl<K: 'static, A: Send + 'static, S: WindowRows<A>> WindowTable<K, A, S> {
    /// Whether every update is passed on at once.
    pub(crate) fn passes_updates(&self, cx: &Cx<'_>) -> bool {
        cx.state.at_once && self.emit == Emit::OnUpdate && self.next.is_some()
    }

    /// The store.
    pub(crate) fn rows<'c>(&self, cx: &'c mut Cx<'_>) -> &'c mut S {
        cx.typed::<S>(self.slot).0
    }

    /// The bytes of a value; `None` for what is written as null.
    pub(crate) fn encode(&self, value: &A) -> Result<Option<Vec<u8>>, ProcessError> {
        if self.value.codec.is_null(value) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let encoded = self.value.codec.encode(value, &mut bytes);
        encoded.map_err(|error| unencodable(&self.name, "value", &error))?;
        Ok(Some(bytes))
    }

    /// A value again, from bytes that [`encode`](Self::encode) made.
    pub(crate) fn decode(&self, bytes: Option<&[u8]>) -> Result<Option<A>, ProcessError> {
        let failed = |error: kappa_state::CodecError| ProcessError::Operator {
            operator: self.name.to_string(),
            reason: format!("the value can't be decoded again: {error}"),
        };
        bytes.map(|bytes| self.value.codec.decode(bytes)).transpose().map_err(failed)
    }

    /// A row was updated: passes the result on where that is due now, else remembers the headers for when it is.
    pub(crate) fn updated(
        &self,
        at: RowKey<'_>,
        update: &Update,
        timestamp_ms: i64,
        headers: &Headers,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let passes = self.passes_updates(cx);
        let holds = !cx.state.at_once && self.emit == Emit::OnUpdate && self.next.is_some();
        let heads = !headers.is_empty() || cx.state.holds_headers(self.slot);
        if !(passes || (holds && heads)) {
            return Ok(());
        }
        let mut key = cx.state.take_scratch();
        at.write(&mut key);
        let done = if passes {
            self.pass_on(&key, update, timestamp_ms, headers, cx)
        } else {
            cx.state.hold_headers(self.slot, &key, headers);
            Ok(())
        };
        cx.state.give_scratch(key);
        done
    }

    /// All updates of a record are made: makes room where the cache is full.
    pub(crate) fn settle(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let overdue = !cx.state.at_once && self.rows(cx).is_over_cache() && cx.state.may_flush();
        if overdue { self.flush(cx) } else { Ok(()) }
    }

    /// Passes a result on.
    pub(crate) fn pass_on(
        &self,
        key: &[u8],
        update: &Update,
        timestamp_ms: i64,
        headers: &Headers,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let Some(next) = &self.next else { return Ok(()) };
        let Some(key) = Lazy::encoded(&self.key, Some(key)) else { return Ok(()) };
        let new = update.new.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
        let old = update.old.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
        let old = old.as_ref().filter(|_| self.sends_old);
        next.send(&Record { old, ..Record::new(&key, new.as_ref(), timestamp_ms, headers) }, cx)
    }

    fn staged(&self, change: &Change<'_, A>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(next) = self.next.as_ref() else { return Ok(()) };
        let record_key = &change.key[..change.key.len() - S::REST];
        let Some(key) = Lazy::encoded(&self.key, Some(record_key)) else { return Ok(()) };
        let bytes = change.value_bytes.map(|bytes| (self.value.id, bytes));
        let value = change.value.map(|value| Lazy::borrowed(value, bytes));
        let old = change.old.map(|old| Lazy::borrowed(old, None));
        let headers = &cx.state.release_headers(self.slot, record_key);
        let record = Record::new(&key, value.as_ref(), change.timestamp_ms, headers);
        next.send(&Record { old: old.as_ref(), ..record }, cx)
    }
}

/// A change that waits until its store is back in its place.
struct Copied {
    key: Vec<u8>,
    update: Update,
    timestamp_ms: i64,
}

impl<K: 'static, A: Send + 'static, S: WindowRows<A>> Flush for WindowTable<K, A, S> {
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let passes = !cx.state.at_once && self.emit == Emit::OnUpdate && self.next.is_some();
        let mut copies = Vec::new();
        let mut taken: Option<Box<dyn Slot>> = cx.state.stores[self.slot].take();
        let result = match taken.as_mut().and_then(|slot| slot.any().downcast_mut::<S>()) {
            Some(store) => store.stage_rows(&mut |change| {
                cx.out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
                if !passes {
                    return Ok(());
                }
                if !self.read_downstream {
                    return self.staged(&change, cx);
                }
                let old = change.old.map(|old| self.encode(old)).transpose()?.flatten();
                let update = Update { new: change.value_bytes.map(<[u8]>::to_vec), old };
                let key = change.key[..change.key.len() - S::REST].to_vec();
                copies.push(Copied { key, update, timestamp_ms: change.timestamp_ms });
                Ok(())
            }),
            None => unreachable!("slots are typed by the builder, and only one operator takes a store"),
        };
        cx.state.stores[self.slot] = taken;
        result?;
        for Copied { key, update, timestamp_ms } in &copies {
            let headers = &cx.state.release_headers(self.slot, key);
            self.pass_on(key, update, *timestamp_ms, headers, cx)?;
        }
        Ok(())
    }
}

/// Which row: the key's bytes and its window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowKey<'k> {
    /// Of a store of windows: the start.
    Window(&'k [u8], i64),
    /// Of a store of sessions.
    Session(&'k [u8], Session),
}

impl RowKey<'_> {
    /// Appends the bytes of the result's key.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Window(key, start_ms) => {
                out.extend_from_slice(key);
                out.extend_from_slice(&start_ms.to_be_bytes());
            }
            Self::Session(key, session) => {
                out.extend_from_slice(key);
                out.extend_from_slice(&session.end_ms.to_be_bytes());
                out.extend_from_slice(&session.start_ms.to_be_bytes());
            }
        }
    }
}
