//! Joins two tables by their keys.
//!
//! **Invariants:**
//! - Each side's change is joined with what the other side has now, so a result's last change is always of both
//!   sides' last values.
//! - What is taken out of aggregates downstream is what was taken in: where changes wait for the commit, the sides are
//!   passed on one after the other, and each change is joined with what was passed on of the other side. (Kafka Streams
//!   joins it with the other side's latest value there, and takes out what was never taken in.)
//! - A result's timestamp is the larger of its two sides', for deletions as well.

use super::KTable;
use crate::codec::SharedCodec;
use crate::dsl::SameKeyAs;
use crate::dsl::{KStream, Known};
use crate::processor::{Cx, Dropped, Found, Getter, Lookup, Next, Receiver, Wanted};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::{Assembly, Kind, NodeId, OldValues, TopologyError, erase};
use std::rc::Rc;
use std::sync::Arc;

/// Which rows without a partner are in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// None.
    Inner,
    /// Those of the left table.
    Left,
    /// All.
    Outer,
}

impl<K: 'static, V: Clone + Send + 'static> KTable<K, V> {
    /// Joins the rows of two tables that have one key. A result is made anew whenever either side changes, and
    /// deleted when either is. Both tables must be written with one key codec and have the same number of partitions.
    ///
    /// The result is computed on reading, of both tables' stores; [`KTable::materialized`] keeps it in one of its own.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let gates = app.table("gates", utf8(), utf8());
    /// app.table("flights", utf8(), utf8())
    ///     .join(&gates, |flight, gate| format!("{flight} at {gate}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG-BRQ", 10)?;
    /// driver.input("gates", utf8(), utf8()).pipe("OK1", "C4", 8)?;
    /// driver.input("gates", utf8(), utf8()).pipe_null("OK1", 12)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("OK1".into(), Some("PRG-BRQ at C4".into()), 10), ("OK1".into(), None, 12)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join<K2: SameKeyAs<K>, V2: Clone + Send + 'static, R: 'static>(
        &self,
        other: &KTable<K2, V2>,
        joiner: impl Fn(&V, &V2) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let other = K2::table(other);
        self.joined(other, "join", Type::Inner, move |left: Option<&V>, right: Option<&V2>| Some(joiner(left?, right?)))
    }

    /// As [`KTable::join`], but a row of this table without a partner is joined with `None`.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let gates = app.table("gates", utf8(), utf8());
    /// app.table("flights", utf8(), utf8())
    ///     .left_join(&gates, |flight, gate| format!("{flight} at {}", gate.map_or("?", String::as_str)))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG-BRQ", 10)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("PRG-BRQ at ?".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join<K2: SameKeyAs<K>, V2: Clone + Send + 'static, R: 'static>(
        &self,
        other: &KTable<K2, V2>,
        joiner: impl Fn(&V, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let other = K2::table(other);
        self.joined(other, "left_join", Type::Left, move |left: Option<&V>, right: Option<&V2>| {
            Some(joiner(left?, right))
        })
    }

    /// As [`KTable::join`], but a row of either table without a partner is joined with `None`. Never are both `None`.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let arrivals = app.table("arrivals", utf8(), utf8());
    /// app.table("departures", utf8(), utf8())
    ///     .outer_join(&arrivals, |from, to| format!("{from:?} {to:?}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("arrivals", utf8(), utf8()).pipe("OK1", "BRQ", 10)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("None Some(\"BRQ\")".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outer_join<K2: SameKeyAs<K>, V2: Clone + Send + 'static, R: 'static>(
        &self,
        other: &KTable<K2, V2>,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> R + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let other = K2::table(other);
        self.joined(other, "outer_join", Type::Outer, move |left: Option<&V>, right: Option<&V2>| {
            (left.is_some() || right.is_some()).then(|| joiner(left, right))
        })
    }

    fn joined<V2: Clone + Send + 'static, R: 'static>(
        &self,
        other: &KTable<K, V2>,
        operator: &str,
        kind: Type,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> Option<R> + Send + Sync + 'static,
    ) -> KTable<K, R> {
        let graph = Rc::clone(&self.stream.graph);
        let base = format!("{}-{}", self.stream.base(), other.stream.base());
        let title = format!("{base}.{operator}");
        if !Rc::ptr_eq(&graph, &other.stream.graph) {
            graph.borrow_mut().errors.push(TopologyError::Foreign { operator: title });
        } else if self.key.id != other.key.id {
            let (left, right) = (self.key.name.to_string(), other.key.name.to_string());
            graph.borrow_mut().errors.push(TopologyError::TableKeyCodecs { operator: title, left, right });
        }
        let joiner: Joiner<V, V2, R> = Arc::new(joiner);
        let turned = Arc::clone(&joiner);
        let turned: Joiner<V2, V, R> = Arc::new(move |this, other| turned(other, this));
        let left = side(self, other, operator, Rule::left(kind), &joiner);
        // Of another builder's table only its type is taken: the topology will be refused.
        let right = match Rc::ptr_eq(&graph, &other.stream.graph) {
            true => side(other, self, operator, Rule::right(kind), &turned),
            false => left,
        };
        let make = |assembly: &mut Assembly<'_>, node| erase::<K, R>(assembly.joint::<K, R>(node));
        let mut nodes = graph.borrow_mut();
        let node = nodes.add(&base, operator, &[left, right], Kind::Operator, Arc::new(make));
        nodes.nodes[node].old_values = OldValues::Joined;
        nodes.nodes[node].copartitioned = true;
        // To tell a deletion from a row that never was.
        if kind != Type::Inner {
            nodes.request_old(self.stream.node);
        }
        if kind == Type::Outer {
            nodes.request_old(if right == left { self.stream.node } else { other.stream.node });
        }
        drop(nodes);
        let lookup = lookup(&self.lookup, &other.lookup, kind, &joiner);
        let stream =
            KStream { graph, node, key: Known::Codec(self.key.clone()), value: Known::Since(node), rekeyed: false };
        KTable { stream, lookup, key: self.key.clone() }
    }
}

type Joiner<V, V2, R> = Arc<dyn Fn(Option<&V>, Option<&V2>) -> Option<R> + Send + Sync>;

/// When one side's change changes nothing (Kafka Streams has a processor class for each).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The other side has no row.
    NoOther,
    /// The other side has no row, and this has none and had none.
    Nothing,
}

impl Rule {
    fn left(kind: Type) -> Self {
        if kind == Type::Inner { Self::NoOther } else { Self::Nothing }
    }

    fn right(kind: Type) -> Self {
        if kind == Type::Outer { Self::Nothing } else { Self::NoOther }
    }
}

/// The operator that takes the changes of `this` table.
fn side<K: 'static, V: 'static, V2: Clone + Send + 'static, R: 'static>(
    this: &KTable<K, V>,
    other: &KTable<K, V2>,
    operator: &str,
    rule: Rule,
    joiner: &Joiner<V, V2, R>,
) -> NodeId {
    let (key, joiner, make) = (this.key.clone(), Arc::clone(joiner), Arc::clone(&other.lookup.make));
    let node = this.stream.operator(&format!("{operator}-side"), move |assembly, node| Side {
        name: assembly.name(node),
        key: key.clone(),
        other: make(assembly),
        rule,
        joiner: Arc::clone(&joiner),
        sends_old: assembly.sends_old(node),
        next: assembly.next(node),
    });
    let mut graph = this.stream.graph.borrow_mut();
    graph.nodes[node].old_values = OldValues::Inputs;
    if Rc::ptr_eq(&this.stream.graph, &other.stream.graph) {
        graph.look_into(node, other.stream.node, &other.lookup.stores);
    }
    node
}

struct Side<K, V, V2, R> {
    name: Arc<str>,
    key: SharedCodec<K>,
    other: Box<dyn Getter<K, V2>>,
    rule: Rule,
    joiner: Joiner<V, V2, R>,
    sends_old: bool,
    next: Next<K, R>,
}

/// What a change makes of the result: new value, old value, timestamp.
type Made<R> = (Option<R>, Option<R>, i64);

impl<K: 'static, V: 'static, V2: 'static, R: 'static> Side<K, V, V2, R> {
    fn join(&self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<Option<Made<R>>, ProcessError> {
        let (value, old) = (record.value()?, record.old()?);
        let mut made = None;
        // Old values are right only if each side sees of the other what was passed on of it, and not what will be.
        cx.state.reads_staged = self.sends_old && !cx.state.at_once;
        let done = self.other.get(Wanted::latest(record.key, key), cx, &mut |found| {
            let (other, at_ms) = found.unzip();
            let nothing = match self.rule {
                Rule::NoOther => true,
                Rule::Nothing => value.is_none() && old.is_none(),
            };
            if other.is_some() || !nothing {
                let was = if self.sends_old { (self.joiner)(old, other) } else { None };
                let timestamp_ms = record.timestamp_ms.max(at_ms.unwrap_or(i64::MIN));
                made = Some(((self.joiner)(value, other), was, timestamp_ms));
            }
            Ok(())
        });
        cx.state.reads_staged = false;
        done.map(|()| made)
    }
}

impl<K: 'static, V: 'static, V2: 'static, R: 'static> Receiver<K, V> for Side<K, V, V2, R> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if !record.latest {
            return cx.drop_record(Dropped::OutOfOrder);
        }
        let joined = cx.with_key(&self.name, record.key, &self.key, |key, cx| self.join(key, record, cx))?;
        let Some(made) = joined else { return cx.drop_record(Dropped::NullKey) };
        let Some((value, old, timestamp_ms)) = made else { return Ok(()) };
        let (value, old) = (value.map(Lazy::ready), old.map(Lazy::ready));
        let Record { key, headers, .. } = *record;
        let record = Record::new(key, value.as_ref(), timestamp_ms, headers);
        self.next.receive(&Record { old: old.as_ref(), ..record }, cx)
    }
}

/// The result, computed of both sides.
fn lookup<K: 'static, V: Clone + Send + 'static, V2: Clone + Send + 'static, R: 'static>(
    left: &Lookup<K, V>,
    right: &Lookup<K, V2>,
    kind: Type,
    joiner: &Joiner<V, V2, R>,
) -> Lookup<K, R> {
    let (make, joiner) = (Arc::clone(&right.make), Arc::clone(joiner));
    let wrap = move |left, assembly: &Assembly<'_>| JoinGetter {
        left,
        right: make(assembly),
        left_alone: kind != Type::Outer,
        joiner: Arc::clone(&joiner),
    };
    let mut stores = [left.stores.as_slice(), right.stores.as_slice()].concat();
    stores.sort_unstable();
    stores.dedup();
    Lookup { stores, history_ms: None, ..left.computed(wrap) }
}

struct JoinGetter<K, V, V2, R> {
    left: Box<dyn Getter<K, V>>,
    right: Box<dyn Getter<K, V2>>,
    /// Without a left row there is no result.
    left_alone: bool,
    joiner: Joiner<V, V2, R>,
}

impl<K: 'static, V: Clone + Send, V2, R> Getter<K, R> for JoinGetter<K, V, V2, R> {
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, R>) -> Result<(), ProcessError> {
        // No versions of a join are kept: its parts are as they are now.
        let wanted = Wanted { as_of_ms: None, ..wanted };
        let mut left = None;
        self.left.get(wanted, cx, &mut |found| {
            left = found.map(|(value, at_ms)| (value.clone(), at_ms));
            Ok(())
        })?;
        if left.is_none() && self.left_alone {
            return with(None);
        }
        self.right.get(wanted, cx, &mut |right| {
            let at_ms = left.as_ref().map(|(_, at_ms)| *at_ms).max(right.map(|(_, at_ms)| at_ms));
            let made = (self.joiner)(left.as_ref().map(|(value, _)| value), right.map(|(value, _)| value));
            with(made.as_ref().zip(at_ms))
        })
    }
}
