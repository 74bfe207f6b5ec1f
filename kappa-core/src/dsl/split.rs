//! Sends each record down one of several branches.

use super::KStream;
use crate::processor::{Cx, Next, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{Assembly, Kind, NodeId};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Predicate<K, V> = Arc<dyn Fn(&K, &V) -> bool + Send + Sync>;
/// The branches' predicates with their nodes, in order; the default branch has none.
type Branches<K, V> = Arc<Mutex<Vec<(Option<Predicate<K, V>>, NodeId)>>>;

/// A stream being split (Kafka Streams: `BranchedKStream`): see [`KStream::split`].
pub struct SplitStream<K, V> {
    stream: KStream<K, V>,
    split: NodeId,
    branches: Branches<K, V>,
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Splits the stream: each record goes down the first branch whose predicate holds for it, else down the default
    /// branch. Where there is none it ends there, which is not counted as a drop.
    ///
    /// A null value is held against no predicate: it goes down the default branch. With a codec wrapped in
    /// [`nullable`](crate::codec::nullable) predicates see it.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let mut delays = app.stream("delays", utf8(), i64_be()).split();
    /// delays.branch(|_, minutes| *minutes >= 60).to("very-late");
    /// delays.branch(|_, minutes| *minutes > 0).to("late");
    /// delays.default_branch().to("punctual");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// for (flight, minutes) in [("OK1", 90), ("OK2", -3), ("OK3", 20)] {
    ///     delays.pipe(flight, minutes, 10)?;
    /// }
    /// assert_eq!(driver.output("very-late", utf8(), i64_be()).read_values()?, [Some(90)]);
    /// assert_eq!(driver.output("late", utf8(), i64_be()).read_values()?, [Some(20)]);
    /// assert_eq!(driver.output("punctual", utf8(), i64_be()).read_values()?, [Some(-3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(&self) -> SplitStream<K, V> {
        let branches: Branches<K, V> = Arc::default();
        let made = Arc::clone(&branches);
        let split = self.operator("split", move |assembly, _| {
            let branches = made.lock().unwrap_or_else(PoisonError::into_inner);
            // What follows the branches hangs here: their own nodes do nothing.
            Split { branches: branches.iter().map(|(test, node)| (test.clone(), assembly.next(*node))).collect() }
        });
        // Without branches nothing gets through, and that is what was asked for.
        self.graph.borrow_mut().nodes[split].terminal = true;
        SplitStream { stream: self.clone(), split, branches }
    }
}

impl<K: 'static, V: 'static> SplitStream<K, V> {
    /// The records for which `predicate` holds, and none of the branches before it.
    pub fn branch(&mut self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> KStream<K, V> {
        self.add("branch", Some(Arc::new(predicate)))
    }

    /// The records that go down no other branch.
    pub fn default_branch(self) -> KStream<K, V> {
        self.add("default_branch", None)
    }

    fn add(&self, operator: &str, test: Option<Predicate<K, V>>) -> KStream<K, V> {
        let make = |assembly: &mut Assembly<'_>, node| -> crate::topology::Erased {
            let next: Next<K, V> = assembly.next(node);
            Box::new(next)
        };
        let base = self.stream.base();
        let node = self.stream.graph.borrow_mut().add(&base, operator, &[self.split], Kind::Operator, Arc::new(make));
        self.branches.lock().unwrap_or_else(PoisonError::into_inner).push((test, node));
        self.stream.same(node)
    }
}

impl<K, V> fmt::Debug for SplitStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A branch: which records go down it, and to what.
type Branch<K, V> = (Option<Predicate<K, V>>, Next<K, V>);

struct Split<K, V> {
    branches: Vec<Branch<K, V>>,
}

impl<K: 'static, V: 'static> Receiver<K, V> for Split<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let value = record.value()?;
        for (test, next) in &mut self.branches {
            let taken = match (test, value) {
                (Some(test), Some(value)) => test(record.key()?, value),
                (Some(_), None) => false,
                (None, _) => true,
            };
            if taken {
                return next.receive(record, cx);
            }
        }
        Ok(())
    }
}
