//! Makes new keys and values.

use super::KStream;
use crate::processor::{Cx, Dropped, Next, Receiver};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::marker::PhantomData;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Makes a new key and value of each record. What needs keys afterwards repartitions first; where only
    /// the key changes, [`KStream::select_key`] saves encoding the value again.
    ///
    /// Records whose value is null are dropped and counted (`null-value`): there is nothing to map. With a
    /// codec wrapped in [`nullable`](crate::codec::nullable) null is a value.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8())
    ///     .map(|key, value| (value.clone(), key.len() as i64))
    ///     .with_codecs(utf8(), i64_be())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("four", "key", 5)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, [("key".into(), Some(4), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<K2: 'static, V2: 'static>(
        &self,
        mapper: impl Fn(&K, &V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        let mapper = Arc::new(mapper);
        self.new_records(self.operator("map", move |assembly, node| Map {
            mapper: Arc::clone(&mapper),
            next: assembly.next(node),
            types: PhantomData,
        }))
    }
}

struct Map<K, V, K2, V2, F> {
    mapper: Arc<F>,
    next: Next<K2, V2>,
    types: PhantomData<fn(K, V)>,
}

impl<K: 'static, V: 'static, K2: 'static, V2: 'static, F> Receiver<K, V> for Map<K, V, K2, V2, F>
where
    F: Fn(&K, &V) -> (K2, V2) + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(value) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let (key, value) = (self.mapper)(record.key()?, value);
        let (key, value) = (&Lazy::ready(key), Some(&Lazy::ready(value)));
        let Record { timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, value, timestamp_ms, headers), cx)
    }
}
