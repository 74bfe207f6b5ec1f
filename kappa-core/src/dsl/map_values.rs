//! Makes new values, keeping keys.

use super::KStream;
use crate::processor::{Cx, Next, Receiver};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::marker::PhantomData;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Makes a new value of each record; the key stays, so nothing is repartitioned. Null values pass.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8())
    ///     .map_values(|_, text| text.to_uppercase())
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("k", "brno", 5)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, [("k".into(), Some("BRNO".into()), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_values<V2: 'static>(&self, mapper: impl Fn(&K, &V) -> V2 + Send + Sync + 'static) -> KStream<K, V2> {
        let mapper = Arc::new(mapper);
        self.new_values(self.operator("map_values", move |assembly, node| MapValues {
            mapper: Arc::clone(&mapper),
            next: assembly.next(node),
            types: PhantomData,
        }))
    }
}

struct MapValues<K, V, V2, F> {
    mapper: Arc<F>,
    next: Next<K, V2>,
    types: PhantomData<fn(V)>,
}

impl<K: 'static, V: 'static, V2: 'static, F> Receiver<K, V> for MapValues<K, V, V2, F>
where
    F: Fn(&K, &V) -> V2 + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let value = match record.value()? {
            Some(value) => Some(Lazy::ready((self.mapper)(record.key()?, value))),
            None => None,
        };
        let Record { key, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, value.as_ref(), timestamp_ms, headers), cx)
    }
}
