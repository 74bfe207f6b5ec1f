//! Prints records.

use super::KStream;
use crate::processor::{Cx, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use std::fmt::Debug;
use std::io::Write;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

impl<K: Debug + 'static, V: Debug + 'static> KStream<K, V> {
    /// Prints each record as a line, `[label]: key, value`, to `to` (Kafka Streams: `print(Printed)`). For looking at what
    /// goes through while building: a transaction that is aborted has printed all the same.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// # #[derive(Clone, Default)]
    /// # struct Screen(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    /// # impl std::io::Write for Screen {
    /// #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().unwrap().write(bytes) }
    /// #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
    /// # }
    /// # let screen = Screen::default();
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be()).print("delays", screen.clone()); // or std::io::stdout()
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("delays", utf8(), i64_be()).pipe("OK1", 20, 10)?;
    /// assert_eq!(String::from_utf8_lossy(&screen.0.lock().unwrap()), "[delays]: \"OK1\", 20\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn print(&self, label: &str, to: impl Write + Send + 'static) {
        let (label, to): (Arc<str>, _) = (Arc::from(label), Arc::new(Mutex::new(to)));
        let node = self.operator("print", move |assembly, node| Print {
            name: assembly.name(node),
            label: Arc::clone(&label),
            to: Arc::clone(&to),
            types: PhantomData,
        });
        self.graph.borrow_mut().nodes[node].terminal = true;
    }
}

struct Print<K, V, W> {
    name: Arc<str>,
    label: Arc<str>,
    to: Arc<Mutex<W>>,
    types: PhantomData<fn(K, V)>,
}

impl<K: Debug + 'static, V: Debug + 'static, W: Write + Send> Receiver<K, V> for Print<K, V, W> {
    fn receive(&mut self, record: &Record<'_, K, V>, _cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (key, value) = (record.key()?, record.value()?);
        // A panic in another task's line leaves the writer as it is.
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match value {
            Some(value) => writeln!(to, "[{}]: {key:?}, {value:?}", self.label),
            None => writeln!(to, "[{}]: {key:?}, null", self.label),
        };
        written.map_err(|error| ProcessError::Operator { operator: self.name.to_string(), reason: error.to_string() })
    }
}
