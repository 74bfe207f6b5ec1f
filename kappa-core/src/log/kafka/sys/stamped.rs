//! Producing many records of one partition by one call, each with its timestamp.
//!
//! librdkafka's batch call costs half of what single calls do, and has no place for timestamps: it gives every message
//! of a call the time of the call. So a message goes in with the address of its [`Stamp`] as its private pointer, and the
//! interceptor that librdkafka calls between making a message and queueing it puts timestamp and slot in their places.
//!
//! **Invariants:**
//! - A timestamp is written only where the public call reads the same value as the field: a message whose field lies elsewhere is
//!   left as it is, and the call fails ([`Code::BAD_MESSAGE`]).
//! - Only where the interceptor is in place and the layout it writes to is known ([`Client::takes_parcels`]).
//! - A stamp's address is odd in a private pointer, a slot's is even: each is told from the other. No message leaves the
//!   interceptor with a stamp, so stamps need not outlive the call.

use super::layout::{self, InnerMessage};
use super::message::RawMessage;
use super::produce::Topic;
use super::{Client, Code};
use rdkafka::bindings as ffi;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::Ordering;

/// Messages handed over by one call of librdkafka's.
const PARCEL: usize = 1_024;

/// A record without headers, on its way to a partition that the call names.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Plain<'a> {
    pub(in super::super) timestamp_ms: i64,
    pub(in super::super) key: Option<&'a [u8]>,
    pub(in super::super) value: Option<&'a [u8]>,
}

/// What a message's place for the user points to until the interceptor has seen it.
#[repr(align(8))]
struct Stamp {
    /// [`TAKEN`] once it is where it belongs.
    timestamp_ms: i64,
    slot: *mut c_void,
}

/// No record's timestamp.
const TAKEN: i64 = i64::MIN;

/// Room for one parcel, used again and again.
#[derive(Default)]
pub(in super::super) struct Parcel {
    messages: Vec<RawMessage>,
    stamps: Vec<Stamp>,
}

// SAFETY: empty between calls; within one its pointers are used by the calling thread alone.
unsafe impl Send for Parcel {}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel").finish_non_exhaustive()
    }
}

/// What was handed over of many records: the first so many, and why the next one was not.
///
/// Behind a record that is refused by itself (too large) others may have been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Refused {
    pub(in super::super) at: usize,
    pub(in super::super) code: Code,
}

impl Client {
    /// Whether [`Client::produce_all`] may be called.
    pub(in super::super) fn takes_parcels(&self) -> bool {
        self.opaque().stamps.load(Ordering::Acquire)
    }

    /// Hands records of one partition to the producer, which copies them, in their order.
    pub(in super::super) fn produce_all<'a>(
        &self,
        topic: &Topic,
        partition: i32,
        records: impl ExactSizeIterator<Item = Plain<'a>>,
        parcel: &mut Parcel,
    ) -> Result<(), Refused> {
        assert!(self.takes_parcels(), "asked for before");
        let slot = topic.slot_address(partition);
        let mut records = records.enumerate();
        let mut done = 0;
        while records.len() > 0 {
            parcel.fill(records.by_ref().take(PARCEL).map(|(_, record)| record), slot);
            let outcome = parcel.send(topic, partition);
            parcel.messages.clear();
            parcel.stamps.clear();
            outcome.map_err(|refused| Refused { at: done + refused.at, ..refused })?;
            done += PARCEL;
        }
        Ok(())
    }
}

impl Parcel {
    fn fill<'a>(&mut self, records: impl Iterator<Item = Plain<'a>>, slot: *mut c_void) {
        for Plain { timestamp_ms, key, value } in records {
            let ((key, key_len), (payload, len)) = (memory(key), memory(value));
            let (err, rkt, partition, offset, private) = (0, ptr::null_mut(), 0, 0, ptr::null_mut());
            self.stamps.push(Stamp { timestamp_ms, slot });
            self.messages.push(RawMessage { err, rkt, partition, payload, len, key, key_len, offset, private });
        }
        // Only now: the stamps have moved while there were more to come.
        let stamps = self.stamps.as_mut_ptr();
        for (index, message) in self.messages.iter_mut().enumerate() {
            message.private = stamps.wrapping_add(index).cast::<u8>().wrapping_add(1).cast();
        }
    }

    fn send(&mut self, topic: &Topic, partition: i32) -> Result<(), Refused> {
        let count = self.messages.len();
        // SAFETY: a live topic; so many messages, whose keys and values live for the call, which copies them;
        // their private pointers are exchanged by the interceptor before the call returns.
        let sent = unsafe {
            ffi::rd_kafka_produce_batch(
                topic.raw(),
                partition,
                ffi::RD_KAFKA_MSG_F_COPY as c_int,
                self.messages.as_mut_ptr().cast(),
                count as c_int,
            )
        };
        let stamped = |(message, stamp): (&RawMessage, &Stamp)| message.err != 0 || stamp.timestamp_ms == TAKEN;
        if !self.messages.iter().zip(&self.stamps).all(stamped) {
            return Err(Refused { at: 0, code: Code::BAD_MESSAGE });
        }
        if usize::try_from(sent) == Ok(count) {
            return Ok(());
        }
        match self.messages.iter().position(|message| message.err != 0) {
            Some(at) => Err(Refused { at, code: Code(self.messages[at].err) }),
            None => Ok(()),
        }
    }
}

fn memory(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}

/// Puts the interceptor in place, where the layout is known; true when it is.
///
/// # Safety
/// `rk` is a live handle.
pub(super) unsafe fn add_interceptor(rk: *mut ffi::rd_kafka_t) -> bool {
    if !layout::is_known() {
        return false;
    }
    // SAFETY: promised by the caller; the function lives for ever.
    let code = unsafe { ffi::rd_kafka_interceptor_add_on_send(rk, NAME, Some(on_send), ptr::null_mut()) };
    code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

const NAME: *const c_char = c"kappa".as_ptr();

/// Called for every message that was made, before it is queued, on the thread that produces it.
unsafe extern "C" fn on_send(
    _rk: *mut ffi::rd_kafka_t,
    message: *mut ffi::rd_kafka_message_t,
    _opaque: *mut c_void,
) -> ffi::rd_kafka_resp_err_t {
    let message = message.cast::<InnerMessage>();
    // SAFETY: a producer's message, made just now and not yet seen by any other thread, in the layout that was
    // looked at before this function was put in place. An odd private pointer is one behind a stamp of
    // the parcel whose call this thread is in.
    unsafe {
        let private = (*message).message.private;
        if is_stamp(private) {
            let stamp = private.cast::<u8>().wrapping_sub(1).cast::<Stamp>();
            let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            if ffi::rd_kafka_message_timestamp(message.cast(), &mut kind) == (*message).timestamp_ms {
                (*message).timestamp_ms = std::mem::replace(&mut (*stamp).timestamp_ms, TAKEN);
            }
            (*message).message.private = (*stamp).slot;
        }
    }
    ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Whether a private pointer is a stamp's: a message that was refused is told with it.
pub(super) fn is_stamp(private: *mut c_void) -> bool {
    private.addr() & 1 == 1
}
