//! Makes new keys, keeping values.

use super::{KStream, Known};
use crate::codec::{Codec, SharedCodec};
use crate::processor::{Cx, Dropped, Next, Receiver};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Gives each record a new key, written by `codec`. What needs keys afterwards repartitions first; the
    /// value's bytes are passed on as they came.
    ///
    /// Records whose value is null are dropped and counted (`null-value`): there is nothing to make a key
    /// of.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("flights", utf8(), utf8()).select_key(utf8(), |_, origin| origin.clone()).to("by-origin");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 5)?;
    /// assert_eq!(driver.output("by-origin", utf8(), utf8()).read_all()?, [("PRG".into(), Some("PRG".into()), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn select_key<K2: 'static>(
        &self,
        codec: impl Codec<K2>,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        let selector = Arc::new(selector);
        let node = self.operator("select_key", move |assembly, node| SelectKey {
            selector: Arc::clone(&selector),
            next: assembly.next(node),
            types: PhantomData,
        });
        let key = Known::Codec(SharedCodec::new(codec));
        KStream { graph: Rc::clone(&self.graph), node, key, value: self.value.clone(), rekeyed: true }
    }
}

struct SelectKey<K, V, K2, F> {
    selector: Arc<F>,
    next: Next<K2, V>,
    types: PhantomData<fn(K)>,
}

impl<K: 'static, V: 'static, K2: 'static, F> Receiver<K, V> for SelectKey<K, V, K2, F>
where
    F: Fn(&K, &V) -> K2 + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(value) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let key = &Lazy::ready((self.selector)(record.key()?, value));
        let Record { value, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, value, timestamp_ms, headers), cx)
    }
}
