//! Joins two streams in a window of time.

use super::{JoinWindows, sides};
use crate::codec::SharedCodec;
use crate::dsl::{KStream, Known, SameKeyAs};
use crate::processor::{JoinSide, OuterSide, SelfJoin};
use crate::topology::{Assembly, Kind, NodeId, TopologyError, erase};
use kappa_state::{BufferedStore, Held, WindowStore};
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: Send + 'static> KStream<K, V> {
    /// Joins each record with the records of another stream that have the same key and are close to it in time; each pair
    /// gives one result, when the second of the two comes, with the later timestamp (Kafka Streams: `KStream.join` with
    /// `JoinWindows`).
    ///
    /// Both sides are kept for a time in stores named `<name>-left` and `<name>-right`; where a key was changed upstream, the
    /// side goes through a repartition topic of that name. Records whose key or value is null are dropped and counted.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::JoinWindows, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let clicks = app.stream("clicks", utf8(), utf8());
    /// app.stream("shows", utf8(), utf8())
    ///     .join_within("clicked", &clicks, JoinWindows::within_ms(10_000, 0), |show, click| format!("{show}: {click}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("shows", utf8(), utf8()).pipe("ad", "shown", 1_000)?;
    /// driver.input("clicks", utf8(), utf8()).pipe("ad", "clicked", 11_000)?;
    /// driver.input("clicks", utf8(), utf8()).pipe("ad", "too late", 11_001)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("ad".into(), Some("shown: clicked".into()), 11_000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_within<K2: SameKeyAs<K>, W: Send + 'static, R: 'static>(
        &self,
        name: &str,
        right: &KStream<K2, W>,
        windows: JoinWindows,
        joiner: impl Fn(&V, &W) -> R + Send + Sync + 'static,
    ) -> KStream<K, R> {
        let right = K2::stream(right);
        let joiner = move |left: Option<&V>, right: Option<&W>| Some(joiner(left?, right?));
        self.join_streams(name, "join_within", right, (windows, [false, false]), joiner)
    }

    /// As [`join_within`](Self::join_within), and a record of this stream that finds no match is joined with `None`: when its
    /// window and the grace are over, which is when a record so much later comes, of either side. One whose key is null is
    /// joined with `None` at once. (Kafka Streams: `leftJoin`.)
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::JoinWindows, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let clicks = app.stream("clicks", utf8(), utf8());
    /// app.stream("shows", utf8(), utf8())
    ///     .left_join_within("clicked", &clicks, JoinWindows::within_ms(10_000, 5_000), |show, click| {
    ///         format!("{show}: {}", click.map_or("ignored", String::as_str))
    ///     })
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let shows = driver.input("shows", utf8(), utf8());
    /// shows.pipe("ad", "shown", 1_000)?;
    /// shows.pipe("other", "shown", 16_000)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, []);
    /// shows.pipe("other", "shown again", 16_001)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("ad".into(), Some("shown: ignored".into()), 1_000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_within<K2: SameKeyAs<K>, W: Send + 'static, R: 'static>(
        &self,
        name: &str,
        right: &KStream<K2, W>,
        windows: JoinWindows,
        joiner: impl Fn(&V, Option<&W>) -> R + Send + Sync + 'static,
    ) -> KStream<K, R> {
        let right = K2::stream(right);
        let joiner = move |left: Option<&V>, right: Option<&W>| Some(joiner(left?, right));
        self.join_streams(name, "left_join_within", right, (windows, [true, false]), joiner)
    }

    /// As [`left_join_within`](Self::left_join_within) for the records of both sides (Kafka Streams: `outerJoin`).
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::JoinWindows, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let paid = app.stream("paid", utf8(), utf8());
    /// app.stream("ordered", utf8(), utf8())
    ///     .outer_join_within("orders", &paid, JoinWindows::within_ms(1_000, 0), |ordered, paid| format!("{ordered:?} {paid:?}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let paid = driver.input("paid", utf8(), utf8());
    /// paid.pipe("1", "5 €", 100)?;
    /// paid.pipe("2", "7 €", 2_000)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("None Some(\"5 €\")".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outer_join_within<K2: SameKeyAs<K>, W: Send + 'static, R: 'static>(
        &self,
        name: &str,
        right: &KStream<K2, W>,
        windows: JoinWindows,
        joiner: impl Fn(Option<&V>, Option<&W>) -> R + Send + Sync + 'static,
    ) -> KStream<K, R> {
        let right = K2::stream(right);
        let joiner = move |left: Option<&V>, right: Option<&W>| Some(joiner(left, right));
        self.join_streams(name, "outer_join_within", right, (windows, [true, true]), joiner)
    }

    /// Joins the stream with itself, with one store, `<name>-left`, instead of two (Kafka Streams: `single.store.self.join`).
    /// Results are those of [`join_within`](Self::join_within) with the same stream twice, but for a record that comes so late
    /// that its window is about to go: it is not joined with itself.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::JoinWindows, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8())
    ///     .self_join_within("pairs", JoinWindows::within_ms(1_000, 0), |one, other| format!("{one}{other}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("k", "a", 0)?;
    /// input.pipe("k", "b", 10)?;
    /// let out: Vec<String> = driver.output("out", utf8(), utf8()).read_values()?.into_iter().flatten().collect();
    /// assert_eq!(out, ["aa", "ba", "ab", "bb"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn self_join_within<R: 'static>(
        &self,
        name: &str,
        windows: JoinWindows,
        joiner: impl Fn(&V, &V) -> R + Send + Sync + 'static,
    ) -> KStream<K, R> {
        let title = format!("self_join_within({name})");
        self.graph.borrow_mut().errors.extend(windows.check(&title));
        let input = self.partitioned(&title, &format!("{name}-left"));
        let (key, value) = (input.need_key(&title), input.need_value(&title));
        let index = sides::window_store(&input.graph, &format!("{name}-left"), windows, &key, &value);
        let joiner = Arc::new(joiner);
        let (node_key, node_value) = (key.clone(), value.clone());
        let node = input.operator_of(name, "self_join_within", move |assembly, node| {
            assembly.log_changes::<WindowStore<Held<V>>>(node, index);
            let side = sides::kept(assembly, index, &node_value);
            SelfJoin::new(side, assembly, node, &node_key, windows, Arc::clone(&joiner))
        });
        input.graph.borrow_mut().connect(node, &[index]);
        input.new_values(node)
    }

    fn join_streams<W: Send + 'static, R: 'static>(
        &self,
        name: &str,
        operator: &str,
        right: &KStream<K, W>,
        (windows, outer): (JoinWindows, [bool; 2]),
        joiner: impl Fn(Option<&V>, Option<&W>) -> Option<R> + Send + Sync + 'static,
    ) -> KStream<K, R> {
        let title = format!("{operator}({name})");
        if !Rc::ptr_eq(&self.graph, &right.graph) {
            self.graph.borrow_mut().errors.push(TopologyError::Foreign { operator: title });
            return self.new_values(self.node);
        }
        let graph = &self.graph;
        graph.borrow_mut().errors.extend(windows.check(&title));
        let (left, right, key) = self.side_by_side(right, &title, name);
        let values = (left.need_value(&title), right.need_value(&title));
        let stores = [
            sides::window_store(graph, &format!("{name}-left"), windows, &key, &values.0),
            sides::window_store(graph, &format!("{name}-right"), windows, &key, &values.1),
        ];
        let waiting = outer[0]
            .then(|| sides::waiting_store(graph, &format!("{name}-waiting"), &key, (&values.0.name, &values.1.name)));
        let joiner = Arc::new(joiner);
        let forward = Arc::clone(&joiner);
        let turned = Arc::new(move |own: Option<&W>, other: Option<&V>| forward(other, own));
        // The two sides come together behind this node, which is made after them and keeps what they share.
        let meeting = graph.borrow().nodes.len() + 2;
        let (node_key, node_values) = (key.clone(), values.clone());
        let on_left = left.operator_of(name, &format!("{operator}-left"), move |assembly, node| {
            assembly.log_changes::<WindowStore<Held<V>>>(node, stores[0]);
            if let Some(waiting) = waiting {
                assembly.log_changes::<BufferedStore<Vec<u8>>>(node, waiting);
            }
            let operator = |assembly: &mut Assembly<'_>| {
                let own = sides::kept(assembly, stores[0], &node_values.0);
                let other = sides::kept(assembly, stores[1], &node_values.1);
                let outer = waiting.map(|waiting| OuterSide::new(assembly, meeting, waiting, outer[0], true));
                let (nodes, joiner) = ((node, meeting), Arc::clone(&joiner));
                JoinSide::new(assembly, nodes, &node_key, windows, true, (own, other), outer, joiner)
            };
            if waiting.is_some() {
                // For both sides; behind both, in the order of nodes.
                assembly.tick(meeting, operator);
            }
            operator(assembly)
        });
        let (node_key, node_values) = (key, values);
        let on_right = right.operator_of(name, &format!("{operator}-right"), move |assembly, node| {
            assembly.log_changes::<WindowStore<Held<W>>>(node, stores[1]);
            let own = sides::kept(assembly, stores[1], &node_values.1);
            let other = sides::kept(assembly, stores[0], &node_values.0);
            let outer = waiting.map(|waiting| OuterSide::new(assembly, meeting, waiting, outer[1], false));
            JoinSide::new(
                assembly,
                (node, meeting),
                &node_key,
                windows,
                false,
                (own, other),
                outer,
                Arc::clone(&turned),
            )
        });
        let make = |assembly: &mut Assembly<'_>, node| erase::<K, R>(assembly.joint::<K, R>(node));
        let node = graph.borrow_mut().add(name, operator, &[on_left, on_right], Kind::Operator, Arc::new(make));
        let mut graph = graph.borrow_mut();
        debug_assert_eq!(node, meeting);
        let all: Vec<usize> = stores.into_iter().chain(waiting).collect();
        connect(&mut graph, [on_left, on_right], node, &all);
        graph.nodes[node].joins_null_keys = outer[0];
        if waiting.is_some() {
            graph.holds_back(node, windows.before_ms.max(windows.after_ms).saturating_add(windows.grace_ms) + 1);
        }
        drop(graph);
        let joined = left.new_values(node);
        KStream { rekeyed: false, ..joined }
    }

    /// Both streams with the records of equal keys in equal partitions, and the codec of the keys.
    fn side_by_side<W: 'static>(
        &self,
        right: &KStream<K, W>,
        title: &str,
        name: &str,
    ) -> (Self, KStream<K, W>, SharedCodec<K>) {
        let (mut left, mut right) = (self.clone(), right.clone());
        match (&left.key, &right.key) {
            (Known::Codec(one), Known::Codec(other)) if one.id != other.id => {
                let (stream, table) = (one.name.to_string(), other.name.to_string());
                let operator = title.to_owned();
                self.graph.borrow_mut().errors.push(TopologyError::KeyCodecs { operator, stream, table });
            }
            (Known::Codec(one), Known::Since(_)) => right.key = Known::Codec(one.clone()),
            (Known::Since(_), Known::Codec(other)) => left.key = Known::Codec(other.clone()),
            _ => {}
        }
        let left = left.partitioned(title, &format!("{name}-left"));
        let right = right.partitioned(title, &format!("{name}-right"));
        let key = left.need_key(title);
        (left, right, key)
    }
}

fn connect(graph: &mut crate::topology::Graph, sides: [NodeId; 2], meeting: NodeId, stores: &[usize]) {
    for node in sides.into_iter().chain([meeting]) {
        graph.connect(node, stores);
    }
    graph.nodes[meeting].copartitioned = true;
}
