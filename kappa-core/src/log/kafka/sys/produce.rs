//! Producing, transactions, and the offsets of acknowledged records.
//!
//! **Invariants:** a [`Slot`] that a message was sent with outlives the client's last acknowledgement:
//! slots are leaked into the client's lifetime by an `Arc` that [`Topic`] holds, and topics hold the client.

use super::client::Opaque;
use super::stamped::{self, is_stamp};
use super::{Client, Code, GroupPlace, PartitionList, RawError, c_string, millis};
use crate::log::Headers;
use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_vtype_t as V;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// One past the highest acknowledged offset of one partition; -1 before there is one.
pub(in super::super) struct Slot(AtomicI64);

impl Slot {
    /// What was noted since the last call.
    pub(in super::super) fn take(&self) -> Option<i64> {
        let next = self.0.swap(-1, Ordering::AcqRel);
        (next >= 0).then_some(next)
    }
}

/// A topic to produce to. Never freed before its client is: acknowledgements point into its slots.
pub(in super::super) struct Topic {
    topic: NonNull<ffi::rd_kafka_topic_t>,
    slots: ManuallyDrop<Box<[Slot]>>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for Topic {}

impl Topic {
    /// A handle for a topic; with `slots`, acknowledged offsets of its partitions are noted.
    pub(in super::super) fn new(client: &Arc<Client>, name: &str, slots: i32) -> Option<Self> {
        let name = c_string(name);
        // SAFETY: a live handle, a terminated string; a null configuration is the client's default.
        let topic = unsafe { ffi::rd_kafka_topic_new(client.raw(), name.as_ptr(), ptr::null_mut()) };
        let slots = (0..slots.max(0)).map(|_| Slot(AtomicI64::new(-1))).collect();
        NonNull::new(topic).map(|topic| Self { topic, slots: ManuallyDrop::new(slots), client: client.clone() })
    }

    /// The slots, by partition.
    pub(in super::super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The handle, alive as long as `self`.
    pub(super) fn raw(&self) -> *mut ffi::rd_kafka_topic_t {
        self.topic.as_ptr()
    }

    pub(super) fn slot_address(&self, partition: i32) -> *mut c_void {
        let slot = usize::try_from(partition).ok().and_then(|index| self.slots.get(index));
        slot.map_or(ptr::null_mut(), |slot| ptr::from_ref(slot).cast_mut().cast())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // The slots stay: 8 bytes a partition of a topic that reports positions, for messages that may still
        // be acknowledged after this.
        // SAFETY: our reference, given back once, before the client goes.
        unsafe { ffi::rd_kafka_topic_destroy(self.topic.as_ptr()) };
    }
}

/// The interceptor's start: called once, when the client is made.
///
/// # Safety
/// Called by librdkafka with the new handle.
pub(super) unsafe extern "C" fn on_new_producer(
    rk: *mut ffi::rd_kafka_t,
    _conf: *const ffi::rd_kafka_conf_t,
    _opaque: *mut c_void,
    _text: *mut c_char,
    _size: usize,
) -> ffi::rd_kafka_resp_err_t {
    // SAFETY: the handle is alive, and its opaque pointer is the `Opaque` it is made with; the functions live for ever.
    unsafe {
        if let Some(opaque) = ffi::rd_kafka_opaque(rk).cast::<Opaque>().as_ref() {
            opaque.stamps.store(stamped::add_interceptor(rk), Ordering::Release);
        }
        ffi::rd_kafka_interceptor_add_on_acknowledgement(
            rk,
            c"kappa".as_ptr(),
            Some(on_acknowledgement),
            ptr::null_mut(),
        )
    }
}

/// Called for every record that was acknowledged or has failed, on a broker's thread.
unsafe extern "C" fn on_acknowledgement(
    _rk: *mut ffi::rd_kafka_t,
    message: *mut ffi::rd_kafka_message_t,
    _opaque: *mut c_void,
) -> ffi::rd_kafka_resp_err_t {
    // SAFETY: the message is alive for the call; its private pointer is null, a slot, or a stamp in a message that was
    // refused at once, and slots are never freed. The error is read as a number.
    unsafe {
        let private = (*message)._private;
        if !is_stamp(private)
            && let Some(slot) = private.cast::<Slot>().as_ref()
        {
            let code = ptr::addr_of!((*message).err).cast::<c_int>().read();
            let offset = (*message).offset;
            if code == 0 && offset >= 0 {
                slot.0.fetch_max(offset + 1, Ordering::AcqRel);
            }
        }
    }
    ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// One record to produce.
#[derive(Debug)]
pub(in super::super) struct Outgoing<'a> {
    pub(in super::super) topic: &'a Topic,
    pub(in super::super) partition: i32,
    pub(in super::super) timestamp_ms: i64,
    pub(in super::super) key: Option<&'a [u8]>,
    pub(in super::super) value: Option<&'a [u8]>,
    pub(in super::super) headers: &'a Headers,
}

fn argument(vtype: V, u: ffi::rd_kafka_vu_s__bindgen_ty_1) -> ffi::rd_kafka_vu_t {
    ffi::rd_kafka_vu_t { vtype, u }
}

fn memory(bytes: Option<&[u8]>) -> ffi::rd_kafka_vu_s__bindgen_ty_1 {
    let (start, size) = bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    ffi::rd_kafka_vu_s__bindgen_ty_1 {
        mem: ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: start.cast_mut().cast(), size },
    }
}

impl Client {
    /// Hands one record to the producer, which copies it.
    pub(in super::super) fn produce(&self, record: &Outgoing<'_>) -> Result<(), RawError> {
        type U = ffi::rd_kafka_vu_s__bindgen_ty_1;
        let headers = headers_of(record.headers);
        let arguments = [
            argument(V::RD_KAFKA_VTYPE_RKT, U { rkt: record.topic.topic.as_ptr() }),
            argument(V::RD_KAFKA_VTYPE_PARTITION, U { i32_: record.partition }),
            argument(V::RD_KAFKA_VTYPE_VALUE, memory(record.value)),
            argument(V::RD_KAFKA_VTYPE_KEY, memory(record.key)),
            argument(V::RD_KAFKA_VTYPE_MSGFLAGS, U { i: ffi::RD_KAFKA_MSG_F_COPY as c_int }),
            argument(V::RD_KAFKA_VTYPE_TIMESTAMP, U { i64_: record.timestamp_ms }),
            argument(V::RD_KAFKA_VTYPE_OPAQUE, U { ptr: record.topic.slot_address(record.partition) }),
            argument(V::RD_KAFKA_VTYPE_HEADERS, U { headers }),
        ];
        let count = if headers.is_null() { arguments.len() - 1 } else { arguments.len() };
        // SAFETY: each argument's union field is the one its type names; key and value are copied before the
        // call returns; the topic belongs to a live client. Headers become the message's on success only.
        unsafe {
            let error = ffi::rd_kafka_produceva(self.raw(), arguments.as_ptr(), count);
            if error.is_null() {
                return Ok(());
            }
            if !headers.is_null() {
                ffi::rd_kafka_headers_destroy(headers);
            }
            RawError::take(error)
        }
    }

    /// Waits until all records are delivered or have failed.
    pub(in super::super) fn flush(&self, timeout: Duration) -> Result<(), RawError> {
        // SAFETY: a live handle.
        let code = unsafe { ffi::rd_kafka_flush(self.raw(), millis(timeout)) };
        Code(code as i32).ok()
    }

    /// Forgets the records that wait to be sent or to be acknowledged.
    pub(in super::super) fn purge(&self) {
        let flags = ffi::RD_KAFKA_PURGE_F_QUEUE | ffi::RD_KAFKA_PURGE_F_INFLIGHT | ffi::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: a live handle.
        unsafe { ffi::rd_kafka_purge(self.raw(), flags as c_int) };
    }

    /// Takes the transactional id over.
    pub(in super::super) fn init_transactions(&self, timeout: Duration) -> Result<(), RawError> {
        // SAFETY: a live handle; the error is ours.
        unsafe { RawError::take(ffi::rd_kafka_init_transactions(self.raw(), millis(timeout))) }
    }

    /// Begins a transaction.
    pub(in super::super) fn begin_transaction(&self) -> Result<(), RawError> {
        // SAFETY: a live handle; the error is ours.
        unsafe { RawError::take(ffi::rd_kafka_begin_transaction(self.raw())) }
    }

    /// Commits the transaction.
    pub(in super::super) fn commit_transaction(&self, timeout: Duration) -> Result<(), RawError> {
        // SAFETY: a live handle; the error is ours.
        unsafe { RawError::take(ffi::rd_kafka_commit_transaction(self.raw(), millis(timeout))) }
    }

    /// Aborts the transaction.
    pub(in super::super) fn abort_transaction(&self, timeout: Duration) -> Result<(), RawError> {
        // SAFETY: a live handle; the error is ours.
        unsafe { RawError::take(ffi::rd_kafka_abort_transaction(self.raw(), millis(timeout))) }
    }

    /// Makes offsets part of the transaction, in the name of a member of the group.
    pub(in super::super) fn send_offsets(
        &self,
        offsets: &PartitionList,
        place: &GroupPlace,
        timeout: Duration,
    ) -> Result<(), RawError> {
        let group = c_string(&place.group);
        let member = c_string(&place.member_id);
        let instance = place.instance_id.as_deref().map(c_string);
        let instance = instance.as_ref().map_or(ptr::null(), |instance| instance.as_ptr());
        // SAFETY: all strings live for the calls and are copied; the metadata object is ours and destroyed once.
        unsafe {
            let metadata = ffi::rd_kafka_consumer_group_metadata_new_with_genid(
                group.as_ptr(),
                place.generation,
                member.as_ptr(),
                instance,
            );
            let error = ffi::rd_kafka_send_offsets_to_transaction(self.raw(), offsets.raw(), metadata, millis(timeout));
            ffi::rd_kafka_consumer_group_metadata_destroy(metadata);
            RawError::take(error)
        }
    }
}

fn headers_of(headers: &Headers) -> *mut ffi::rd_kafka_headers_t {
    let headers = headers.as_slice();
    if headers.is_empty() {
        return ptr::null_mut();
    }
    // SAFETY: the list is ours until a message takes it; names and values are copied. A null value is Kafka's null.
    unsafe {
        let list = ffi::rd_kafka_headers_new(headers.len());
        for header in headers {
            let (value, size) = match &header.value {
                Some(value) => (value.as_ptr().cast(), value.len() as isize),
                None => (ptr::null(), 0),
            };
            ffi::rd_kafka_header_add(list, header.name.as_ptr().cast(), header.name.len() as isize, value, size);
        }
        list
    }
}
