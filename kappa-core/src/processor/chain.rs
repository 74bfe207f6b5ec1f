//! Chains of operators: typed, made once a task, called by reference.

use super::Cx;
use crate::codec::CodecId;
use crate::record::Record;
use crate::task::ProcessError;
use std::any::Any;
use std::marker::PhantomData;

/// Takes records of one type: an operator with everything behind it.
pub(crate) trait Receiver<K, V>: Send {
    /// Runs one record to the end of the chain.
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError>;

    /// Whether anything in the chain may look at a value that came as bytes of the codec `wire`. Where nothing does, it
    /// is never decoded.
    fn looks(&self, _wire: CodecId) -> bool {
        true
    }
}

/// What follows an operator.
pub(crate) type Next<K, V> = Box<dyn Receiver<K, V>>;

/// The end of a chain whose results nobody takes.
pub(crate) struct Discard;

impl<K, V> Receiver<K, V> for Discard {
    fn receive(&mut self, _record: &Record<'_, K, V>, _cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        Ok(())
    }

    fn looks(&self, _wire: CodecId) -> bool {
        false
    }
}

/// Several children: each gets the record in turn, down to the end of its chain.
pub(crate) struct Fan<K, V>(pub(crate) Vec<Next<K, V>>);

impl<K, V> Receiver<K, V> for Fan<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.0.iter_mut().try_for_each(|child| child.receive(record, cx))
    }

    fn looks(&self, wire: CodecId) -> bool {
        self.0.iter().any(|child| child.looks(wire))
    }
}

/// A way into a chain that is entered from several places: after a merge, or behind a store, which is
/// flushed by the task and written by an operator. The chain itself waits in the task's state.
pub(crate) struct Joint<K, V> {
    index: usize,
    types: PhantomData<fn(K, V)>,
}

impl<K: 'static, V: 'static> Joint<K, V> {
    pub(crate) fn new(index: usize) -> Self {
        Self { index, types: PhantomData }
    }

    pub(crate) fn send(&self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(mut chain) = cx.state.joints[self.index].take() else {
            unreachable!("a chain is entered twice only where the graph has a cycle, and builders can't make one")
        };
        let result = match chain.downcast_mut::<Next<K, V>>() {
            Some(next) => next.receive(record, cx),
            None => unreachable!("a joint has the type of the chain it was made with"),
        };
        cx.state.joints[self.index] = Some(chain);
        result
    }
}

impl<K, V> Clone for Joint<K, V> {
    fn clone(&self) -> Self {
        Self { index: self.index, types: PhantomData }
    }
}

impl<K: 'static, V: 'static> Receiver<K, V> for Joint<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.send(record, cx)
    }
}

/// A chain without its type, as a joint keeps it.
pub(crate) type ErasedChain = Box<dyn Any + Send>;
