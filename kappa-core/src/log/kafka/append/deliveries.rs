//! The thread that serves an appender's queue: failed deliveries and client-wide errors.
//!
//! **Invariants:** the thread holds the client only while it serves it, and ends within one wake-up of the
//! appender's drop; the first refusal is kept until it is taken, later ones are counted.

use crate::log::LogError;
use crate::log::kafka::hooks::ClientHooks;
use crate::log::kafka::sys::{Client, Code, Event, EventKind, Hooks, Queue};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The events the thread serves: failed deliveries (1) and errors (8), by librdkafka's numbers.
pub(super) const EVENTS: i32 = 1 | 8;

const WAKE_UP: Duration = Duration::from_millis(500);

/// What was refused since it was last taken.
#[derive(Debug, Clone)]
struct Refusal {
    topic: String,
    partition: i32,
    code: Code,
    bytes: usize,
    others: u64,
}

/// The appender's side of the thread.
#[derive(Debug)]
pub(super) struct Deliveries {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Shared {
    refusal: Mutex<Option<Refusal>>,
    stop: AtomicBool,
}

impl Deliveries {
    /// Starts the thread.
    pub(super) fn serve(client: &Arc<Client>, hooks: Arc<ClientHooks>) -> Result<Self, LogError> {
        let fatal = |reason: String| LogError::Fatal { operation: "make an appender", reason };
        let queue = Queue::main(client).ok_or_else(|| fatal("a producer without a queue".into()))?;
        let (shared, queue) = (Arc::new(Shared::default()), Arc::new(queue));
        let work = {
            let (shared, queue) = (shared.clone(), queue.clone());
            move || {
                while !shared.stop.load(Ordering::Acquire) {
                    if let Some(event) = queue.poll(WAKE_UP) {
                        shared.take_in(&event, &hooks);
                    }
                }
            }
        };
        std::thread::Builder::new()
            .name("kafka-deliveries".into())
            .spawn(work)
            .map_err(|error| fatal(format!("no thread for failed deliveries: {error}")))?;
        Ok(Self { shared, queue })
    }

    /// The first refusal since the last call.
    pub(super) fn take_failure(&self, operation: &'static str) -> Option<LogError> {
        let refusal = self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(error_of(operation, refusal))
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.queue.wake();
    }
}

impl Shared {
    fn take_in(&self, event: &Event, hooks: &ClientHooks) {
        match event.kind() {
            EventKind::Error => hooks.error(event.code(), &event.text()),
            EventKind::Delivery => event.failed_deliveries(|topic, partition, code, bytes| {
                self.refuse(topic, partition, code, bytes);
            }),
            _ => {}
        }
    }

    fn refuse(&self, topic: &str, partition: i32, code: Code, bytes: usize) {
        // Purged by an abort: asked for.
        if code == Code::LOCAL_PURGE_QUEUE || code == Code::LOCAL_PURGE_INFLIGHT {
            return;
        }
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        match refusal.as_mut() {
            Some(first) => first.others += 1,
            None => *refusal = Some(Refusal { topic: topic.into(), partition, code, bytes, others: 0 }),
        }
    }
}

fn error_of(operation: &'static str, refusal: Refusal) -> LogError {
    let Refusal { topic, partition, code, bytes, others } = refusal;
    match code {
        Code::MESSAGE_TOO_LARGE | Code::RECORD_LIST_TOO_LARGE => LogError::RecordTooLarge { topic, bytes },
        _ => {
            let also = if others == 0 { String::new() } else { format!(" and {others} more") };
            let text = format!("{topic} partition {partition} refused a record{also}: {}", code.describe());
            let error = crate::log::kafka::sys::RawError { requires_abort: true, ..refused(code, text) };
            crate::log::kafka::classify::classify(
                crate::log::kafka::classify::During::Transaction,
                operation,
                Duration::ZERO,
                &error,
            )
        }
    }
}

fn refused(code: Code, text: String) -> crate::log::kafka::sys::RawError {
    crate::log::kafka::sys::RawError::of(code, text)
}
