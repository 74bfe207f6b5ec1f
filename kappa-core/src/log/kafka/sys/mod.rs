//! Thin safe wrappers over librdkafka's C interface: the one place of this crate with `unsafe`.
//!
//! What is called here is decided outside; these types only see to it that pointers live long enough
//! and are given back once.
//!
//! **Invariants:**
//! - A [`Client`] outlives everything made from it: queues, topic handles and message batches each
//!   hold an `Arc` of it, and give their pointer back before they let go of it.
//! - `rd_kafka_destroy` blocks, so it runs on a thread of its own, whoever drops the last `Arc`.
//! - Error codes travel as `i32`, never as the bindings' Rust enum: a broker may send a code that the
//!   enum does not have.
#![allow(unsafe_code)]

mod admin;
mod client;
mod conf;
mod consume;
mod error;
mod layout;
mod list;
mod message;
mod metadata;
mod produce;
mod queue;
mod stamped;

pub(super) use admin::{Admin, ListedTopic, OffsetQuery};
pub(super) use client::{Client, Hooks};
pub(super) use conf::{Conf, Kind};
pub(super) use consume::{GroupPlace, assignment_lost, is_cooperative};
pub(super) use error::{Code, RawError};
pub(super) use list::{PartitionList, PartitionResult};
pub(super) use message::{Batch, MessageHead};
pub(super) use produce::{Outgoing, Topic};
pub(super) use queue::{Event, EventKind, Queue};
pub(super) use stamped::{Parcel, Plain};

use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

/// A C string of a name. Kafka's names hold no NUL; one that does is changed into a name that no
/// topic or group has.
fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default())
}

/// The text behind a C string that librdkafka owns; empty for null.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives for the call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises a terminated string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Milliseconds as librdkafka takes them, rounded up: the last fraction of a wait would otherwise be spent spinning. Never
/// negative: that would mean "for ever".
fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}
