//! Topologies whose time goes on by the clock when their inputs are quiet.

use super::graph::{Graph, Kind};
use super::{TopologyBuilder, TopologyError};

impl TopologyBuilder {
    /// Lets time go on by the clock where no record comes: once a task has processed all there is and has seen no record for
    /// `timeout_ms`, its time goes on from the last record's stream time as the clock does. Windows that are emitted on close,
    /// [`suppress`](crate::dsl::KTable::suppress), left and outer joins of streams and joins with grace then let out what has
    /// become due, and processors are called by stream time. Off without this, as in Kafka Streams: there the last windows wait
    /// for the next record.
    ///
    /// **Results then depend on the clock.** A record that comes after its window was let out is late, as if another record had
    /// closed it; what was let out is kept with the committed offsets and not taken back by a restart. Reading everything again
    /// from the beginning does not repeat the pauses: what was late then may be in time. So choose a timeout longer than
    /// producers pause, brokers are away and commits take, and let the grace cover how late records come.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, time_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::window::{TimeWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.idle_timeout_ms(1_000);
    /// app.stream("calls", utf8(), utf8())
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::tumbling(60_000))
    ///     .emit_on_close()
    ///     .count("calls-per-minute")
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("calls", utf8(), utf8()).pipe("ann", "", 50_000)?;
    /// let out = driver.output("out", time_windowed(utf8(), 60_000), i64_be());
    /// driver.advance_wall_clock_ms(9_999)?;
    /// assert_eq!(out.read_all()?, []);
    /// driver.advance_wall_clock_ms(1)?;
    /// assert_eq!(out.read_all()?, [(Windowed::new("ann".into(), 0, 60_000), Some(1), 50_000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle_timeout_ms(&mut self, timeout_ms: i64) {
        let mut graph = self.graph.borrow_mut();
        if timeout_ms < 1 {
            let operator = "idle_timeout_ms".to_owned();
            let reason = format!("a timeout of {timeout_ms} ms makes no sense: 1 or longer");
            graph.errors.push(TopologyError::BadTime { operator, reason });
        }
        graph.idle_timeout_ms = Some(timeout_ms);
    }
}

impl Graph {
    /// For each node, for how long a record on its way there may be held back by operators upstream, ms. Topics that the
    /// topology writes for itself lie on the way.
    pub(super) fn held_back_ms(&self) -> Vec<i64> {
        let mut behind: Vec<i64> = Vec::with_capacity(self.nodes.len());
        // Behind each node: what its results have been held back for.
        let mut results: Vec<i64> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let parents = node.parents.iter().map(|parent| results[*parent]);
            let writers = (0..id).filter(|writer| match (&node.kind, &self.nodes[*writer].kind) {
                (Kind::Source { topic: read, .. }, Kind::Sink { topic: written, .. }) => read == written,
                _ => false,
            });
            let upstream_ms = parents.chain(writers.map(|writer| results[writer])).max().unwrap_or(0);
            let own = self.holds.iter().filter(|(holder, _)| *holder == id).map(|(_, ms)| *ms);
            behind.push(upstream_ms);
            results.push(upstream_ms.saturating_add(own.max().unwrap_or(0)));
        }
        behind
    }
}
