//! A thread that makes the calls which end transactions, so that none is waited for beyond its deadline.
//!
//! librdkafka 2.12 does not keep to the time-out of `rd_kafka_send_offsets_to_transaction`: when the group's coordinator goes away
//! in mid-call, the request waits for some broker's connection to go up or down, for ever if none does (`rdkafka_coord.c`: a
//! coordinator request has a time-out that nothing looks at).
//!
//! **Invariants:**
//! - Calls are made one at a time, in order; after one that was given up no other is made: the client is of no use any more.
//! - A call that was given up keeps its client until it returns. What it still sends then is refused by the log, once a new client has
//!   taken the transactional id over.

use crate::log::LogError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

type Call = Box<dyn FnOnce() + Send>;

/// What librdkafka is given beyond the time-out it was told.
const GRACE: Duration = Duration::from_secs(1);

/// The caller's side of the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Calls {
    calls: SyncSender<Call>,
}

impl Calls {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self, LogError> {
        let (calls, taken) = sync_channel::<Call>(1);
        std::thread::Builder::new()
            .name("kafka-calls".into())
            .spawn(move || taken.into_iter().for_each(|call| call()))
            .map_err(|error| LogError::Fatal {
                operation: "make an appender",
                reason: format!("no thread for its calls: {error}"),
            })?;
        Ok(Self { calls })
    }

    /// Makes a call that was told to return within `deadline`, and waits for it.
    pub(super) fn make<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LogError> {
        self.begin(operation, deadline, call)?.wait()
    }

    /// Begins a call that was told to return within `deadline`.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Begun<T>, LogError> {
        let until = Instant::now() + deadline + GRACE;
        let (answer, wait) = sync_channel(1);
        let call = Box::new(move || {
            // Nobody waits any more where this fails: the call was given up.
            let _ = answer.send(call());
        });
        let begun = Begun { operation, deadline, until, wait, answer: None };
        self.calls.try_send(call).map_err(|_| begun.unknown("an earlier call has not returned".into()))?;
        Ok(begun)
    }
}

/// A call that is being made.
#[derive(Debug)]
pub(super) struct Begun<T> {
    operation: &'static str,
    deadline: Duration,
    until: Instant,
    wait: Receiver<T>,
    answer: Option<T>,
}

impl<T> Begun<T> {
    /// Whether there is nothing left to wait for.
    pub(super) fn is_done(&mut self) -> bool {
        if self.answer.is_none() {
            match self.wait.try_recv() {
                Ok(answer) => self.answer = Some(answer),
                Err(TryRecvError::Empty) => return Instant::now() >= self.until,
                Err(TryRecvError::Disconnected) => {}
            }
        }
        true
    }

    /// Waits for it.
    pub(super) fn wait(self) -> Result<T, LogError> {
        if let Some(answer) = self.answer {
            return Ok(answer);
        }
        let left = self.until.saturating_duration_since(Instant::now());
        self.wait.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.unknown(format!(
                "librdkafka gave no answer within {} ms, though told to; the client is given up",
                (self.deadline + GRACE).as_millis()
            )),
            RecvTimeoutError::Disconnected => self.unknown("the call panicked".into()),
        })
    }

    fn unknown(&self, reason: String) -> LogError {
        LogError::OutcomeUnknown { operation: self.operation, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn calls_are_made_in_order_and_answered() {
        let calls = Calls::start().expect("a thread");
        for number in 0..3 {
            assert_eq!(calls.make("test", Duration::from_secs(5), move || number), Ok(number));
        }
    }

    #[test]
    fn a_call_that_was_begun_is_done_once_it_has_answered() {
        let calls = Calls::start().expect("a thread");
        let (release, held) = channel::<()>();
        let mut begun = calls.begin("test", Duration::from_secs(5), move || held.recv().is_ok()).expect("begun");
        assert!(!begun.is_done());
        release.send(()).expect("taken");
        while !begun.is_done() {
            std::thread::yield_now();
        }
        assert!(begun.is_done(), "an answer that is there stays");
        assert_eq!(begun.wait(), Ok(true));
    }

    #[test]
    fn a_call_that_does_not_return_is_given_up_and_the_next_is_not_made() {
        let calls = Calls::start().expect("a thread");
        let (release, held) = channel::<()>();
        let stuck = calls.make("stuck", Duration::ZERO, move || held.recv().is_ok());
        assert!(matches!(stuck, Err(LogError::OutcomeUnknown { operation: "stuck", .. })), "{stuck:?}");
        // One call fits into the queue behind the stuck one, and is given up too.
        let behind = calls.make("behind", Duration::ZERO, || ());
        assert!(matches!(behind, Err(LogError::OutcomeUnknown { .. })), "{behind:?}");
        let refused = calls.make("refused", Duration::from_secs(60), || ());
        assert!(matches!(refused, Err(LogError::OutcomeUnknown { .. })), "{refused:?}");
        drop(release);
    }
}
