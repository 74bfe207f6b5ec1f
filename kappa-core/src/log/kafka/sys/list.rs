//! Lists of partitions with offsets.

use super::{Code, c_string, text_of};
use rdkafka::bindings as ffi;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::ptr::NonNull;

/// `rd_kafka_topic_partition_t` with its error as a number.
#[repr(C)]
struct Element {
    topic: *mut c_char,
    partition: i32,
    offset: i64,
    metadata: *mut c_void,
    metadata_size: usize,
    opaque: *mut c_void,
    err: c_int,
    private: *mut c_void,
}

const _: () = assert!(size_of::<Element>() == size_of::<ffi::rd_kafka_topic_partition_t>());

/// One partition of a list as it came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct PartitionResult {
    pub(in super::super) topic: String,
    pub(in super::super) partition: i32,
    pub(in super::super) offset: i64,
    pub(in super::super) metadata: String,
    pub(in super::super) code: Code,
}

/// A list of partitions with offsets.
pub(in super::super) struct PartitionList(NonNull<ffi::rd_kafka_topic_partition_list_t>);

// SAFETY: a plain data structure without ties to a thread.
unsafe impl Send for PartitionList {}

impl PartitionList {
    /// An empty list.
    pub(in super::super) fn new() -> Self {
        // SAFETY: takes a size hint only; aborts the process where memory is out, never returns null.
        let list = unsafe { ffi::rd_kafka_topic_partition_list_new(0) };
        Self(NonNull::new(list).expect("librdkafka aborts where memory is out"))
    }

    /// A copy of a list that librdkafka keeps; empty for null.
    ///
    /// # Safety
    /// `list` is null or points to a live list.
    pub(super) unsafe fn copy(list: *const ffi::rd_kafka_topic_partition_list_t) -> Self {
        if list.is_null() {
            return Self::new();
        }
        // SAFETY: a live list; the copy is ours.
        let copy = unsafe { ffi::rd_kafka_topic_partition_list_copy(list) };
        NonNull::new(copy).map_or_else(Self::new, Self)
    }

    /// Adds a partition with an offset.
    pub(in super::super) fn add(&mut self, topic: &str, partition: i32, offset: i64) {
        self.add_with_metadata(topic, partition, offset, "");
    }

    /// Adds a partition with an offset and a text kept beside it.
    pub(in super::super) fn add_with_metadata(&mut self, topic: &str, partition: i32, offset: i64, metadata: &str) {
        let topic = c_string(topic);
        // SAFETY: the list is ours; the new element is alive until the list changes again. The metadata
        // is memory of C's allocator, which the list frees.
        unsafe {
            let element = ffi::rd_kafka_topic_partition_list_add(self.0.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset;
            if !metadata.is_empty() {
                let copy = libc::malloc(metadata.len());
                if !copy.is_null() {
                    std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast::<u8>(), metadata.len());
                    (*element).metadata = copy;
                    (*element).metadata_size = metadata.len();
                }
            }
        }
    }

    /// The list, alive as long as `self`.
    pub(super) fn raw(&self) -> *mut ffi::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// Its elements.
    fn elements(&self) -> &[Element] {
        // SAFETY: the list is alive and holds `cnt` elements of this layout; nothing changes it while
        // `self` is borrowed.
        unsafe {
            let list = self.0.as_ref();
            match list.cnt {
                0 => &[],
                count => std::slice::from_raw_parts(list.elems.cast::<Element>(), count as usize),
            }
        }
    }

    /// Whether there are none.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.elements().is_empty()
    }

    /// The partitions' numbers.
    pub(in super::super) fn partitions(&self) -> Vec<i32> {
        self.elements().iter().map(|element| element.partition).collect()
    }

    /// Everything in the list, copied out.
    pub(in super::super) fn results(&self) -> Vec<PartitionResult> {
        self.elements().iter().map(result_of).collect()
    }

    /// Sets all offsets alike.
    pub(in super::super) fn set_offsets(&mut self, offset: i64) {
        // SAFETY: as in `elements`, with the list borrowed mutably; only a number is written.
        unsafe {
            let list = self.0.as_mut();
            for index in 0..list.cnt as usize {
                (*list.elems.add(index)).offset = offset;
            }
        }
    }
}

fn result_of(element: &Element) -> PartitionResult {
    let metadata = if element.metadata.is_null() {
        String::new()
    } else {
        // SAFETY: librdkafka keeps `metadata_size` bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size) };
        String::from_utf8_lossy(bytes).into_owned()
    };
    // SAFETY: the topic is a terminated string of the list's.
    let topic = unsafe { text_of(element.topic) };
    PartitionResult { topic, partition: element.partition, offset: element.offset, metadata, code: Code(element.err) }
}

/// Reads one element that librdkafka keeps.
///
/// # Safety
/// `element` points to a live element.
pub(super) unsafe fn read_element(element: *const ffi::rd_kafka_topic_partition_t) -> PartitionResult {
    // SAFETY: alive, and of this layout.
    result_of(unsafe { &*element.cast::<Element>() })
}

impl fmt::Debug for PartitionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.results()).finish()
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { ffi::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) };
    }
}
