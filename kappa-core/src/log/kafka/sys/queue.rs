//! Queues and the events that come on them.

use super::{Client, Code, PartitionList, c_string, millis, text_of};
use rdkafka::bindings as ffi;
use std::ffi::c_int;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

unsafe extern "C" {
    #[link_name = "rd_kafka_event_error"]
    fn event_error(event: *mut ffi::rd_kafka_event_t) -> c_int;
}

/// One of a client's queues.
pub(in super::super) struct Queue {
    queue: NonNull<ffi::rd_kafka_queue_t>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues are locked inside.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// A queue of its own, for the answer to one request.
    pub(in super::super) fn temporary(client: &Arc<Client>) -> Option<Self> {
        // SAFETY: a live handle; the queue is ours.
        let queue = unsafe { ffi::rd_kafka_queue_new(client.raw()) };
        NonNull::new(queue).map(|queue| Self { queue, client: client.clone() })
    }

    /// The queue of a consumer: records, errors, rebalances.
    pub(in super::super) fn consumer(client: &Arc<Client>) -> Option<Self> {
        // SAFETY: a live handle; null unless it is a consumer.
        let queue = unsafe { ffi::rd_kafka_queue_get_consumer(client.raw()) };
        NonNull::new(queue).map(|queue| Self { queue, client: client.clone() })
    }

    /// The queue of a producer: failed deliveries, errors.
    pub(in super::super) fn main(client: &Arc<Client>) -> Option<Self> {
        // SAFETY: a live handle.
        let queue = unsafe { ffi::rd_kafka_queue_get_main(client.raw()) };
        NonNull::new(queue).map(|queue| Self { queue, client: client.clone() })
    }

    /// The queue of one partition of a consumer.
    pub(in super::super) fn partition(client: &Arc<Client>, topic: &str, partition: i32) -> Option<Self> {
        let topic = c_string(topic);
        // SAFETY: a live handle and a terminated string.
        let queue = unsafe { ffi::rd_kafka_queue_get_partition(client.raw(), topic.as_ptr(), partition) };
        NonNull::new(queue).map(|queue| Self { queue, client: client.clone() })
    }

    /// Sends what comes here, and what is here already, on to another queue; `None` keeps it here.
    pub(in super::super) fn forward(&self, to: Option<&Queue>) {
        let to = to.map_or(ptr::null_mut(), |to| to.queue.as_ptr());
        // SAFETY: both queues are alive; librdkafka counts the reference it keeps.
        unsafe { ffi::rd_kafka_queue_forward(self.queue.as_ptr(), to) };
    }

    /// Lets whoever waits on the queue return.
    pub(in super::super) fn wake(&self) {
        // SAFETY: a live queue.
        unsafe { ffi::rd_kafka_queue_yield(self.queue.as_ptr()) };
    }

    /// The next event, if one comes in time.
    pub(in super::super) fn poll(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: a live queue; the event is ours.
        let event = unsafe { ffi::rd_kafka_queue_poll(self.queue.as_ptr(), millis(timeout)) };
        NonNull::new(event).map(|event| Event { event, _client: self.client.clone() })
    }

    /// The client that the queue belongs to.
    pub(in super::super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The queue, alive as long as `self`.
    pub(super) fn raw(&self) -> *mut ffi::rd_kafka_queue_t {
        self.queue.as_ptr()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once, before the client goes.
        unsafe { ffi::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum EventKind {
    Delivery,
    Error,
    Rebalance,
    Other,
}

/// An event; given back when dropped.
pub(in super::super) struct Event {
    event: NonNull<ffi::rd_kafka_event_t>,
    _client: Arc<Client>,
}

impl Event {
    /// What it tells.
    pub(in super::super) fn kind(&self) -> EventKind {
        // SAFETY: a live event.
        match unsafe { ffi::rd_kafka_event_type(self.event.as_ptr()) } as i32 {
            ffi::RD_KAFKA_EVENT_DR => EventKind::Delivery,
            ffi::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            ffi::RD_KAFKA_EVENT_REBALANCE => EventKind::Rebalance,
            _ => EventKind::Other,
        }
    }

    /// Its code.
    pub(in super::super) fn code(&self) -> Code {
        // SAFETY: a live event.
        Code(unsafe { event_error(self.event.as_ptr()) })
    }

    /// Its text.
    pub(in super::super) fn text(&self) -> String {
        // SAFETY: a live event; the text is copied.
        unsafe { text_of(ffi::rd_kafka_event_error_string(self.event.as_ptr())) }
    }

    /// Its partitions.
    pub(in super::super) fn partitions(&self) -> PartitionList {
        // SAFETY: a live event; the list stays the event's and is copied.
        unsafe { PartitionList::copy(ffi::rd_kafka_event_topic_partition_list(self.event.as_ptr())) }
    }

    /// Gives each failed record of a delivery event: topic, partition, code, key and value bytes.
    pub(in super::super) fn failed_deliveries(&self, mut each: impl FnMut(&str, i32, Code, usize)) {
        loop {
            // SAFETY: a live event; the message stays the event's and is only read.
            let message = unsafe { ffi::rd_kafka_event_message_next(self.event.as_ptr()) };
            let Some(message) = NonNull::new(message.cast_mut()) else { return };
            // SAFETY: alive until the event is destroyed.
            let (topic, head) = unsafe { super::message::describe(message.cast()) };
            if !head.code.is_ok() {
                each(&topic, head.partition, head.code, head.bytes);
            }
        }
    }

    /// The event, alive as long as `self`.
    pub(super) fn raw(&self) -> *mut ffi::rd_kafka_event_t {
        self.event.as_ptr()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("kind", &self.kind()).field("code", &self.code()).finish_non_exhaustive()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once, before the client goes.
        unsafe { ffi::rd_kafka_event_destroy(self.event.as_ptr()) };
    }
}
