//! Joins a stream with a table.

use crate::codec::SharedCodec;
use crate::dsl::{KStream, KTable, Known, Repartition, SameKeyAs};
use crate::processor::{Cx, Dropped, Getter, Next, Receiver, Wanted};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::TopologyError;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Joins each record with the table's value for its key, as it is when the record comes; records without
    /// a match are dropped. Only the stream triggers results; they have its timestamp.
    ///
    /// Where the key was changed upstream, the stream goes through a repartition topic named
    /// `<table>-join`. Records whose key or value is null are dropped and counted.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let airports = app.table("airports", utf8(), utf8());
    /// app.stream("departures", utf8(), utf8())
    ///     .join(&airports, |flight, airport| format!("{flight} from {airport}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let departures = driver.input("departures", utf8(), utf8());
    /// departures.pipe("PRG", "OK1", 10)?;
    /// driver.input("airports", utf8(), utf8()).pipe("PRG", "Praha", 20)?;
    /// departures.pipe("PRG", "OK2", 15)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("PRG".into(), Some("OK2 from Praha".into()), 15)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join<K2: SameKeyAs<K>, T: Send + 'static, V2: 'static>(
        &self,
        table: &KTable<K2, T>,
        joiner: impl Fn(&V, &T) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let table = K2::table(table);
        self.join_table(table, "join", false, move |value, found: Option<&T>| found.map(|found| joiner(value, found)))
    }

    /// As [`KStream::join`], but a record without a match is joined with `None`, and so is one whose key is
    /// null.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let airports = app.table("airports", utf8(), utf8());
    /// app.stream("departures", utf8(), utf8())
    ///     .left_join(&airports, |flight, airport| match airport {
    ///         Some(airport) => format!("{flight} from {airport}"),
    ///         None => format!("{flight} from nowhere"),
    ///     })
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("departures", utf8(), utf8()).pipe("PRG", "OK1", 10)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("OK1 from nowhere".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join<K2: SameKeyAs<K>, T: Send + 'static, V2: 'static>(
        &self,
        table: &KTable<K2, T>,
        joiner: impl Fn(&V, Option<&T>) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let table = K2::table(table);
        self.join_table(table, "left_join", true, move |value, found: Option<&T>| Some(joiner(value, found)))
    }

    fn join_table<T: Send + 'static, V2: 'static>(
        &self,
        table: &KTable<K, T>,
        operator: &str,
        left: bool,
        joiner: impl Fn(&V, Option<&T>) -> Option<V2> + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let input = self.beside(table, operator, left);
        let joiner = Arc::new(joiner);
        let (key, make) = (table.key.clone(), Arc::clone(&table.lookup.make));
        let node = input.operator(operator, move |assembly, node| Join {
            name: assembly.name(node),
            table: make(assembly),
            key: key.clone(),
            left,
            joiner: Arc::clone(&joiner),
            next: assembly.next(node),
            types: PhantomData,
        });
        let mut graph = input.graph.borrow_mut();
        graph.look_into(node, table.stream.node, &table.lookup.stores);
        graph.nodes[node].copartitioned = true;
        graph.nodes[node].joins_null_keys = left;
        drop(graph);
        input.new_values(node)
    }

    /// This stream with its records in the partitions of a table's keys.
    pub(super) fn beside<T: 'static>(&self, table: &KTable<K, T>, operator: &str, left: bool) -> Self {
        let name = table.name();
        let title = format!("{operator}({name})");
        if !Rc::ptr_eq(&self.graph, &table.stream.graph) {
            self.graph.borrow_mut().errors.push(TopologyError::Foreign { operator: title });
            return self.clone();
        }
        let mut stream = self.clone();
        match &self.key {
            Known::Codec(codec) if codec.id != table.key.id => {
                let (stream, table) = (codec.name.to_string(), table.key.name.to_string());
                self.graph.borrow_mut().errors.push(TopologyError::KeyCodecs {
                    operator: title.clone(),
                    stream,
                    table,
                });
            }
            Known::Codec(_) => {}
            // A new key without a codec is written as the table's keys are.
            Known::Since(_) => stream.key = Known::Codec(table.key.clone()),
        }
        let topic = Repartition::named(format!("{name}-join"));
        // A left join joins them with nothing.
        let topic = if left { topic.with_null_keys() } else { topic };
        stream.partitioned_by(&title, &topic)
    }
}

impl<K: 'static, V: 'static> KTable<K, V> {
    /// The name of its store.
    pub(super) fn name(&self) -> String {
        self.stream.base()
    }
}

/// Joins a record with what the table has for its key.
pub(super) struct Join<K, V, T, V2, F> {
    pub(super) name: Arc<str>,
    pub(super) table: Box<dyn Getter<K, T>>,
    pub(super) key: SharedCodec<K>,
    pub(super) left: bool,
    pub(super) joiner: Arc<F>,
    pub(super) next: Next<K, V2>,
    pub(super) types: PhantomData<fn(V, T)>,
}

impl<K: 'static, V: 'static, T: Send + 'static, V2: 'static, F> Receiver<K, V> for Join<K, V, T, V2, F>
where
    F: Fn(&V, Option<&T>) -> Option<V2> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(value) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let (table, joiner) = (&self.table, &self.joiner);
        let joined = cx.with_key(&self.name, record.key, &self.key, |key, cx| {
            let mut joined = None;
            let wanted = Wanted { key: record.key, bytes: key, as_of_ms: Some(record.timestamp_ms) };
            table.get(wanted, cx, &mut |found| {
                joined = joiner(value, found.map(|(found, _)| found));
                Ok(())
            })?;
            Ok(joined)
        })?;
        let value = match joined {
            Some(Some(value)) => value,
            Some(None) => return Ok(()),
            None => match joiner(value, None) {
                Some(value) if self.left => value,
                _ => return cx.drop_record(Dropped::NullKey),
            },
        };
        let Record { key, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, Some(&Lazy::ready(value)), timestamp_ms, headers), cx)
    }
}
