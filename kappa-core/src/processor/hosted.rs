//! Processors of the user's own, where records and times find them.
//!
//! **Invariants:**
//! - A processor is in its place in the task's state whenever none of its calls is running.
//! - It is initialised before its first call, and made anew, with its schedules, after an abort.

use super::chain::Receiver;
use super::user::{Children, Links, Processor, ProcessorContext};
use super::{Cx, Schedule};
use crate::log::Headers;
use crate::record::Record;
use crate::task::ProcessError;
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// A processor without its types.
pub(crate) trait Hosted: Send {
    /// Before the first record.
    fn init(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError>;

    /// A schedule is due.
    fn punctuate(&mut self, schedule: Schedule, time_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError>;

    /// Everything since the last commit is undone: a new one takes its place.
    fn renew(&mut self);

    /// For the chain that knows the types.
    fn any(&mut self) -> &mut dyn Any;
}

/// A processor with what follows it.
pub(crate) struct Host<K, V, P: Processor<K, V>> {
    pub(crate) processor: P,
    pub(crate) supplier: Arc<dyn Fn() -> P + Send + Sync>,
    pub(crate) links: Links,
    pub(crate) children: Children<P::Key, P::Value>,
    pub(crate) types: PhantomData<fn(K, V)>,
}

impl<K: 'static, V: 'static, P: Processor<K, V>> Hosted for Host<K, V, P> {
    fn init(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (time_ms, headers) = (cx.state.stream_time_ms.max(0), &Headers::empty());
        let mut context = ProcessorContext::new(cx, &mut self.children, &self.links, time_ms, headers);
        context.initialising = true;
        self.processor.init(&mut context)
    }

    fn punctuate(&mut self, schedule: Schedule, time_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let headers = &Headers::empty();
        let mut context = ProcessorContext::new(cx, &mut self.children, &self.links, time_ms, headers);
        self.processor.punctuate(schedule, time_ms, &mut context)
    }

    fn renew(&mut self) {
        self.processor = (self.supplier)();
    }

    fn any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The way of records into a hosted processor.
pub(crate) struct ToHosted<K, V, P> {
    place: usize,
    types: PhantomData<fn(K, V) -> P>,
}

impl<K, V, P> ToHosted<K, V, P> {
    pub(crate) fn new(place: usize) -> Self {
        Self { place, types: PhantomData }
    }
}

impl<K: 'static, V: 'static, P: Processor<K, V>> Receiver<K, V> for ToHosted<K, V, P> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        cx.with_hosted(self.place, |hosted, cx| {
            let Some(host) = hosted.any().downcast_mut::<Host<K, V, P>>() else {
                unreachable!("a place has the type it was made with")
            };
            let Record { timestamp_ms, headers, .. } = *record;
            let mut context = ProcessorContext::new(cx, &mut host.children, &host.links, timestamp_ms, headers);
            host.processor.process(record, &mut context)
        })
    }
}

impl Cx<'_> {
    /// Runs `with` over a hosted processor, which is out of its place meanwhile.
    pub(crate) fn with_hosted<R>(&mut self, place: usize, with: impl FnOnce(&mut dyn Hosted, &mut Self) -> R) -> R {
        let Some(mut hosted) = self.state.processors[place].take() else {
            unreachable!("a processor is entered twice only where the graph has a cycle, and builders can't make one")
        };
        let result = with(&mut *hosted, self);
        self.state.processors[place] = Some(hosted);
        result
    }
}
