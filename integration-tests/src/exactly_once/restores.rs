//! What the members' logs say about restored state, and what they may say.
//!
//! Whose a task was is read from the logs' `running` lines, by time:
//! - *Kept*: the process that restores a task was the last to run it. What it held back in memory is all it may have to restore.
//! - *Moved*: another process ran it in between. It begins where its own store had come to.
//! - *New*: this process never had it: the one case in which it may be restored from the beginning.
//!
//! **Invariants:** a store's place in the changelog never goes back over kills: a store that did would have been wiped.

use std::collections::BTreeMap;
use std::fmt;

/// One line about a restored store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Restored {
    records: u64,
    kept_up_to: i64,
    up_to: i64,
    from_the_beginning: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Running,
    Restored(Restored),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    /// As the log writes it: the order of the text is the order in time.
    at: String,
    member: usize,
    incarnation: usize,
    task: String,
    what: What,
}

/// What restores came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restores {
    /// Stores restored by the process that ran their task last, after an end of that process.
    pub kept: u64,
    /// The most records of one of them.
    pub kept_records_max: u64,
    /// Records of all of them.
    pub kept_records: u64,
    /// How many of them had to restore anything.
    pub kept_with_records: u64,
    /// Stores whose task another process had run in between.
    pub moved: u64,
    /// The most records of one of them.
    pub moved_records_max: u64,
    /// Stores of tasks that the process had never had.
    pub new: u64,
    /// Stores restored again within the life of a process (a commit without an answer).
    pub again: u64,
    /// The most records of one of them.
    pub again_records_max: u64,
}

impl fmt::Display for Restores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stores kept over a kill: {} ({} with a tail, records restored {} in all, at most {} of one store); \
             moved away and back: {} (at most {} records); new to a process: {}; again within a process: {} (at most {} records)",
            self.kept,
            self.kept_with_records,
            self.kept_records,
            self.kept_records_max,
            self.moved,
            self.moved_records_max,
            self.new,
            self.again,
            self.again_records_max
        )
    }
}

/// Judges all members' logs. `bound` is the most that a kept store may have to restore: the tail that may be in memory
/// only, and one transaction.
pub fn judge(logs: &[Vec<String>], bound: u64) -> Result<Restores, String> {
    let mut events: Vec<Event> = Vec::new();
    for (member, incarnations) in logs.iter().enumerate() {
        for (incarnation, log) in incarnations.iter().enumerate() {
            events.extend(log.lines().filter_map(|line| event(line, member, incarnation)));
        }
    }
    // Stable: lines of one log keep their order even where the clock stood still.
    events.sort_by(|a, b| a.at.cmp(&b.at));
    let mut judge = Judging { bound, ..Judging::default() };
    events.iter().try_for_each(|event| judge.take(event))?;
    Ok(judge.found)
}

#[derive(Debug, Default)]
struct Judging {
    bound: u64,
    /// Who ran a task last, and in which life.
    last: BTreeMap<String, (usize, usize)>,
    /// How far the store of a task had come in a process.
    reached: BTreeMap<(usize, String), i64>,
    found: Restores,
}

impl Judging {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        match &event.what {
            What::Running => {
                self.last.insert(event.task.clone(), (event.member, event.incarnation));
                Ok(())
            }
            What::Restored(restored) => self.restored(event, restored),
        }
    }

    fn restored(&mut self, event: &Event, restored: &Restored) -> Result<(), String> {
        let what = |problem: String| format!("{} member-{} task {}: {problem}", event.at, event.member, event.task);
        let reached = self.reached.insert((event.member, event.task.clone()), restored.up_to);
        if let Some(reached) = reached {
            if restored.from_the_beginning {
                return Err(what("restored from the beginning, though this process had its state".into()));
            }
            if restored.kept_up_to < reached {
                let kept = restored.kept_up_to;
                return Err(what(format!("the store had come to {reached} and was found at {kept}")));
            }
        }
        let (found, records) = (&mut self.found, restored.records);
        match self.last.get(&event.task) {
            Some((member, incarnation)) if *member == event.member => {
                if records > self.bound {
                    let bound = self.bound;
                    return Err(what(format!("{records} records restored of state it held; at most {bound} may be")));
                }
                if *incarnation == event.incarnation {
                    found.again += 1;
                    found.again_records_max = found.again_records_max.max(records);
                } else {
                    found.kept += 1;
                    found.kept_records += records;
                    found.kept_with_records += u64::from(records > 0);
                    found.kept_records_max = found.kept_records_max.max(records);
                }
            }
            Some(_) if reached.is_some() => {
                found.moved += 1;
                found.moved_records_max = found.moved_records_max.max(records);
            }
            _ => found.new += 1,
        }
        Ok(())
    }
}

fn event(line: &str, member: usize, incarnation: usize) -> Option<Event> {
    let at = line.split_whitespace().next()?.to_owned();
    let task = field(line, "task")?.to_owned();
    let what = if line.contains(": running task=") {
        What::Running
    } else if let Some(records) = field(line, "restored") {
        What::Restored(Restored {
            records: records.parse().ok()?,
            kept_up_to: field(line, "kept_up_to")?.parse().ok()?,
            up_to: field(line, "up_to")?.parse().ok()?,
            from_the_beginning: line.contains("restored from the beginning"),
        })
    } else {
        return None;
    };
    Some(Event { at, member, incarnation, task, what })
}

/// The value of ` name=value` or ` name="value"` in a log line.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    Some(rest.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(second: u32, task: &str) -> String {
        format!("2026-01-01T00:00:{second:02}.000000Z  INFO kappa_core::runtime: running task=\"{task}\"\n")
    }

    fn restored(second: u32, task: &str, kept_up_to: i64, records: u64) -> String {
        let up_to = kept_up_to + records as i64;
        let text = if kept_up_to == 0 { "state restored from the beginning" } else { "state reused, tail restored" };
        format!(
            "2026-01-01T00:00:{second:02}.000000Z  INFO kappa_core::runtime::restore: {text} task=\"{task}\" store=\"totals\" \
             restored={records} kept_up_to={kept_up_to} up_to={up_to} took_ms=5\n"
        )
    }

    #[test]
    fn kept_moved_and_new_are_told_apart() {
        let first = vec![
            restored(1, "t-0", 0, 50) + &running(2, "t-0"),
            restored(5, "t-0", 90, 10) + &running(6, "t-0"),
            restored(20, "t-0", 100, 900) + &running(21, "t-0"),
        ];
        let second = vec![restored(10, "t-0", 0, 700) + &running(11, "t-0")];
        let found = judge(&[first, second], 10).expect("as it should be");
        assert_eq!((found.kept, found.kept_records_max, found.kept_with_records), (1, 10, 1));
        assert_eq!((found.moved, found.moved_records_max, found.new, found.again), (1, 900, 2, 0));
    }

    #[test]
    fn a_long_tail_and_a_wiped_store_are_found() {
        let lives = |second_life: String| vec![vec![restored(1, "t-0", 0, 50) + &running(2, "t-0"), second_life]];
        let tail = judge(&lives(restored(5, "t-0", 60, 11)), 10).expect_err("a long tail");
        assert!(tail.contains("11 records restored of state it held"), "{tail}");
        let wiped = judge(&lives(restored(5, "t-0", 0, 5)), 10).expect_err("wiped");
        assert!(wiped.contains("from the beginning, though"), "{wiped}");
        let back = judge(&lives(restored(5, "t-0", 49, 5)), 10).expect_err("gone back");
        assert!(back.contains("had come to 50 and was found at 49"), "{back}");
    }
}
