//! Which windows records are aggregated over.

use super::time::TimeKind;
use super::{
    SessionWindowedCogroupedKStream, SessionWindowedKStream, TimeWindowedCogroupedKStream, TimeWindowedKStream,
};
use crate::dsl::{CogroupedKStream, KGroupedStream};
use crate::topology::{SharedGraph, TopologyError};
use crate::window::{SessionWindows, SlidingWindows, TimeWindows};

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::window::TimeWindows {}
    impl Sealed for crate::window::SlidingWindows {}
    impl Sealed for crate::window::SessionWindows {}
}

/// A kind of windows: [`TimeWindows`], [`SlidingWindows`] or [`SessionWindows`].
pub trait Windows: sealed::Sealed {
    /// What a grouped stream becomes.
    type Stream<K, V>;

    /// What cogrouped streams become.
    type Cogrouped<K, A>;

    /// Puts cogrouped streams' records into these windows.
    #[doc(hidden)]
    fn over_cogrouped<K: 'static, A: Send + 'static>(self, cogrouped: CogroupedKStream<K, A>) -> Self::Cogrouped<K, A>;

    /// Puts a grouped stream's records into these windows.
    #[doc(hidden)]
    fn over<K: 'static, V: 'static>(self, grouped: &KGroupedStream<K, V>) -> Self::Stream<K, V>;
}

impl<K: 'static, V: 'static> KGroupedStream<K, V> {
    /// Aggregates each key's records in windows of their timestamps: tumbling, hopping or unlimited
    /// ([`TimeWindows`]), sliding ([`SlidingWindows`]) or sessions ([`SessionWindows`]).
    ///
    /// Windows close by the timestamps of the records that come: with the largest seen, less the grace. Records for windows
    /// that have closed are dropped and counted (`late`), each for every such window. How far time had come is kept with the
    /// committed offsets, so a restart makes no difference.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, time_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::window::{TimeWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("flights", utf8(), utf8())
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::tumbling(60_000).grace(5_000))
    ///     .count("flights-per-minute")
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let flights = driver.input("flights", utf8(), utf8());
    /// flights.pipe("PRG", "OK1", 59_000)?;
    /// flights.pipe("PRG", "OK2", 64_000)?;
    /// flights.pipe("PRG", "OK3", 58_000)?;
    /// let out = driver.output("out", time_windowed(utf8(), 60_000), i64_be()).read_all()?;
    /// let (first, second) = (Windowed::new("PRG".into(), 0, 60_000), Windowed::new("PRG".into(), 60_000, 120_000));
    /// assert_eq!(out, [(first.clone(), Some(1), 59_000), (second, Some(1), 64_000), (first, Some(2), 59_000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn windowed_by<W: Windows>(&self, windows: W) -> W::Stream<K, V> {
        windows.over(self)
    }
}

/// Notes an error where lengths make no sense.
fn check(graph: &SharedGraph, windows: &impl std::fmt::Debug, sound: bool, rule: &'static str) {
    if !sound {
        graph.borrow_mut().errors.push(TopologyError::Windows { windows: format!("{windows:?}"), rule });
    }
}

impl TimeWindows {
    fn checked(self, graph: &SharedGraph) -> Self {
        let Self { size_ms, advance_ms, grace_ms, unlimited_ms } = self;
        let sound =
            size_ms > 0 && (1..=size_ms).contains(&advance_ms) && grace_ms >= 0 && unlimited_ms.unwrap_or(0) >= 0;
        let rule = "the size is at least 1 ms, the advance from 1 ms to the size, grace and start not negative";
        check(graph, &self, sound, rule);
        if sound { self } else { Self::tumbling(1) }
    }
}

impl SlidingWindows {
    fn checked(self, graph: &SharedGraph) -> Self {
        let sound = self.difference_ms > 0 && self.grace_ms >= 0;
        check(graph, &self, sound, "the difference is at least 1 ms, the grace not negative");
        self
    }
}

impl SessionWindows {
    fn checked(self, graph: &SharedGraph) -> Self {
        let sound = self.gap_ms > 0 && self.grace_ms >= 0;
        check(graph, &self, sound, "the gap is at least 1 ms, the grace not negative");
        self
    }
}

impl Windows for TimeWindows {
    type Stream<K, V> = TimeWindowedKStream<K, V>;
    type Cogrouped<K, A> = TimeWindowedCogroupedKStream<K, A>;

    fn over_cogrouped<K: 'static, A: Send + 'static>(
        self,
        cogrouped: CogroupedKStream<K, A>,
    ) -> TimeWindowedCogroupedKStream<K, A> {
        let kind = TimeKind::Time(self.checked(&cogrouped.graph()));
        TimeWindowedCogroupedKStream { cogrouped, kind }
    }

    fn over<K: 'static, V: 'static>(self, grouped: &KGroupedStream<K, V>) -> TimeWindowedKStream<K, V> {
        let kind = TimeKind::Time(self.checked(&grouped.stream.graph));
        TimeWindowedKStream::new(grouped.stream.clone(), kind)
    }
}

impl Windows for SlidingWindows {
    type Stream<K, V> = TimeWindowedKStream<K, V>;
    type Cogrouped<K, A> = TimeWindowedCogroupedKStream<K, A>;

    fn over_cogrouped<K: 'static, A: Send + 'static>(
        self,
        cogrouped: CogroupedKStream<K, A>,
    ) -> TimeWindowedCogroupedKStream<K, A> {
        let kind = TimeKind::Sliding(self.checked(&cogrouped.graph()));
        TimeWindowedCogroupedKStream { cogrouped, kind }
    }

    fn over<K: 'static, V: 'static>(self, grouped: &KGroupedStream<K, V>) -> TimeWindowedKStream<K, V> {
        let kind = TimeKind::Sliding(self.checked(&grouped.stream.graph));
        TimeWindowedKStream::new(grouped.stream.clone(), kind)
    }
}

impl Windows for SessionWindows {
    type Stream<K, V> = SessionWindowedKStream<K, V>;
    type Cogrouped<K, A> = SessionWindowedCogroupedKStream<K, A>;

    fn over_cogrouped<K: 'static, A: Send + 'static>(
        self,
        cogrouped: CogroupedKStream<K, A>,
    ) -> SessionWindowedCogroupedKStream<K, A> {
        let windows = self.checked(&cogrouped.graph());
        SessionWindowedCogroupedKStream { cogrouped, windows }
    }

    fn over<K: 'static, V: 'static>(self, grouped: &KGroupedStream<K, V>) -> SessionWindowedKStream<K, V> {
        let windows = self.checked(&grouped.stream.graph);
        SessionWindowedKStream::new(grouped.stream.clone(), windows)
    }
}
