//! What a seed is like: sizes, and which troubles come how often. Each trouble is off in many seeds, so that the others are
//! met alone and together.

use crate::random::Random;
use crate::semantics::LETTERS;
use crate::stories::Story;
use kappa_core::runtime::{BadRecords, Rules, Settings};
use kappa_core::task::InlineCalls;
use kappa_state::TailBound;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) struct Knobs {
    pub(crate) instances: usize,
    pub(crate) workers: usize,
    pub(crate) partitions_in: i32,
    pub(crate) partitions_mid: i32,
    pub(crate) keys: u64,
    pub(crate) groups: u64,
    /// Results are passed on record by record, not at the commit.
    pub(crate) at_once: bool,
    pub(crate) tail_records: u64,
    pub(crate) tail_age_ms: i64,
    pub(crate) poll_records: usize,
    pub(crate) commit_interval_ms: i64,
    /// How long transactions of a replay last, ms; 0 where nothing replays.
    pub(crate) replay_interval_ms: i64,
    pub(crate) static_seats: bool,
    pub(crate) actions: u64,
    // Chances for each call of the seam, in a million.
    pub(crate) crash_before: u32,
    pub(crate) crash_after: u32,
    pub(crate) preempt: u32,
    pub(crate) refuse: u32,
    pub(crate) lose_answer: u32,
    pub(crate) unknown_commit: u32,
    pub(crate) late_commit: u32,
    pub(crate) late_marker: u32,
    pub(crate) late_marker_max_ms: i64,
    /// The membership's client goes back into its group by itself, as one with a thread of its own does.
    pub(crate) eager_rejoin: bool,
    // Weights of actions.
    pub(crate) crash: u32,
    pub(crate) stop: u32,
    pub(crate) freeze: u32,
    pub(crate) outage: u32,
    pub(crate) leap: u32,
    pub(crate) compact: bool,
    pub(crate) lose_disk: bool,
    pub(crate) truncate: bool,
    pub(crate) dead_letters: bool,
    /// How often the repartition topic is purged, ms; 0: never.
    pub(crate) purge_interval_ms: i64,
}

impl Knobs {
    pub(crate) fn of(random: &mut Random) -> Self {
        let (crash_before, crash_after) = (rate(random, 2, 4_000), rate(random, 2, 4_000));
        let preempt = rate(random, 2, 20_000) + 2_000;
        let (refuse, lose_answer) = (rate(random, 3, 20_000), rate(random, 3, 20_000));
        let (unknown_commit, late_commit) = (rate(random, 3, 100_000), rate(random, 3, 100_000));
        let late_marker = rate(random, 2, 600_000);
        let (crash, stop, freeze, outage, leap) =
            (rate(random, 2, 8), rate(random, 3, 6), rate(random, 2, 8), rate(random, 3, 5), rate(random, 2, 10));
        let (tail_max, poll_max) = (pick(random, 4, 60), pick(random, 3, 100));
        Self {
            instances: 2 + random.index(2),
            workers: 1 + random.index(2),
            partitions_in: 1 + random.index(3) as i32,
            partitions_mid: 1 + random.index(3) as i32,
            keys: 1 + random.below(8),
            groups: 1 + random.below(4),
            at_once: random.below(2) == 0,
            tail_records: 1 + random.below(tail_max),
            tail_age_ms: if random.below(2) == 0 { 50 } else { 100_000 },
            poll_records: 1 + random.below(poll_max) as usize,
            commit_interval_ms: 1 + random.between(0, 60),
            static_seats: random.below(5) == 0,
            actions: 300 + random.below(500),
            crash_before,
            crash_after,
            preempt,
            refuse,
            lose_answer,
            unknown_commit,
            late_commit,
            late_marker,
            late_marker_max_ms: if random.below(2) == 0 { 60 } else { 900 },
            eager_rejoin: random.below(2) == 0,
            crash,
            stop,
            freeze,
            outage,
            leap,
            compact: random.below(2) == 0,
            lose_disk: random.below(4) == 0,
            truncate: random.below(8) == 0,
            dead_letters: false,
            replay_interval_ms: if random.below(2) == 0 { 60 + random.between(0, 600) } else { 0 },
            purge_interval_ms: if random.below(2) == 0 { random.between(1, 300) } else { 0 },
        }
    }

    /// What a story wants of them.
    pub(crate) fn tell(&mut self, story: Story) {
        self.dead_letters = story.fails;
        self.at_once |= story.at_once;
    }

    pub(crate) fn settings(&self, rules: Rules, instance: usize) -> Settings {
        Settings {
            commit_interval_ms: self.commit_interval_ms,
            replay_commit_interval_ms: self.replay_interval_ms,
            stream_threads: self.workers,
            session_timeout_ms: 1_500,
            heartbeat_interval_ms: 300,
            transaction_timeout_ms: 3_000,
            takeover_after_ms: 400,
            revoke_wait_ms: 300,
            poll_records: self.poll_records,
            buffered_records: self.poll_records * 2,
            buffered_bytes: self.poll_records * 24,
            cache_bytes: if self.at_once { 0 } else { 1 << 20 },
            tail_bound: TailBound { records: self.tail_records, bytes: 1 << 30, age_ms: self.tail_age_ms },
            restoring_bytes: if self.tail_age_ms == 50 { 300 } else { 1 << 20 },
            instance_id: self.static_seats.then(|| format!("seat-{instance}")),
            repartition_purge_interval_ms: self.purge_interval_ms,
            rules,
            failed_records: match self.dead_letters {
                true => BadRecords::DeadLetter(LETTERS.into()),
                false => BadRecords::Fail,
            },
            calls: Arc::new(InlineCalls::default()),
            ..Settings::default()
        }
    }
}

/// In one of so many seeds something up to `max`, else 0.
fn rate(random: &mut Random, one_in: u64, max: u64) -> u32 {
    if random.below(one_in) == 0 { random.below(max) as u32 + 1 } else { 0 }
}

fn pick(random: &mut Random, one: u64, other: u64) -> u64 {
    if random.below(2) == 0 { one } else { other }
}
