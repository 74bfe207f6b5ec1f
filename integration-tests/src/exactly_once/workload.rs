//! The input, record by record, and the oracle computed from it.
//!
//! **Invariants:** everything is a pure function of the [`Workload`]; an account's payments lie in one partition, with rising
//! timestamps.

use super::PARTITIONS;
use super::topology::{Payment, Total};
use crate::random::Random;
use kappa_core::partitioner::partition;
use std::time::SystemTime;

const AMOUNT_MAX: u64 = 1_000;

/// How much input, over how many accounts.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Records in all.
    pub records: u64,
    /// Accounts they are spread over; half of the records go to a tenth of the accounts.
    pub accounts: u32,
    /// The choice of accounts and amounts.
    pub seed: u64,
    /// The first record's timestamp, ms since 1970; each next one is a millisecond later.
    ///
    /// Not older than a day in runs that kill brokers: a broker that starts again forgets idempotent producers whose last *record* is
    /// older than `producer.id.expiration.ms`, and a batch that the feeder sends again because it heard no answer is then
    /// appended twice (doubled input was seen on Kafka 4.3.0; the cause follows from its rule). An open transaction protects its producer from that.
    pub start_ms: i64,
}

/// One input record.
#[derive(Debug, Clone, Copy)]
pub struct InputRecord {
    /// Its number, from 0.
    pub number: u64,
    /// The input partition.
    pub partition: i32,
    /// Its timestamp, ms since 1970.
    pub timestamp_ms: i64,
    /// Its value.
    pub payment: Payment,
}

impl Workload {
    /// A workload whose timestamps begin now.
    pub fn from_now(records: u64, accounts: u32, seed: u64) -> Workload {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Workload { records, accounts, seed, start_ms: now.as_millis() as i64 }
    }

    /// All records, in order.
    pub fn records(&self) -> impl Iterator<Item = InputRecord> + Send + use<> {
        let (mut random, accounts, start_ms) = (Random::seeded(self.seed), u64::from(self.accounts), self.start_ms);
        (0..self.records).map(move |number| {
            let bound = if random.below(2) == 0 { (accounts / 10).max(1) } else { accounts };
            let account = random.below(bound) as u32;
            let amount = random.below(AMOUNT_MAX) as i64 + 1;
            let timestamp_ms = start_ms + number as i64;
            InputRecord { number, partition: home(account), timestamp_ms, payment: Payment { account, amount } }
        })
    }

    /// The most accounts that any one partition of the repartition topic has.
    pub fn accounts_of_a_partition_max(&self) -> u64 {
        let mut counts = [0; PARTITIONS as usize];
        for account in 0..self.accounts {
            counts[partition(&account.to_be_bytes(), PARTITIONS) as usize] += 1;
        }
        counts.into_iter().max().unwrap_or(0)
    }
}

/// The input partition of an account: another one than its key's, so that every input task writes to every repartition
/// partition.
fn home(account: u32) -> i32 {
    Random::seeded(u64::from(account)).below(PARTITIONS as u64) as i32
}

/// Every total that an account may ever show.
#[derive(Debug)]
pub struct Oracle {
    /// For each account, the sum and timestamp after its first, second, … payment.
    steps: Vec<Vec<(i64, i64)>>,
    records: u64,
}

impl Oracle {
    /// Computed from the input.
    pub fn of(workload: &Workload) -> Oracle {
        let mut steps: Vec<Vec<(i64, i64)>> = vec![Vec::new(); workload.accounts as usize];
        for record in workload.records() {
            let account = &mut steps[record.payment.account as usize];
            let before = account.last().map_or(0, |(sum, _)| *sum);
            account.push((before + record.payment.amount, record.timestamp_ms));
        }
        Oracle { steps, records: workload.records }
    }

    /// Input records in all.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Payments of an account; 0 for one that is not there.
    pub fn payments(&self, account: u32) -> u64 {
        self.steps.get(account as usize).map_or(0, |steps| steps.len() as u64)
    }

    /// Accounts, those without payments included.
    pub fn accounts(&self) -> u32 {
        self.steps.len() as u32
    }

    /// The total of an account after that many of its payments, and the timestamp of the last of them.
    pub fn after(&self, account: u32, count: u64) -> Option<(Total, i64)> {
        let at = usize::try_from(count.checked_sub(1)?).ok()?;
        let (sum, timestamp_ms) = *self.steps.get(account as usize)?.get(at)?;
        Some((Total { count, sum }, timestamp_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Workload = Workload { records: 10_000, accounts: 100, seed: 3, start_ms: 1_700_000_000_000 };

    #[test]
    fn the_oracle_adds_up_to_the_input() {
        let oracle = Oracle::of(&SMALL);
        let finals: Vec<Total> = (0..100)
            .filter_map(|account| oracle.after(account, oracle.payments(account)))
            .map(|(total, _)| total)
            .collect();
        assert_eq!(finals.iter().map(|total| total.count).sum::<u64>(), 10_000);
        let amounts: i64 = SMALL.records().map(|record| record.payment.amount).sum();
        assert_eq!(finals.iter().map(|total| total.sum).sum::<i64>(), amounts);
        assert_eq!(oracle.after(7, 0), None);
        assert_eq!(oracle.after(7, oracle.payments(7) + 1), None);
    }

    #[test]
    fn an_account_stays_in_its_partition_and_all_partitions_are_used() {
        let mut homes = [None; 100];
        let mut used = [false; PARTITIONS as usize];
        for record in SMALL.records() {
            let home = homes[record.payment.account as usize].get_or_insert(record.partition);
            assert_eq!(*home, record.partition);
            used[record.partition as usize] = true;
        }
        assert_eq!(used, [true; PARTITIONS as usize]);
        let most = SMALL.accounts_of_a_partition_max();
        assert!((13..=40).contains(&most), "{most}");
    }
}
