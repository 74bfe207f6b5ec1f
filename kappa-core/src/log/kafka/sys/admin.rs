//! Admin requests: one call, one event with the answer.

use super::list::read_element;
use super::{Client, Code, Event, PartitionList, PartitionResult, Queue, RawError, c_string, millis, text_of};
use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_admin_op_t as Op;
use std::ffi::{CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

unsafe extern "C" {
    #[link_name = "rd_kafka_topic_result_error"]
    fn topic_result_error(result: *const ffi::rd_kafka_topic_result_t) -> c_int;
}

/// A topic as a broker describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct ListedTopic {
    pub(in super::super) partitions: usize,
    /// Partitions that have a leader.
    pub(in super::super) led: usize,
}

/// Which offsets are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) enum OffsetQuery {
    /// As a read_uncommitted reader sees them.
    Uncommitted,
    /// As a read_committed reader sees them.
    Committed,
}

/// Makes admin requests through a client of any kind.
#[derive(Debug)]
pub(in super::super) struct Admin {
    client: Arc<Client>,
    deadline: Duration,
}

/// `rd_kafka_AdminOptions_t`, given back when dropped.
struct Options(NonNull<ffi::rd_kafka_AdminOptions_t>);

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { ffi::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) };
    }
}

impl Admin {
    /// Requests through this client, each given up after `deadline`.
    pub(in super::super) fn new(client: Arc<Client>, deadline: Duration) -> Self {
        Self { client, deadline }
    }

    fn options(&self, op: Op, wait_for_effect: bool) -> Result<Options, RawError> {
        let mut text = [0 as c_char; 256];
        let timeout = millis(self.deadline).clamp(1, 3_600_000);
        // SAFETY: a live handle; the options are ours; the buffer is writable for its size.
        unsafe {
            let options = NonNull::new(ffi::rd_kafka_AdminOptions_new(self.client.raw(), op))
                .ok_or_else(|| RawError::of(Code::LOCAL_INVALID_ARG, "no admin options"))?;
            let options = Options(options);
            let set = ffi::rd_kafka_AdminOptions_set_request_timeout;
            set(options.0.as_ptr(), timeout, text.as_mut_ptr(), text.len());
            if wait_for_effect {
                let set = ffi::rd_kafka_AdminOptions_set_operation_timeout;
                set(options.0.as_ptr(), timeout, text.as_mut_ptr(), text.len());
            }
            Ok(options)
        }
    }

    /// Makes a request and waits for its event.
    fn ask(&self, request: impl FnOnce(*mut ffi::rd_kafka_queue_t)) -> Result<Event, RawError> {
        let queue = Queue::temporary(&self.client)
            .ok_or_else(|| RawError::of(Code::LOCAL_INVALID_ARG, "no queue for an admin request"))?;
        request(queue.raw());
        // librdkafka answers in its own request time-out; the second more is for its scheduling.
        let until = Instant::now() + self.deadline + Duration::from_secs(1);
        loop {
            match queue.poll(until.saturating_duration_since(Instant::now())) {
                Some(event) => {
                    let code = event.code();
                    return if code.is_ok() { Ok(event) } else { Err(RawError::of(code, event.text())) };
                }
                None if Instant::now() >= until => {
                    return Err(RawError::of(Code::LOCAL_TIMED_OUT, "no answer"));
                }
                None => {}
            }
        }
    }

    /// Creates a topic.
    pub(in super::super) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i32,
        settings: &[(String, String)],
    ) -> Result<(), RawError> {
        let options = self.options(Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, true)?;
        let name = c_string(name);
        let mut text = [0 as c_char; 512];
        // SAFETY: strings and buffer live for the call; the object is ours until destroyed below.
        let topic = unsafe {
            ffi::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, text.as_mut_ptr(), text.len())
        };
        let Some(topic) = NonNull::new(topic) else {
            // SAFETY: terminated by librdkafka.
            return Err(RawError::of(Code::LOCAL_INVALID_ARG, unsafe { text_of(text.as_ptr()) }));
        };
        for (name, value) in settings {
            let (name, value) = (c_string(name), c_string(value));
            // SAFETY: a live object; the strings are copied.
            unsafe { ffi::rd_kafka_NewTopic_set_config(topic.as_ptr(), name.as_ptr(), value.as_ptr()) };
        }
        let mut topics = [topic.as_ptr()];
        let event = self.ask(|queue| {
            // SAFETY: all alive for the call, which copies them.
            unsafe {
                ffi::rd_kafka_CreateTopics(self.client.raw(), topics.as_mut_ptr(), 1, options.0.as_ptr(), queue);
            }
        });
        // SAFETY: ours, destroyed once.
        unsafe { ffi::rd_kafka_NewTopic_destroy(topic.as_ptr()) };
        let event = event?;
        let mut count = 0;
        // SAFETY: the result belongs to the live event.
        unsafe {
            let result = ffi::rd_kafka_event_CreateTopics_result(event.raw());
            first_topic_error(ffi::rd_kafka_CreateTopics_result_topics(result, &mut count), count)
        }
    }

    /// Deletes a topic.
    pub(in super::super) fn delete_topic(&self, name: &str) -> Result<(), RawError> {
        let options = self.options(Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, true)?;
        let name = c_string(name);
        let mut count = 0;
        // SAFETY: the request object is ours until destroyed and copied by the call; the result belongs to the event.
        unsafe {
            let topic = ffi::rd_kafka_DeleteTopic_new(name.as_ptr());
            let mut topics = [topic];
            let event = self.ask(|queue| {
                ffi::rd_kafka_DeleteTopics(self.client.raw(), topics.as_mut_ptr(), 1, options.0.as_ptr(), queue);
            });
            ffi::rd_kafka_DeleteTopic_destroy(topic);
            let event = event?;
            let result = ffi::rd_kafka_event_DeleteTopics_result(event.raw());
            first_topic_error(ffi::rd_kafka_DeleteTopics_result_topics(result, &mut count), count)
        }
    }

    /// Describes a topic; never creates one.
    pub(in super::super) fn describe_topic(&self, name: &str) -> Result<ListedTopic, RawError> {
        let options = self.options(Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, false)?;
        let name = c_string(name);
        let mut names = [name.as_ptr()];
        // SAFETY: the collection is ours until destroyed and copied by the call; results belong to the live event.
        unsafe {
            let topics = ffi::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
            let event = self.ask(|queue| {
                ffi::rd_kafka_DescribeTopics(self.client.raw(), topics, options.0.as_ptr(), queue);
            });
            ffi::rd_kafka_TopicCollection_destroy(topics);
            let event = event?;
            let mut count = 0;
            let result = ffi::rd_kafka_event_DescribeTopics_result(event.raw());
            let described = ffi::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            if count == 0 {
                return Err(RawError::of(Code::UNKNOWN_TOPIC_OR_PARTITION, "the broker described no topic"));
            }
            RawError::check(ffi::rd_kafka_TopicDescription_error(*described))?;
            let mut partitions = 0;
            let infos = ffi::rd_kafka_TopicDescription_partitions(*described, &mut partitions);
            let leader = |index| ffi::rd_kafka_TopicPartitionInfo_leader(*infos.add(index));
            let led = (0..partitions).filter(|&index| {
                let leader = leader(index);
                !leader.is_null() && ffi::rd_kafka_Node_id(leader) >= 0
            });
            Ok(ListedTopic { partitions, led: led.count() })
        }
    }

    /// Removes the records below the given offsets.
    pub(in super::super) fn delete_records(&self, before: &PartitionList) -> Result<Vec<PartitionResult>, RawError> {
        let options = self.options(Op::RD_KAFKA_ADMIN_OP_DELETERECORDS, true)?;
        // SAFETY: the request object is ours until destroyed and copied by the call; the result belongs to the event.
        unsafe {
            let request = ffi::rd_kafka_DeleteRecords_new(before.raw());
            let mut requests = [request];
            let event = self.ask(|queue| {
                ffi::rd_kafka_DeleteRecords(self.client.raw(), requests.as_mut_ptr(), 1, options.0.as_ptr(), queue);
            });
            ffi::rd_kafka_DeleteRecords_destroy(request);
            let event = event?;
            let result = ffi::rd_kafka_event_DeleteRecords_result(event.raw());
            Ok(PartitionList::copy(ffi::rd_kafka_DeleteRecords_result_offsets(result)).results())
        }
    }

    /// Looks offsets up: each partition's offset field says which (-2 first, -1 last, else a timestamp).
    pub(in super::super) fn list_offsets(
        &self,
        partitions: &PartitionList,
        query: OffsetQuery,
    ) -> Result<Vec<PartitionResult>, RawError> {
        let options = self.options(Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, false)?;
        let level = match query {
            OffsetQuery::Uncommitted => ffi::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            OffsetQuery::Committed => ffi::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        };
        // SAFETY: options and list are alive for the calls, which copy them; results belong to the live event.
        unsafe {
            RawError::take(ffi::rd_kafka_AdminOptions_set_isolation_level(options.0.as_ptr(), level))?;
            let event = self.ask(|queue| {
                ffi::rd_kafka_ListOffsets(self.client.raw(), partitions.raw(), options.0.as_ptr(), queue);
            })?;
            let mut count = 0;
            let result = ffi::rd_kafka_event_ListOffsets_result(event.raw());
            let infos = ffi::rd_kafka_ListOffsets_result_infos(result, &mut count);
            let read = |index| read_element(ffi::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index)));
            Ok((0..count).map(read).collect())
        }
    }

    /// Deletes a group.
    pub(in super::super) fn delete_group(&self, group: &str) -> Result<(), RawError> {
        let options = self.options(Op::RD_KAFKA_ADMIN_OP_DELETEGROUPS, false)?;
        let group: CString = c_string(group);
        let mut count = 0;
        // SAFETY: the request object is ours until destroyed and copied by the call; the result belongs to the event.
        unsafe {
            let request = ffi::rd_kafka_DeleteGroup_new(group.as_ptr());
            let mut requests = [request];
            let event = self.ask(|queue| {
                ffi::rd_kafka_DeleteGroups(self.client.raw(), requests.as_mut_ptr(), 1, options.0.as_ptr(), queue);
            });
            ffi::rd_kafka_DeleteGroup_destroy(request);
            let event = event?;
            let result = ffi::rd_kafka_event_DeleteGroups_result(event.raw());
            let groups = ffi::rd_kafka_DeleteGroups_result_groups(result, &mut count);
            if groups.is_null() || count == 0 {
                return Ok(());
            }
            RawError::check(ffi::rd_kafka_group_result_error(*groups))
        }
    }
}

/// # Safety
/// `results` is null or points to `count` live results.
unsafe fn first_topic_error(results: *mut *const ffi::rd_kafka_topic_result_t, count: usize) -> Result<(), RawError> {
    if ptr::eq(results, ptr::null_mut()) {
        return Ok(());
    }
    for index in 0..count {
        // SAFETY: within `count`, alive.
        let (code, text) = unsafe {
            let result = *results.add(index);
            (Code(topic_result_error(result)), text_of(ffi::rd_kafka_topic_result_error_string(result)))
        };
        if !code.is_ok() {
            return Err(RawError::of(code, text));
        }
    }
    Ok(())
}
