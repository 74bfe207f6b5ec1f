//! The application under test, and what its results must be.
//!
//! `in` (key, amount) → the key's records are numbered in store `seen` → (group of the key, key + number + amount) through the
//! repartition topic `by-group` → store `sums`: per group how many and how much → `out`.

use kappa_core::codec::{i64_be, u64_be};
use kappa_core::dsl::Repartition;
use kappa_core::processor::{Processor, ProcessorContext, StoreHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::topology::Topology;

pub(crate) const APPLICATION: &str = "sim-v1";
pub(crate) const INPUT: &str = "in";
pub(crate) const MIDDLE: &str = "sim-v1-by-group-repartition";
pub(crate) const OUTPUT: &str = "out";
pub(crate) const SEEN: &str = "sim-v1-seen-changelog";
pub(crate) const SUMS: &str = "sim-v1-sums-changelog";
pub(crate) const PARTITIONS_OUT: i32 = 2;

/// One more record, in the upper half of a group's total.
pub(crate) const ONE: i64 = 1 << 32;

struct Number {
    seen: StoreHandle<u64, i64>,
    groups: u64,
}

impl Processor<u64, i64> for Number {
    type Key = u64;
    type Value = i64;

    fn process(
        &mut self,
        record: &Record<'_, u64, i64>,
        cx: &mut ProcessorContext<'_, '_, u64, i64>,
    ) -> Result<(), ProcessError> {
        let (key, amount) = (*record.key()?, record.value()?.copied().unwrap_or_default());
        let mut seen = cx.store(&self.seen)?;
        let number = seen.get(&key)?.copied().unwrap_or_default() + 1;
        seen.put(&key, number, record.timestamp_ms)?;
        cx.forward(group_of(key, self.groups), pack(key, number, amount))
    }
}

pub(crate) fn topology(groups: u64, partitions_mid: i32) -> Topology {
    let mut app = Topology::builder();
    let seen = app.store("seen", u64_be(), i64_be());
    let handle = seen.clone();
    app.stream(INPUT, u64_be(), i64_be())
        .process("number", &[&seen], move || Number { seen: handle.clone(), groups })
        .with_codecs(u64_be(), i64_be())
        .repartition(Repartition::named("by-group").partitions(partitions_mid))
        .group_by_key()
        .aggregate("sums", i64_be(), || 0, |_, packed, total| total + ONE + unpack(*packed).2)
        .to(OUTPUT);
    app.build().expect("a sound topology")
}

pub(crate) fn group_of(key: u64, groups: u64) -> u64 {
    key % groups
}

fn pack(key: u64, number: i64, amount: i64) -> i64 {
    (key as i64) << 48 | number << 16 | amount
}

/// Key, number, amount.
pub(crate) fn unpack(packed: i64) -> (u64, i64, i64) {
    ((packed >> 48) as u64, packed >> 16 & 0xffff_ffff, packed & 0xffff)
}
