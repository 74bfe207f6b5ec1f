//! Writes each record to partitions of its own choice.

use super::to_routed::RecordContext;
use super::{KStream, add_sink};
use crate::codec::SharedCodec;
use crate::processor::{Cx, Receiver, unencodable};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{TopicRef, erase};
use std::sync::Arc;

/// Which partitions a record goes to (Kafka Streams: what a `StreamPartitioner` gives back).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitions {
    /// The one that its key belongs to.
    ByKey,
    /// This one.
    One(i32),
    /// Each of these: a copy of the record.
    These(Vec<i32>),
    /// Every one there is: a copy of the record.
    All,
    /// None: the record is left out.
    Nowhere,
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Writes each record to the partitions of a topic that `choose` names: one, several copies, or none. It is shown the
    /// key, the value (`None` for null), time and headers, and the number of partitions.
    ///
    /// Readers that look for a key in the partition it belongs to (tables, joins, Kafka's own clients) will not find it
    /// elsewhere.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::Partitions, testing::{TestDriver, TestOptions}, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).to_partitions("out", |_, value, _, _| match value.map(String::as_str) {
    ///     Some("everybody") => Partitions::All,
    ///     Some("nobody") => Partitions::Nowhere,
    ///     _ => Partitions::ByKey,
    /// });
    ///
    /// let driver = TestDriver::with_options(&app.build()?, TestOptions { partitions: 3, ..Default::default() })?;
    /// let input = driver.input("in", utf8(), utf8());
    /// for value in ["everybody", "nobody", "one"] {
    ///     input.pipe("key", value, 0)?;
    /// }
    /// let partitions: Vec<i32> =
    ///     driver.output("out", utf8(), utf8()).read_records()?.iter().map(|record| record.partition).collect();
    /// assert_eq!(partitions[..3], [0, 1, 2]);
    /// assert_eq!(partitions.len(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_partitions(
        &self,
        topic: &str,
        choose: impl Fn(&K, Option<&V>, RecordContext<'_>, i32) -> Partitions + Send + Sync + 'static,
    ) {
        let operator = format!("to_partitions({topic})");
        let (key, value) = (self.need_key(&operator), self.need_value(&operator));
        self.graph.borrow_mut().check_name("topic", topic);
        let choose = Arc::new(choose);
        let target = TopicRef::External(topic.to_owned());
        let (sink_key, sink_value) = (key.clone(), value.clone());
        let make = move |assembly: &mut crate::topology::Assembly<'_>, node, topic: &TopicRef| {
            let (name, output) = (assembly.name(node), assembly.output(topic));
            let (key, value, choose) = (sink_key.clone(), sink_value.clone(), Arc::clone(&choose));
            erase::<K, V>(Partitioned { name, output, key, value, choose })
        };
        add_sink(self, topic, "sink", target, (key.form(), value.form()), make);
    }
}

struct Partitioned<K, V, F> {
    name: Arc<str>,
    output: usize,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    choose: Arc<F>,
}

impl<K: 'static, V: 'static, F> Partitioned<K, V, F> {
    fn send(
        &self,
        record: &Record<'_, K, V>,
        key: Option<&[u8]>,
        partitions: &Partitions,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let count = cx.out.partitions(self.output);
        let value = |bytes: &mut Vec<u8>| match record.value {
            Some(value) => value.write(&self.value, bytes),
            None => Ok(false),
        };
        let to = |partition: i32, cx: &mut Cx<'_>| {
            if !(0..count).contains(&partition) {
                let reason = format!("partition {partition} was chosen, and the topic has {count}");
                return Err(ProcessError::Operator { operator: self.name.to_string(), reason });
            }
            let sent = cx.out.send_to(self.output, partition, record.timestamp_ms, record.headers, key, value);
            sent.map_err(|error| unencodable(&self.name, "value", &error))
        };
        match partitions {
            Partitions::ByKey => {
                let by = key.map(|key| self.key.partition_by(key));
                let sent = cx.out.send(self.output, record.timestamp_ms, record.headers, (key, by), value);
                sent.map_err(|error| unencodable(&self.name, "value", &error))
            }
            Partitions::One(partition) => to(*partition, cx),
            Partitions::These(chosen) => chosen.iter().try_for_each(|partition| to(*partition, cx)),
            Partitions::All => (0..count).try_for_each(|partition| to(partition, cx)),
            Partitions::Nowhere => Ok(()),
        }
    }
}

impl<K: 'static, V: 'static, F> Receiver<K, V> for Partitioned<K, V, F>
where
    F: Fn(&K, Option<&V>, RecordContext<'_>, i32) -> Partitions + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Record { timestamp_ms, headers, .. } = *record;
        let count = cx.out.partitions(self.output);
        let chosen = (self.choose)(record.key()?, record.value()?, RecordContext { timestamp_ms, headers }, count);
        let sent =
            cx.with_key(&self.name, record.key, &self.key, |key, cx| self.send(record, Some(key), &chosen, cx))?;
        match sent {
            Some(()) => Ok(()),
            None => self.send(record, None, &chosen, cx),
        }
    }
}
