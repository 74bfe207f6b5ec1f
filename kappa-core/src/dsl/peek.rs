//! Looks at records in passing, or last of all.

use super::KStream;
use crate::processor::{Cx, Next, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Calls `look` with each record on its way. Not for null values.
    ///
    /// Effects outside the topology are not undone when a transaction is aborted and its records come again.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).peek(|key, value| println!("{key}: {value}")).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("k", "v", 5)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("v".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek(&self, look: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        self.same(self.looking("peek", look))
    }

    /// Calls `look` with each record; the stream ends here (Kafka Streams: `foreach`). Not for null values.
    ///
    /// Effects outside the topology are not undone when a transaction is aborted and its records come again.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// use std::sync::mpsc;
    ///
    /// let (seen, values) = mpsc::channel();
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).for_each(move |_, value| drop(seen.send(value.clone())));
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("k", "v", 5)?;
    /// assert_eq!(values.try_recv()?, "v");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each(&self, look: impl Fn(&K, &V) + Send + Sync + 'static) {
        let node = self.looking("for_each", look);
        self.graph.borrow_mut().nodes[node].terminal = true;
    }

    fn looking(&self, operator: &str, look: impl Fn(&K, &V) + Send + Sync + 'static) -> usize {
        let look = Arc::new(look);
        self.operator(operator, move |assembly, node| Peek { look: Arc::clone(&look), next: assembly.next(node) })
    }
}

struct Peek<K, V, F> {
    look: Arc<F>,
    next: Next<K, V>,
}

impl<K: 'static, V: 'static, F: Fn(&K, &V) + Send + Sync> Receiver<K, V> for Peek<K, V, F> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if let Some(value) = record.value()? {
            (self.look)(record.key()?, value);
        }
        self.next.receive(record, cx)
    }
}
