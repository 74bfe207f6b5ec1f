//! Joins two tables by a key of the right one that the left rows hold.
//!
//! A left row sends a subscription to where the right row is, and gets an answer for each change of it; the answer is
//! joined with the left row where that is still the one that asked, which the hash of its value tells.
//!
//! **Invariants:**
//! - A subscription is in the store of the right row's partition exactly as long as its left row holds that key.
//! - An answer goes to the partition that its subscription came from.
//! - No answer is joined with a left value other than the one it is an answer to.

mod answer;
mod murmur3;
mod resolve;
mod subscribe;
mod wire;

use self::answer::{Receive, RightChange};
use self::resolve::Resolve;
use self::subscribe::Subscribe;
use self::wire::{ResponseCodec, Subscription, SubscriptionCodec};
use super::{KTable, made_of, prefixed_store};
use crate::codec::{Codec, Nullable, SharedCodec, bytes, nullable};
use crate::dsl::{KStream, Known, source};
use crate::topology::{Assembly, Kind, NodeId, SharedGraph, Store, StoreIndex, TopicRef, TopologyError, erase};
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: Clone + Send + 'static> KTable<K, V> {
    /// Joins each row with the row of `other` whose key `foreign_key` finds in it: many rows may hold one key. A
    /// result is made anew whenever either side changes. A row without a foreign key, or without a partner, is not in
    /// the result.
    ///
    /// The tables need not be partitioned alike. `name` is that of the result's store, which is kept where something
    /// needs it and written by `codec`, and begins those of two internal topics and of the store of subscriptions.
    /// Deletions of results that never were may be passed on.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let airports = app.table("airports", utf8(), utf8());
    /// app.table("flights", utf8(), utf8())
    ///     .join_foreign_key(
    ///         "flights-with-airports",
    ///         utf8(),
    ///         &airports,
    ///         |_, origin| Some(origin.clone()),
    ///         |origin, airport| format!("from {airport} ({origin})"),
    ///     )
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 1)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK2", "PRG", 2)?;
    /// driver.input("airports", utf8(), utf8()).pipe("PRG", "Praha", 3)?;
    /// let out = driver.output("out", utf8(), utf8()).read_latest()?;
    /// assert_eq!(out["OK1"], "from Praha (PRG)");
    /// assert_eq!(out["OK2"], "from Praha (PRG)");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_foreign_key<K2: 'static, V2: Clone + Send + 'static, R: Clone + Send + 'static>(
        &self,
        name: &str,
        codec: impl Codec<R>,
        other: &KTable<K2, V2>,
        foreign_key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
        joiner: impl Fn(&V, &V2) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let joiner = move |left: &V, right: Option<&V2>| right.map(|right| joiner(left, right));
        self.by_foreign_key("join_foreign_key", (name, SharedCodec::new(codec)), other, foreign_key, joiner, false)
    }

    /// As [`KTable::join_foreign_key`], but a row without a foreign key, or without a partner, is joined with `None`.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let airports = app.table("airports", utf8(), utf8());
    /// app.table("flights", utf8(), utf8())
    ///     .left_join_foreign_key(
    ///         "flights-with-airports",
    ///         utf8(),
    ///         &airports,
    ///         |_, origin| Some(origin.clone()),
    ///         |origin, airport| format!("from {}", airport.unwrap_or(origin)),
    ///     )
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 1)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("from PRG".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_foreign_key<K2: 'static, V2: Clone + Send + 'static, R: Clone + Send + 'static>(
        &self,
        name: &str,
        codec: impl Codec<R>,
        other: &KTable<K2, V2>,
        foreign_key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let joiner = move |left: &V, right: Option<&V2>| Some(joiner(left, right));
        self.by_foreign_key("left_join_foreign_key", (name, SharedCodec::new(codec)), other, foreign_key, joiner, true)
    }

    fn by_foreign_key<K2: 'static, V2: Clone + Send + 'static, R: Clone + Send + 'static>(
        &self,
        operator: &str,
        (name, codec): (&str, SharedCodec<R>),
        other: &KTable<K2, V2>,
        foreign_key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&V2>) -> Option<R> + Send + Sync + 'static,
        left: bool,
    ) -> KTable<K, R> {
        let title = format!("{operator}({name})");
        let graph = Rc::clone(&self.stream.graph);
        let parts = Parts {
            left_value: self.stream.need_value(&title),
            right_value: other.stream.need_value(&title),
            names: Names::of(name),
            left,
        };
        parts.names.check(&graph, name);
        let mut node = self.stream.node;
        if Rc::ptr_eq(&graph, &other.stream.graph) {
            graph.borrow_mut().request_old(other.stream.node);
            graph.borrow_mut().request_old(self.stream.node);
            graph.borrow_mut().unaligned.extend([parts.names.registration.clone(), parts.names.response.clone()]);
            parts.subscribe(self, other, foreign_key);
            parts.answer(other);
            node = parts.resolve(self, Arc::new(joiner));
        } else {
            graph.borrow_mut().errors.push(TopologyError::Foreign { operator: title });
        }
        let (key, value) = (Known::Codec(self.key.clone()), Known::Codec(codec));
        let results = KStream { graph, node, key, value, rekeyed: false };
        made_of(&results, operator, name)
    }
}

/// Names that follow from the join's.
struct Names {
    registration: TopicRef,
    response: TopicRef,
    store: String,
    base: String,
}

impl Names {
    fn of(name: &str) -> Self {
        Self {
            registration: TopicRef::Repartition(format!("{name}-subscription-registration")),
            response: TopicRef::Repartition(format!("{name}-subscription-response")),
            store: format!("{name}-subscription-store"),
            base: name.to_owned(),
        }
    }

    fn check(&self, graph: &SharedGraph, name: &str) {
        let taken = |kind: &Kind| matches!(kind, Kind::Sink { topic, .. } if *topic == self.registration || *topic == self.response);
        let mut graph = graph.borrow_mut();
        if graph.nodes.iter().any(|node| taken(&node.kind)) {
            graph.errors.push(TopologyError::DuplicateName { what: "foreign-key join", name: name.to_owned() });
        }
    }
}

/// Keys of subscriptions on their way: the foreign key's bytes, or null.
fn raw() -> SharedCodec<Option<Vec<u8>>> {
    let codec: Nullable<crate::codec::Bytes> = nullable(bytes());
    SharedCodec::new(codec)
}

/// What the three parts of the join have in common.
struct Parts<V, V2> {
    left_value: SharedCodec<V>,
    right_value: SharedCodec<V2>,
    names: Names,
    left: bool,
}

impl<V: Clone + Send + 'static, V2: Clone + Send + 'static> Parts<V, V2> {
    /// The left side: its changes become subscriptions.
    fn subscribe<K: 'static, K2: 'static>(
        &self,
        left: &KTable<K, V>,
        right: &KTable<K2, V2>,
        foreign_key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
    ) {
        let topic = self.names.registration.clone();
        let kind = Kind::Sink {
            topic: topic.clone(),
            key: right.key.form(),
            value: SharedCodec::<Subscription>::new(SubscriptionCodec).form(),
        };
        let (key, foreign_codec, value) = (left.key.clone(), right.key.clone(), self.left_value.clone());
        let (foreign_key, is_left) = (Arc::new(foreign_key), self.left);
        let make = move |assembly: &mut Assembly<'_>, node| {
            erase::<K, V>(Subscribe {
                name: assembly.name(node),
                output: assembly.output(&topic),
                partition: assembly.partition(),
                key: key.clone(),
                foreign_codec: foreign_codec.clone(),
                value: value.clone(),
                foreign_key: Arc::clone(&foreign_key),
                left: is_left,
            })
        };
        let mut graph = left.stream.graph.borrow_mut();
        graph.add(&self.names.base, "subscribe", &[left.stream.node], kind, Arc::new(make));
    }

    /// The right side: subscriptions are kept, and answered when they come and when the right row changes.
    fn answer<K2: 'static>(&self, right: &KTable<K2, V2>) {
        let graph = Rc::clone(&right.stream.graph);
        let subscriptions = source(
            &graph,
            self.names.registration.clone(),
            None,
            raw(),
            SharedCodec::<Subscription>::new(SubscriptionCodec),
        );
        let index = graph.borrow().stores.len();
        let kind = Kind::Sink {
            topic: self.names.response.clone(),
            key: raw().form(),
            value: SharedCodec::new(ResponseCodec).form(),
        };
        let receive = self.receive(&subscriptions, right, index, kind.clone());
        self.keep_subscriptions(&graph, receive);
        let (topic, key, value) = (self.names.response.clone(), right.key.clone(), self.right_value.clone());
        let make = move |assembly: &mut Assembly<'_>, node| {
            erase::<K2, V2>(RightChange {
                name: assembly.name(node),
                slot: assembly.slot(index).unwrap_or(usize::MAX),
                output: assembly.output(&topic),
                key: key.clone(),
                value: value.clone(),
            })
        };
        let mut graph = graph.borrow_mut();
        let node = graph.add(&self.names.base, "answer", &[right.stream.node], kind, Arc::new(make));
        graph.connect(node, &[index]);
        graph.look_into(receive, right.stream.node, &right.lookup.stores);
        graph.nodes[receive].copartitioned = true;
        graph.nodes[node].copartitioned = true;
    }

    fn receive<K2: 'static>(
        &self,
        subscriptions: &KStream<Option<Vec<u8>>, Subscription>,
        right: &KTable<K2, V2>,
        store: StoreIndex,
        kind: Kind,
    ) -> NodeId {
        let (topic, key, value) = (self.names.response.clone(), right.key.clone(), self.right_value.clone());
        let make_getter = Arc::clone(&right.lookup.make);
        let make = move |assembly: &mut Assembly<'_>, node| {
            erase::<Option<Vec<u8>>, Subscription>(Receive {
                name: assembly.name(node),
                slot: assembly.slot(store).unwrap_or(usize::MAX),
                output: assembly.output(&topic),
                right: make_getter(assembly),
                key: key.clone(),
                value: value.clone(),
            })
        };
        let mut graph = subscriptions.graph.borrow_mut();
        graph.add(&self.names.base, "receive", &[subscriptions.node], kind, Arc::new(make))
    }

    fn keep_subscriptions(&self, graph: &SharedGraph, owner: NodeId) {
        let key = SharedCodec::<Vec<u8>>::new(bytes());
        let value = SharedCodec::<Subscription>::new(SubscriptionCodec);
        let flush = Arc::new(|assembly: &mut Assembly<'_>, index| assembly.log_only::<Subscription>(index));
        let store = prefixed_store(&self.names.store, "subscriptions", owner, &key, &value, wire::prefix_len);
        let index = graph.borrow_mut().add_store(Store { flush: Some(flush), ..store });
        graph.borrow_mut().connect(owner, &[index]);
    }

    /// The left side again: answers become results.
    fn resolve<K: 'static, R: 'static>(
        &self,
        left: &KTable<K, V>,
        joiner: Arc<impl Fn(&V, Option<&V2>) -> Option<R> + Send + Sync + 'static>,
    ) -> NodeId {
        let codec = SharedCodec::new(ResponseCodec);
        let responses = source(&left.stream.graph, self.names.response.clone(), None, left.key.clone(), codec);
        let (key, value, right_value) = (left.key.clone(), self.left_value.clone(), self.right_value.clone());
        let (make_getter, is_left) = (Arc::clone(&left.lookup.make), self.left);
        let node = responses.operator_of(&self.names.base, "resolve", move |assembly, node| Resolve {
            name: assembly.name(node),
            key: key.clone(),
            table: make_getter(assembly),
            value: value.clone(),
            right_value: right_value.clone(),
            joiner: Arc::clone(&joiner),
            left: is_left,
            next: assembly.next(node),
        });
        let mut graph = left.stream.graph.borrow_mut();
        graph.look_into(node, left.stream.node, &left.lookup.stores);
        graph.nodes[node].copartitioned = true;
        node
    }
}
