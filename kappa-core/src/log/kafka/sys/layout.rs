//! What librdkafka keeps of a message behind the part it shows.
//!
//! Two things of a record have no cheap public call (they cost 150 ns together): whether a fetched
//! message has headers (the call parses them into a list of their own, even where there are none), and the timestamp
//! of a message that is produced in a batch (the batch call has no place for it). Both are fields beside the public
//! ones, in a structure that is stable within one release.
//!
//! **Invariants:** nothing here is looked at unless the library that runs is exactly the release whose layout is
//! written down ([`is_known`]); with any other the public calls do the same work, slower. The conformance suite reads
//! back timestamps and headers of every kind, so a wrong layout does not pass it.

use super::message::RawMessage;
use rdkafka::bindings as ffi;
use std::ffi::{c_int, c_void};

/// `rd_kafka_msg_t` of librdkafka 2.12.1, up to what a consumer's message has last.
#[repr(C)]
pub(super) struct InnerMessage {
    pub(super) message: RawMessage,
    /// The neighbours in a queue.
    link: [*mut c_void; 2],
    flags: c_int,
    timestamp_type: c_int,
    pub(super) timestamp_ms: i64,
    /// The headers as a list, where there is one.
    headers: *mut c_void,
    status: c_int,
    broker: i32,
    // Of a consumer's message; a producer's has other things here.
    header_bytes: i32,
    header_start: *const u8,
}

/// `RD_KAFKA_MSG_F_PRODUCER`.
const PRODUCER: c_int = 0x4_0000;
const RELEASE: c_int = 0x020c_01ff;

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(std::mem::offset_of!(InnerMessage, message) == 0);
    assert!(std::mem::offset_of!(InnerMessage, timestamp_ms) == 96);
    assert!(std::mem::offset_of!(InnerMessage, header_bytes) == 120);
};

/// Whether the library that runs has the layout written down here.
pub(super) fn is_known() -> bool {
    // SAFETY: no arguments, a constant.
    cfg!(target_pointer_width = "64") && unsafe { ffi::rd_kafka_version() } == RELEASE
}

impl InnerMessage {
    /// Whether a message surely has no headers: there is no list of them, and the bytes where the log has them
    /// begin with the number zero (or there are none, in a message of an old format).
    pub(super) fn has_no_headers(&self) -> bool {
        if !self.headers.is_null() || self.flags & PRODUCER != 0 {
            return false;
        }
        // SAFETY: a fetched message's header bytes are as many as it says, and live as long as it does.
        self.header_bytes <= 0 || (!self.header_start.is_null() && unsafe { *self.header_start } == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow way works too, so nobody would notice.
    #[test]
    fn the_release_that_is_built_is_the_one_written_down() {
        assert!(
            is_known(),
            "librdkafka is another release: compare its rd_kafka_msg_t with InnerMessage, then set RELEASE"
        );
    }
}
