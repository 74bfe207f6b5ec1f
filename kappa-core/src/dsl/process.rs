//! A processor of the user's own in a topology.

use super::{KStream, store};
use crate::codec::SharedCodec;
use crate::processor::{ConnectedStore, Cx, Links, Next, Processor, ProcessorContext, Receiver, StoreHandle};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{SharedGraph, Store, TopologyError};
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Runs records through a [`Processor`] of your own, one made by `supplier` for each task, connected
    /// to `stores`. What it forwards is a stream with keys of its own, to be repartitioned where keys matter.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{Processor, ProcessorContext, StoreHandle};
    ///
    /// /// Passes on a key's record when it is the first.
    /// struct First {
    ///     seen: StoreHandle<String, i64>,
    /// }
    ///
    /// impl Processor<String, String> for First {
    ///     type Key = String;
    ///     type Value = String;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ProcessorContext<'_, '_, String, String>,
    ///     ) -> Result<(), ProcessError> {
    ///         let key = record.key()?;
    ///         let mut seen = cx.store(&self.seen)?;
    ///         if seen.get(key)?.is_some() {
    ///             return Ok(());
    ///         }
    ///         seen.put(key, record.timestamp_ms, record.timestamp_ms)?;
    ///         cx.pass_on(record)
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let seen = app.store("seen", utf8(), i64_be());
    /// app.stream("in", utf8(), utf8())
    ///     .process("first", &[&seen], { let seen = seen.clone(); move || First { seen: seen.clone() } })
    ///     .with_codecs(utf8(), utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "one", 1)?;
    /// input.pipe("a", "two", 2)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("one".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn process<P: Processor<K, V>>(
        &self,
        name: &str,
        stores: &[&dyn ConnectedStore],
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<P::Key, P::Value> {
        let indices: Vec<usize> = stores.iter().map(|store| store.index()).collect();
        let supplier = Arc::new(supplier);
        let connected = indices.clone();
        let node = self.operator_of(name, "process", move |assembly, node| Process {
            processor: supplier(),
            supplier: Arc::clone(&supplier),
            aborts: 0,
            links: assembly.links(node, &connected),
            next: assembly.next(node),
        });
        let mut graph = self.graph.borrow_mut();
        graph.check_name("processor", name);
        for (index, handle) in indices.into_iter().zip(stores) {
            match graph.stores.get_mut(index).filter(|store| store.name == handle.name()) {
                Some(store) => {
                    store.needed = true;
                    graph.nodes[node].stores.push(index);
                }
                None => graph.errors.push(TopologyError::Foreign { operator: format!("process({name})") }),
            }
        }
        graph.nodes[node].terminal = true;
        drop(graph);
        self.new_records(node)
    }
}

/// A store for processors.
pub(crate) fn processor_store<K: 'static, V: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
) -> StoreHandle<K, V> {
    let store = store(name, "processor", None, &key, &value);
    let flush = Arc::new(|assembly: &mut crate::topology::Assembly<'_>, index| assembly.log_only::<V>(index));
    let index = graph.borrow_mut().add_store(Store { needed: false, flush: Some(flush), ..store });
    StoreHandle::new(index, name, key)
}

struct Process<K, V, P: Processor<K, V>, S> {
    processor: P,
    supplier: Arc<S>,
    /// The task's aborts when the processor was made: what it keeps in memory goes with a transaction.
    aborts: u32,
    links: Links,
    next: Next<P::Key, P::Value>,
}

impl<K: 'static, V: 'static, P: Processor<K, V>, S: Fn() -> P + Send + Sync> Receiver<K, V> for Process<K, V, P, S> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if self.aborts != cx.state.aborts {
            self.aborts = cx.state.aborts;
            self.processor = (self.supplier)();
        }
        let Record { timestamp_ms, headers, .. } = *record;
        let mut context = ProcessorContext::new(cx, &mut self.next, &self.links, timestamp_ms, headers);
        self.processor.process(record, &mut context)
    }
}
