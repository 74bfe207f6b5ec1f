//! What a consumer is told, and its place in its group.

use super::{Client, Code, PartitionList, Queue, RawError, millis, text_of};
use rdkafka::bindings as ffi;
use std::ffi::c_int;
use std::time::Duration;

unsafe extern "C" {
    #[link_name = "rd_kafka_committed"]
    fn committed(rk: *mut ffi::rd_kafka_t, list: *mut ffi::rd_kafka_topic_partition_list_t, timeout_ms: c_int)
    -> c_int;
    #[link_name = "rd_kafka_subscribe"]
    fn subscribe(rk: *mut ffi::rd_kafka_t, list: *const ffi::rd_kafka_topic_partition_list_t) -> c_int;
    #[link_name = "rd_kafka_consumer_close"]
    fn consumer_close(rk: *mut ffi::rd_kafka_t) -> c_int;
    #[link_name = "rd_kafka_assign"]
    fn assign(rk: *mut ffi::rd_kafka_t, list: *const ffi::rd_kafka_topic_partition_list_t) -> c_int;
}

/// A member's place in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct GroupPlace {
    pub(in super::super) group: String,
    pub(in super::super) generation: i32,
    pub(in super::super) member_id: String,
    pub(in super::super) instance_id: Option<String>,
}

/// Whether the partitions being revoked are another's already.
pub(in super::super) fn assignment_lost(client: &Client) -> bool {
    // SAFETY: a live handle.
    unsafe { ffi::rd_kafka_assignment_lost(client.raw()) != 0 }
}

/// Whether the group rebalances in steps (`cooperative-sticky`).
pub(in super::super) fn is_cooperative(client: &Client) -> bool {
    // SAFETY: a live handle; the string is static.
    unsafe { text_of(ffi::rd_kafka_rebalance_protocol(client.raw())) == "COOPERATIVE" }
}

impl Client {
    /// Begins reading these partitions, beside those already assigned.
    pub(in super::super) fn incremental_assign(&self, list: &PartitionList) -> Result<(), RawError> {
        // SAFETY: a live handle and list, which is copied; the error is ours.
        unsafe { RawError::take(ffi::rd_kafka_incremental_assign(self.raw(), list.raw())) }
    }

    /// Stops reading these partitions.
    pub(in super::super) fn incremental_unassign(&self, list: &PartitionList) -> Result<(), RawError> {
        // SAFETY: a live handle and list, which is copied; the error is ours.
        unsafe { RawError::take(ffi::rd_kafka_incremental_unassign(self.raw(), list.raw())) }
    }

    /// Stops reading everything.
    pub(in super::super) fn unassign_all(&self) -> Result<(), RawError> {
        // SAFETY: a live handle; null is "nothing".
        Code(unsafe { assign(self.raw(), std::ptr::null()) }).ok()
    }

    /// Stops fetching these partitions and drops what was fetched ahead.
    pub(in super::super) fn pause(&self, list: &PartitionList) {
        // SAFETY: a live handle and list.
        unsafe { ffi::rd_kafka_pause_partitions(self.raw(), list.raw()) };
    }

    /// Joins the group for one topic.
    pub(in super::super) fn subscribe(&self, topic: &str) -> Result<(), RawError> {
        let mut list = PartitionList::new();
        list.add(topic, -1, 0);
        // SAFETY: a live handle and list, which is copied.
        Code(unsafe { subscribe(self.raw(), list.raw()) }).ok()
    }

    /// Leaves the group (a static member keeps its seat) and stops consuming. Blocks.
    pub(in super::super) fn close_consumer(&self) -> Result<(), RawError> {
        // SAFETY: a live consumer handle.
        Code(unsafe { consumer_close(self.raw()) }).ok()
    }

    /// The member's place in its group as it is now.
    pub(in super::super) fn group_place(&self) -> Option<GroupPlace> {
        // SAFETY: a live consumer handle; the metadata object is ours, its strings are copied.
        unsafe {
            let metadata = ffi::rd_kafka_consumer_group_metadata(self.raw());
            if metadata.is_null() {
                return None;
            }
            let instance = ffi::rd_kafka_consumer_group_metadata_group_instance_id(metadata);
            let place = GroupPlace {
                group: text_of(ffi::rd_kafka_consumer_group_metadata_group_id(metadata)),
                generation: ffi::rd_kafka_consumer_group_metadata_generation_id(metadata),
                member_id: text_of(ffi::rd_kafka_consumer_group_metadata_member_id(metadata)),
                instance_id: (!instance.is_null()).then(|| text_of(instance)),
            };
            ffi::rd_kafka_consumer_group_metadata_destroy(metadata);
            Some(place)
        }
    }

    /// Fills in the group's committed offsets.
    pub(in super::super) fn committed(&self, list: &mut PartitionList, timeout: Duration) -> Result<(), RawError> {
        // SAFETY: a live handle; the list is ours and borrowed mutably.
        Code(unsafe { committed(self.raw(), list.raw(), millis(timeout)) }).ok()
    }

    /// Commits offsets as this member; the answer comes as an event on `answer`.
    pub(in super::super) fn commit(&self, list: &PartitionList, answer: &Queue) -> Result<(), RawError> {
        // SAFETY: a live handle, list and queue; the list is copied; no callback.
        let code =
            unsafe { ffi::rd_kafka_commit_queue(self.raw(), list.raw(), answer.raw(), None, std::ptr::null_mut()) };
        Code(code as i32).ok()
    }
}
