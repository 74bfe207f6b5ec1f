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
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

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

    /// Makes a call that was told to return within `deadline`.
    pub(super) fn make<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let unknown = |reason: String| LogError::OutcomeUnknown { operation, reason };
        let (answer, wait) = sync_channel(1);
        let call = Box::new(move || {
            // Nobody waits any more where this fails: the call was given up.
            let _ = answer.send(call());
        });
        self.calls.try_send(call).map_err(|_| unknown("an earlier call has not returned".into()))?;
        wait.recv_timeout(deadline + GRACE).map_err(|error| match error {
            RecvTimeoutError::Timeout => unknown(format!(
                "librdkafka gave no answer within {} ms, though told to; the client is given up",
                (deadline + GRACE).as_millis()
            )),
            RecvTimeoutError::Disconnected => unknown("the call panicked".into()),
        })
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
