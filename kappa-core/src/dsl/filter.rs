//! Keeps or drops records by a predicate.

use super::KStream;
use crate::processor::{Cx, Next, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Keeps the records for which `predicate` holds. Null values pass.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be()).filter(|_, minutes| *minutes > 0).to("late");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", -3, 10)?;
    /// delays.pipe("OK2", 25, 20)?;
    /// assert_eq!(driver.output("late", utf8(), i64_be()).read_all()?, [("OK2".into(), Some(25), 20)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.keep("filter", predicate)
    }

    /// Keeps the records for which `predicate` does not hold. Null values pass.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be()).filter_not(|_, minutes| *minutes > 0).to("punctual");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", -3, 10)?;
    /// delays.pipe("OK2", 25, 20)?;
    /// assert_eq!(driver.output("punctual", utf8(), i64_be()).read_all()?, [("OK1".into(), Some(-3), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter_not(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.keep("filter_not", move |key, value| !predicate(key, value))
    }

    fn keep(&self, operator: &str, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        let predicate = Arc::new(predicate);
        self.same(self.operator(operator, move |assembly, node| Filter {
            predicate: Arc::clone(&predicate),
            next: assembly.next(node),
        }))
    }
}

struct Filter<K, V, F> {
    predicate: Arc<F>,
    next: Next<K, V>,
}

impl<K: 'static, V: 'static, F: Fn(&K, &V) -> bool + Send + Sync> Receiver<K, V> for Filter<K, V, F> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let keep = match record.value()? {
            Some(value) => (self.predicate)(record.key()?, value),
            None => true,
        };
        if keep { self.next.receive(record, cx) } else { Ok(()) }
    }
}
