//! A processor of the user's own in a topology.

use super::{KStream, store};
use crate::codec::SharedCodec;
use crate::processor::{ConnectedStore, Host, Links, Next, Processor, ProcessorSupplier, StoreHandle, ToHosted};
use crate::topology::{Assembly, Kind, NodeId, SharedGraph, Store};
use std::marker::PhantomData;
use std::sync::Arc;

/// The stream of what processors forward.
type Forwarded<K, V, P> = KStream<<P as Processor<K, V>>::Key, <P as Processor<K, V>>::Value>;

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
    pub fn process<S: ProcessorSupplier<K, V>>(
        &self,
        name: &str,
        stores: &[&dyn ConnectedStore],
        supplier: S,
    ) -> Forwarded<K, V, S::Processor> {
        let supplier = Arc::new(supplier);
        let node = {
            let stores: Vec<&dyn ConnectedStore> = stores.iter().copied().chain(supplier.stores()).collect();
            let supplier = Arc::clone(&supplier);
            self.hosted(name, "process", &stores, move || supplier.get())
        };
        self.new_records(node)
    }

    /// One of the children of a processor, by the name under which the processor finds it
    /// ([`ProcessorContext::child`](crate::processor::ProcessorContext::child)): what it forwards to that child
    /// alone, and what it forwards to all. Behind any other operator it is the stream itself.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{Child, Processor, ProcessorContext};
    ///
    /// /// Sends what is empty another way.
    /// #[derive(Default)]
    /// struct Sort {
    ///     ways: Option<(Child, Child)>,
    /// }
    ///
    /// impl Processor<String, String> for Sort {
    ///     type Key = String;
    ///     type Value = String;
    ///
    ///     fn init(&mut self, cx: &mut ProcessorContext<'_, '_, String, String>) -> Result<(), ProcessError> {
    ///         self.ways = Some((cx.child("full")?, cx.child("empty")?));
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ProcessorContext<'_, '_, String, String>,
    ///     ) -> Result<(), ProcessError> {
    ///         let Some((full, empty)) = self.ways else { return Err(cx.error("init() comes first")) };
    ///         let is_empty = record.value()?.is_none_or(String::is_empty);
    ///         cx.pass_on_to(if is_empty { empty } else { full }, record)
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let sorted = app.stream("in", utf8(), utf8()).process("sort", &[], Sort::default).with_codecs(utf8(), utf8());
    /// sorted.child("full").to("full");
    /// sorted.child("empty").to("empty");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "text", 1)?;
    /// input.pipe("b", "", 2)?;
    /// assert_eq!(driver.output("full", utf8(), utf8()).read_values()?, [Some("text".into())]);
    /// assert_eq!(driver.output("empty", utf8(), utf8()).read_values()?, [Some("".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn child(&self, name: &str) -> Self {
        let make = |assembly: &mut Assembly<'_>, node| -> crate::topology::Erased {
            let next: Next<K, V> = assembly.next(node);
            Box::new(next)
        };
        let base = self.base();
        let mut graph = self.graph.borrow_mut();
        let node = graph.add(&base, name, &[self.node], Kind::Operator, Arc::new(make));
        graph.child_names.push((node, name.to_owned()));
        drop(graph);
        self.same(node)
    }

    /// Adds a processor, connected to its stores.
    pub(crate) fn hosted<P: Processor<K, V>>(
        &self,
        name: &str,
        operator: &str,
        stores: &[&dyn ConnectedStore],
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> NodeId {
        let supplier: Arc<dyn Fn() -> P + Send + Sync> = Arc::new(supplier);
        let connected: Vec<usize> = stores.iter().map(|store| store.index()).collect();
        let node = self.operator_of(name, operator, move |assembly, node| {
            let place = assembly.host(|assembly, place| {
                let links = Links { place, ..assembly.links(node, &connected) };
                let (supplier, children) = (Arc::clone(&supplier), assembly.children(node));
                Box::new(Host::<K, V, P> { processor: supplier(), supplier, links, children, types: PhantomData })
            });
            ToHosted::<K, V, P>::new(place)
        });
        let mut graph = self.graph.borrow_mut();
        graph.check_name("processor", name);
        stores.iter().for_each(|handle| graph.connect_by(node, *handle, &format!("process({name})")));
        graph.nodes[node].terminal = true;
        node
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
