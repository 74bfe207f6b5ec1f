//! How often each trouble came, so that a run can show that it met them all.

use std::fmt;
use std::ops::AddAssign;

macro_rules! events {
    ($($event:ident $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Event {
            $($event,)*
        }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

events! {
    CrashBefore "crashes before a call",
    CrashAfter "crashes after a call",
    CrashBetween "crashes between turns",
    HeldUp "calls held up",
    HeldUpLong "calls held up past a session",
    Stopped "processes stopped and continued",
    CutOff "processes cut off",
    Refused "calls refused",
    LostAnswer "lost answers",
    CommitDone "commits done, answer lost",
    CommitLost "commits lost",
    CommitLate "commits late",
    MarkerLate "markers late",
    EndedWell "orderly stops",
    DiskLost "disks lost",
    Compacted "changelogs compacted",
    Restore "restores",
    RestoreCutShort "restores cut short by a rebalance",
    TasksMoved "orderly revocations",
    TasksLost "lost sessions",
    Stale "stale members refused",
    Fenced "fenced clients refused",
    TakenOver "transactions taken over",
    Truncated "truncated inputs",
    Replay "replays begun",
    Purged "purges",
    Overtaken "readers overtaken by a purge",
}

/// Counts by event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally([u64; NAMES.len()]);

impl Tally {
    pub(crate) fn count(&mut self, event: Event) {
        self.0[event as usize] += 1;
    }

    /// What never came.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        NAMES.iter().zip(self.0).filter(|(_, count)| *count == 0).map(|(name, _)| *name).collect()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = NAMES.iter().zip(self.0).map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(&list.join(", "))
    }
}
