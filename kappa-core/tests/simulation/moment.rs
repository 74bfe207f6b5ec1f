//! What happens at each call of the log: before it and after it a process may crash, be held up while others run, or be refused;
//! answers get lost, commits and markers come late.

use crate::job::INPUT;
use crate::tally::Event;
use crate::world::{Crash, Running, World, current};
use kappa_core::log::embedded::{Call, FaultHook, Operation};
use kappa_core::log::{LogError, TopicPartition};
use std::panic::resume_unwind;
use std::rc::Rc;

/// Held-up calls within held-up calls, at most so many.
const DEPTH: usize = 3;

/// The hook; it decides by the world's random numbers.
#[derive(Debug)]
pub(crate) struct Moments;

/// The world and the running turn, where troubles may happen.
fn troubled() -> Option<(Rc<World>, Running, usize)> {
    let world = current()?;
    let running = world.stack.borrow().last().cloned()?;
    let at = running.instance?;
    (!world.is_over()).then_some((world, running, at))
}

impl FaultHook for Moments {
    fn before(&self, call: &Call<'_>) -> Result<(), LogError> {
        let Some((world, running, at)) = troubled() else { return Ok(()) };
        world.end_if_dead(&running);
        world.steps.set(world.steps.get() + 1);
        let name = call.operation.name();
        if call.operation == Operation::Init && call.client_id.ends_with("-takeover") {
            world.count(Event::TakenOver);
        }
        if call.operation == Operation::DeleteRecords {
            world.oracle.borrow_mut().before_purge(&world.log);
        }
        if !world.chaos.get() {
            return Ok(());
        }
        world.say(|| format!("{}.{:?} {name}", world.name(at), running.part));
        let knobs = &world.knobs;
        if world.random.borrow_mut().ppm(knobs.crash_before) {
            world.count(Event::CrashBefore);
            world.crash(at);
            resume_unwind(Box::new(Crash));
        }
        hold_up(&world, &running, at, world.knobs.preempt);
        let cut_off = world.instances.borrow()[at].cut_off_until_ms > world.now_ms();
        let refused = may_be_refused(call.operation) && world.random.borrow_mut().ppm(knobs.refuse);
        if (cut_off && may_be_refused(call.operation)) || refused {
            world.say(|| format!("{name} is refused"));
            world.count(if refused { Event::Refused } else { Event::CutOff });
            return Err(LogError::Unavailable { operation: name, reason: "refused by the simulator".into() });
        }
        if call.operation == Operation::Commit && world.random.borrow_mut().ppm(knobs.unknown_commit) {
            world.say(|| "commit gets lost".to_owned());
            world.count(Event::CommitLost);
            return Err(LogError::OutcomeUnknown { operation: name, reason: "lost by the simulator".into() });
        }
        Ok(())
    }

    fn loses_answer(&self, call: &Call<'_>) -> bool {
        let Some((world, running, at)) = troubled() else { return false };
        if call.operation == Operation::SendOffsets
            && let Some((member, partitions)) = &running.sending
            && let Some(layout) = world.layout()
        {
            world.check(crate::oracle::check_owner(&world.log, &layout, member, partitions));
        }
        if call.operation == Operation::DeleteRecords
            && let Some(layout) = world.layout()
        {
            world.count(Event::Purged);
            world.check(world.in_peace(|| crate::oracle::check_purged(&world.log, &layout)));
        }
        if !world.chaos.get() {
            return false;
        }
        let name = call.operation.name();
        if world.random.borrow_mut().ppm(world.knobs.crash_after) {
            world.say(|| format!("after {name}"));
            world.count(Event::CrashAfter);
            world.crash(at);
            resume_unwind(Box::new(Crash));
        }
        hold_up(&world, &running, at, world.knobs.preempt);
        let lost = may_be_refused(call.operation) && world.random.borrow_mut().ppm(world.knobs.lose_answer);
        if lost {
            world.say(|| format!("the answer to {name} gets lost"));
            let commit = call.operation == Operation::Commit;
            world.count(if commit { Event::CommitDone } else { Event::LostAnswer });
        }
        lost
    }

    fn marker_delay_ms(&self, _: &Call<'_>, partition: &TopicPartition) -> Option<i64> {
        let (world, ..) = troubled()?;
        let late = world.chaos.get() && world.random.borrow_mut().ppm(world.knobs.late_marker);
        let delay_ms = late.then(|| world.random.borrow_mut().between(1, world.knobs.late_marker_max_ms))?;
        world.count(Event::MarkerLate);
        world.say(|| format!("marker in {partition} is {delay_ms} ms late"));
        debug_assert_ne!(&*partition.topic, INPUT);
        Some(delay_ms)
    }

    fn commit_delay_ms(&self, _: &Call<'_>) -> Option<i64> {
        let (world, ..) = troubled()?;
        let late = world.chaos.get() && world.random.borrow_mut().ppm(world.knobs.late_commit);
        let delay_ms = late.then(|| world.random.borrow_mut().between(1, 1_500))?;
        world.count(Event::CommitLate);
        world.say(|| format!("commit is {delay_ms} ms under way, unanswered"));
        Some(delay_ms)
    }
}

/// A member is back in its group while its process still handles the event before: the moment for others to run.
pub(crate) fn rejoined() {
    if let Some((world, running, at)) = troubled()
        && world.chaos.get()
    {
        hold_up(&world, &running, at, 300_000);
    }
}

/// Others run while this call is held up; for a while, or (the process is stopped) past its session.
fn hold_up(world: &World, running: &Running, at: usize, chance: u32) {
    if world.stack.borrow().len() > DEPTH || !world.random.borrow_mut().ppm(chance) {
        return;
    }
    let long = world.knobs.freeze > 0 && world.random.borrow_mut().below(4) == 0;
    let whole = world.random.borrow_mut().below(2) == 0;
    let actions = 1 + world.random.borrow_mut().below(if long { 120 } else { 12 });
    if whole {
        world.instances.borrow_mut()[at].frozen_until_ms = i64::MAX;
    }
    world.count(if long { Event::HeldUpLong } else { Event::HeldUp });
    world.say(|| {
        let what = if whole { "process" } else { "thread" };
        format!("{} {what} held up{}", world.name(at), if long { " for long" } else { "" })
    });
    for _ in 0..actions {
        if long {
            world.pass(world.random.borrow_mut().between(5, 60));
        }
        world.act();
    }
    world.end_if_dead(running);
    if whole {
        world.instances.borrow_mut()[at].frozen_until_ms = 0;
        // The process wakes up, and this thread need not be its first.
        let turns = world.random.borrow_mut().below(12);
        for _ in 0..turns {
            world.turn_of(at);
        }
        world.end_if_dead(running);
    }
    world.say(|| format!("{} goes on", world.name(at)));
}

/// Calls that go over the network and are answered.
fn may_be_refused(operation: Operation) -> bool {
    !matches!(operation, Operation::Assign | Operation::Begin | Operation::CloseAppend)
}
