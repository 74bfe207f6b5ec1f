//! Joins a stream with a versioned table, and waits for rows that come late.
//!
//! Records wait in a store, rows `[8 byte time][key][8 byte sequence number]`, so in the order of time; one more row, with the
//! empty key, has the oldest time.
//!
//! **Invariants:**
//! - No record waits whose time is the join's, less the grace, or earlier. The join's time is the largest timestamp that has
//!   waited, and travels with the committed offsets, as the sequence number does.
//! - The oldest time is not later than that of any record that waits.

use super::sides;
use super::table::Join;
use crate::codec::{CodecError, SharedCodec};
use crate::dsl::{KStream, KTable, SameKeyAs};
use crate::log::{Header, Headers};
use crate::processor::{Cx, Receiver, Tick, TimeSlot, unencodable};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::{Assembly, TopologyError};
use kappa_state::{BufferedStore, Direction, StateError};
use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

type Rows = BufferedStore<Vec<u8>>;
/// A row's key, and its value.
type Row = (Vec<u8>, Vec<u8>);

/// How many records are taken out at once.
const BATCH: usize = 256;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// As [`join`](Self::join) with a [versioned](KTable::versioned) table, but each record waits in store `name` until one
    /// comes that is `grace_ms` later: rows of the table that are late by less are found (Kafka Streams:
    /// `Joined.withGracePeriod`). Results come in the order of time. A record that is late by more does not wait.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let prices = app.table("prices", utf8(), utf8()).versioned("price-versions", 60_000);
    /// app.stream("orders", utf8(), utf8())
    ///     .join_with_grace(&prices, "waiting-orders", 1_000, |order, price| format!("{order} for {price}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let orders = driver.input("orders", utf8(), utf8());
    /// orders.pipe("tea", "two bags", 5_000)?;
    /// driver.input("prices", utf8(), utf8()).pipe("tea", "3", 4_900)?;
    /// orders.pipe("tea", "one bag", 6_000)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("tea".into(), Some("two bags for 3".into()), 5_000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_with_grace<K2: SameKeyAs<K>, T: Send + 'static, V2: 'static>(
        &self,
        table: &KTable<K2, T>,
        name: &str,
        grace_ms: i64,
        joiner: impl Fn(&V, &T) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let table = K2::table(table);
        let joiner = move |value: &V, found: Option<&T>| found.map(|found| joiner(value, found));
        self.join_late(table, "join_with_grace", false, (name, grace_ms), joiner)
    }

    /// As [`join_with_grace`](Self::join_with_grace), but a record without a match is joined with `None`, and so is one whose key
    /// is null, which does not wait.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let prices = app.table("prices", utf8(), utf8()).versioned("price-versions", 60_000);
    /// app.stream("orders", utf8(), utf8())
    ///     .left_join_with_grace(&prices, "waiting-orders", 0, |order, price| format!("{order} for {price:?}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("orders", utf8(), utf8()).pipe("tea", "two bags", 5_000)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("two bags for None".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_with_grace<K2: SameKeyAs<K>, T: Send + 'static, V2: 'static>(
        &self,
        table: &KTable<K2, T>,
        name: &str,
        grace_ms: i64,
        joiner: impl Fn(&V, Option<&T>) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let table = K2::table(table);
        let joiner = move |value: &V, found: Option<&T>| Some(joiner(value, found));
        self.join_late(table, "left_join_with_grace", true, (name, grace_ms), joiner)
    }

    fn join_late<T: Send + 'static, V2: 'static>(
        &self,
        table: &KTable<K, T>,
        operator: &str,
        left: bool,
        (store, grace_ms): (&str, i64),
        joiner: impl Fn(&V, Option<&T>) -> Option<V2> + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let title = format!("{operator}({})", table.name());
        self.graph.borrow_mut().errors.extend(check(&title, table.lookup.history_ms, grace_ms));
        let input = self.beside(table, operator, left);
        let value = input.need_value(&title);
        let index = sides::waiting_store(&input.graph, store, &table.key, (&value.name, &format!("{grace_ms}")));
        let joiner = Arc::new(joiner);
        let (key, make) = (table.key.clone(), Arc::clone(&table.lookup.make));
        let node = input.operator(operator, move |assembly, node| {
            assembly.log_changes::<Rows>(node, index);
            let operator = |assembly: &mut Assembly<'_>| Patient {
                join: Join {
                    name: assembly.name(node),
                    table: make(assembly),
                    key: key.clone(),
                    left,
                    joiner: Arc::clone(&joiner),
                    next: assembly.next_of_ticking(node),
                    types: PhantomData,
                },
                grace_ms,
                slot: assembly.slot(index).unwrap_or(usize::MAX),
                changelog: assembly.changelog(index),
                value: value.clone(),
                time: assembly.time(node, "waiting"),
                sequence: assembly.time(node, "sequence"),
            };
            assembly.tick(node, operator);
            operator(assembly)
        });
        let mut graph = input.graph.borrow_mut();
        graph.look_into(node, table.stream.node, &table.lookup.stores);
        graph.connect(node, &[index]);
        graph.nodes[node].copartitioned = true;
        graph.nodes[node].joins_null_keys = left;
        graph.holds_back(node, grace_ms);
        drop(graph);
        input.new_values(node)
    }
}

fn check(operator: &str, history_ms: Option<i64>, grace_ms: i64) -> Option<TopologyError> {
    let reason = match history_ms {
        _ if grace_ms < 0 => format!("a grace of {grace_ms} ms makes no sense: 0 or longer"),
        None => "a join waits for late rows only of a table that keeps versions: put .versioned(..) behind the table, \
                 or join() without grace"
            .to_owned(),
        Some(history_ms) if grace_ms > history_ms => format!(
            "it waits {grace_ms} ms and the table has only the versions of {history_ms} ms: give versioned() a longer history"
        ),
        Some(_) => return None,
    };
    Some(TopologyError::BadTime { operator: operator.to_owned(), reason })
}

/// A join whose records wait.
struct Patient<K, V, T, V2, F> {
    join: Join<K, V, T, V2, F>,
    grace_ms: i64,
    slot: usize,
    changelog: usize,
    value: SharedCodec<V>,
    time: TimeSlot,
    sequence: TimeSlot,
}

impl<K: 'static, V: 'static, T: Send + 'static, V2: 'static, F> Patient<K, V, T, V2, F>
where
    F: Fn(&V, Option<&T>) -> Option<V2> + Send + Sync,
{
    /// Puts a record into the store; false where it is null, or later than the grace.
    fn wait(&self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<bool, ProcessError> {
        let time_ms = record.timestamp_ms;
        if time_ms < cx.state.times.get(self.time).saturating_sub(self.grace_ms) {
            return Ok(false);
        }
        let Some(value) = record.value else { return Ok(false) };
        let mut row = Vec::new();
        write_headers(record.headers, &mut row);
        let written = value.write(&self.value, &mut row);
        if !written.map_err(|error| unencodable(&self.join.name, "value", &error))? {
            return Ok(false);
        }
        let name = Arc::clone(&self.join.name);
        let waits = cx.with_key(&name, record.key, &self.join.key, |key, cx| {
            let sequence = cx.state.times.get(self.sequence).max(0) + 1;
            cx.state.times.advance(self.sequence, sequence);
            cx.state.times.advance(self.time, time_ms);
            let oldest_ms = self.oldest_ms(cx)?;
            let (rows, out) = cx.typed::<Rows>(self.slot);
            let row_key = [&time_ms.to_be_bytes()[..], key, &sequence.to_be_bytes()].concat();
            rows.put(&row_key, Some(row), time_ms)?;
            if time_ms < oldest_ms {
                rows.put(&[], Some(time_ms.to_be_bytes().to_vec()), 0)?;
            }
            if rows.over_cache() {
                rows.stage(|change| {
                    out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
                    Ok::<_, ProcessError>(())
                })?;
            }
            Ok(())
        })?;
        Ok(waits.is_some())
    }

    fn oldest_ms(&self, cx: &mut Cx<'_>) -> Result<i64, ProcessError> {
        let row = cx.typed::<Rows>(self.slot).0.get(&[])?;
        Ok(row.and_then(|(row, _)| row.first_chunk()).map_or(i64::MAX, |time| i64::from_be_bytes(*time)))
    }

    /// Joins what has waited since `due_ms` or longer; gives back the time of the last of it.
    fn go_on(&mut self, due_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let mut last_ms = None;
        let codec = self.join.key.clone();
        while self.oldest_ms(cx)? <= due_ms {
            let (due, oldest_ms) = take_due(cx.typed::<Rows>(self.slot).0, due_ms)?;
            for (row, waited) in due {
                let Some((time_ms, key)) = split_key(&row) else { continue };
                last_ms = last_ms.max(Some(time_ms));
                let (headers, value) = read_headers(&waited).map_err(|error| self.unreadable(&error))?;
                let key = Lazy::encoded(&codec, Some(key));
                let value = Lazy::encoded(&self.value, Some(value));
                if let Some(key) = &key {
                    self.join.receive(&Record::new(key, value.as_ref(), time_ms, &headers), cx)?;
                }
                cx.typed::<Rows>(self.slot).0.put(&row, None, time_ms)?;
            }
            let row = (oldest_ms < i64::MAX).then(|| oldest_ms.to_be_bytes().to_vec());
            cx.typed::<Rows>(self.slot).0.put(&[], row, 0)?;
        }
        Ok(last_ms)
    }

    fn unreadable(&self, error: &CodecError) -> ProcessError {
        let reason = format!("a record that waits can't be read: {error}");
        ProcessError::Operator { operator: self.join.name.to_string(), reason }
    }
}

impl<K: 'static, V: 'static, T: Send + 'static, V2: 'static, F> Tick for Patient<K, V, T, V2, F>
where
    F: Fn(&V, Option<&T>) -> Option<V2> + Send + Sync,
{
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let last_ms = self.go_on(time_ms.saturating_sub(self.grace_ms), cx)?;
        let due_ms = last_ms.map(|last_ms| last_ms.saturating_add(self.grace_ms));
        if let Some(due_ms) = due_ms {
            cx.state.times.advance(self.time, due_ms);
        }
        Ok(due_ms)
    }
}

impl<K: 'static, V: 'static, T: Send + 'static, V2: 'static, F> Receiver<K, V> for Patient<K, V, T, V2, F>
where
    F: Fn(&V, Option<&T>) -> Option<V2> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if !self.wait(record, cx)? {
            return self.join.receive(record, cx);
        }
        let due_ms = cx.state.times.get(self.time).saturating_sub(self.grace_ms);
        self.go_on(due_ms, cx).map(drop)
    }
}

/// The oldest rows up to a time, and the time of the first one behind them.
fn take_due(rows: &mut Rows, due_ms: i64) -> Result<(Vec<Row>, i64), StateError> {
    let (mut due, mut oldest_ms) = (Vec::new(), i64::MAX);
    rows.scan(Bound::Excluded(&[]), Bound::Unbounded, Direction::Forward, &mut |row, waited, _| {
        let Some((time_ms, _)) = split_key(row) else { return ControlFlow::Continue(()) };
        if time_ms > due_ms || due.len() == BATCH {
            oldest_ms = time_ms;
            return ControlFlow::Break(());
        }
        due.push((row.to_vec(), waited.clone()));
        ControlFlow::Continue(())
    })?;
    Ok((due, oldest_ms))
}

fn split_key(row: &[u8]) -> Option<(i64, &[u8])> {
    let (time, rest) = row.split_first_chunk()?;
    let (key, _) = rest.split_last_chunk::<8>()?;
    Some((i64::from_be_bytes(*time), key))
}

/// `[4 byte count]`, then for each header `[4 byte length][name][4 byte length, -1 for null][value]`.
fn write_headers(headers: &Headers, out: &mut Vec<u8>) {
    let headers = headers.as_slice();
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    for header in headers {
        out.extend_from_slice(&(header.name.len() as i32).to_be_bytes());
        out.extend_from_slice(header.name.as_bytes());
        let len = header.value.as_ref().map_or(-1, |value| value.len() as i32);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(header.value.as_deref().unwrap_or_default());
    }
}

/// The headers, and what is behind them.
fn read_headers(row: &[u8]) -> Result<(Headers, &[u8]), CodecError> {
    let cut_off = || CodecError::new("it is cut off");
    let (count, mut rest) = row.split_first_chunk().ok_or_else(cut_off)?;
    let mut bytes = || -> Result<Option<&[u8]>, CodecError> {
        let (len, behind) = rest.split_first_chunk().ok_or_else(cut_off)?;
        rest = behind;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else { return Ok(None) };
        let (bytes, behind) = rest.split_at_checked(len).ok_or_else(cut_off)?;
        rest = behind;
        Ok(Some(bytes))
    };
    let mut headers = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let name = String::from_utf8_lossy(bytes()?.unwrap_or_default());
        headers.push(Header { name: Arc::from(&*name), value: bytes()?.map(Arc::from) });
    }
    Ok((headers.into_iter().collect(), rest))
}
