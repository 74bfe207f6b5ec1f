//! Makes any number of records of one.

use super::KStream;
use crate::processor::{Cx, Dropped, Next, Receiver};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::marker::PhantomData;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Makes any number of records of each: they keep its timestamp and headers.
    ///
    /// Records whose value is null are dropped and counted (`null-value`).
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, json, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("lines", utf8(), utf8())
    ///     .flat_map(|_, line| line.split(' ').map(|word| (word.to_owned(), ())).collect::<Vec<_>>())
    ///     .with_codecs(utf8(), json())
    ///     .group_by_key()
    ///     .count("words")
    ///     .to_view("words");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("lines", utf8(), utf8()).pipe("any", "to be or not to be", 5)?;
    /// assert_eq!(driver.store("words", utf8(), i64_be()).get("be")?, Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flat_map<K2: 'static, V2: 'static, I>(
        &self,
        mapper: impl Fn(&K, &V) -> I + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        let mapper = Arc::new(mapper);
        self.new_records(self.operator("flat_map", move |assembly, node| FlatMap {
            mapper: Arc::clone(&mapper),
            next: assembly.next(node),
            types: PhantomData,
        }))
    }

    /// Makes any number of values of each record's; the key stays, so nothing is repartitioned. Null values
    /// pass.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("lines", utf8(), utf8())
    ///     .flat_map_values(|_, line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    ///     .with_value_codec(utf8())
    ///     .to("words");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("lines", utf8(), utf8()).pipe("k", "a b", 5)?;
    /// assert_eq!(driver.output("words", utf8(), utf8()).read_values()?, [Some("a".into()), Some("b".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flat_map_values<V2: 'static, I>(
        &self,
        mapper: impl Fn(&K, &V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        I: IntoIterator<Item = V2> + 'static,
    {
        let mapper = Arc::new(mapper);
        self.new_values(self.operator("flat_map_values", move |assembly, node| FlatMapValues {
            mapper: Arc::clone(&mapper),
            next: assembly.next(node),
            types: PhantomData,
        }))
    }
}

struct FlatMap<K, V, K2, V2, F> {
    mapper: Arc<F>,
    next: Next<K2, V2>,
    types: PhantomData<fn(K, V)>,
}

impl<K: 'static, V: 'static, K2: 'static, V2: 'static, F, I> Receiver<K, V> for FlatMap<K, V, K2, V2, F>
where
    F: Fn(&K, &V) -> I + Send + Sync,
    I: IntoIterator<Item = (K2, V2)>,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(value) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let Record { timestamp_ms, headers, .. } = *record;
        for (key, value) in (self.mapper)(record.key()?, value) {
            let (key, value) = (&Lazy::ready(key), Some(&Lazy::ready(value)));
            self.next.receive(&Record::new(key, value, timestamp_ms, headers), cx)?;
        }
        Ok(())
    }
}

struct FlatMapValues<K, V, V2, F> {
    mapper: Arc<F>,
    next: Next<K, V2>,
    types: PhantomData<fn(V)>,
}

impl<K: 'static, V: 'static, V2: 'static, F, I> Receiver<K, V> for FlatMapValues<K, V, V2, F>
where
    F: Fn(&K, &V) -> I + Send + Sync,
    I: IntoIterator<Item = V2>,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Record { key, timestamp_ms, headers, .. } = *record;
        let Some(value) = record.value()? else {
            return self.next.receive(&Record::new(key, None, timestamp_ms, headers), cx);
        };
        for value in (self.mapper)(record.key()?, value) {
            let value = Some(&Lazy::ready(value));
            self.next.receive(&Record::new(key, value, timestamp_ms, headers), cx)?;
        }
        Ok(())
    }
}
