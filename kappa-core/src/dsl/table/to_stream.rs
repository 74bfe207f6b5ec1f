//! A table's changes as a stream with new keys.

use super::KTable;
use crate::codec::{Codec, SharedCodec};
use crate::dsl::{KStream, Known};
use crate::processor::{Cx, Next, Receiver};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: 'static> KTable<K, V> {
    /// The table's changes as a stream of records with new keys, written by `codec`; deletions are null values, and
    /// `selector` sees them as `None` (Kafka Streams: `toStream` with a mapper).
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("cities", utf8(), utf8())
    ///     .to_stream_with_key(i64_be(), |code, _| code.len() as i64)
    ///     .to("by-length");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("cities", utf8(), utf8()).pipe_null("PRG", 6)?;
    /// assert_eq!(driver.output("by-length", i64_be(), utf8()).read_all()?, [(3, None, 6)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_stream_with_key<K2: 'static>(
        &self,
        codec: impl Codec<K2>,
        selector: impl Fn(&K, Option<&V>) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        let selector = Arc::new(selector);
        let node = self.stream.operator("to_stream_with_key", move |assembly, node| Rekey {
            selector: Arc::clone(&selector),
            next: assembly.next(node),
            types: PhantomData,
        });
        let key = Known::Codec(SharedCodec::new(codec));
        let (graph, value) = (Rc::clone(&self.stream.graph), self.stream.value.clone());
        KStream { graph, node, key, value, rekeyed: true }
    }
}

struct Rekey<K, V, K2, F> {
    selector: Arc<F>,
    next: Next<K2, V>,
    types: PhantomData<fn(K)>,
}

impl<K: 'static, V: 'static, K2: 'static, F> Receiver<K, V> for Rekey<K, V, K2, F>
where
    F: Fn(&K, Option<&V>) -> K2 + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let key = Lazy::ready((self.selector)(record.key()?, record.value()?));
        let Record { value, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(&key, value, timestamp_ms, headers), cx)
    }
}
