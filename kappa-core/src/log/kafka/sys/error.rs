//! Error codes and error objects.

use super::text_of;
use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as E;
use std::ffi::{c_char, c_int};
use std::fmt;

// The bindings return these as a Rust enum; a code the enum lacks would be undefined behaviour.
unsafe extern "C" {
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const ffi::rd_kafka_error_t) -> c_int;
    #[link_name = "rd_kafka_err2name"]
    fn err2name(code: c_int) -> *const c_char;
    #[link_name = "rd_kafka_err2str"]
    fn err2str(code: c_int) -> *const c_char;
}

/// One of Kafka's or librdkafka's error codes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Code(pub i32);

macro_rules! codes {
    ($($(#[$attribute:meta])* $name:ident = $code:ident),* $(,)?) => {
        impl Code {
            $($(#[$attribute])* pub(in super::super) const $name: Code = Code(E::$code as i32);)*
        }
    };
}

codes! {
    NONE = RD_KAFKA_RESP_ERR_NO_ERROR,
    PARTITION_EOF = RD_KAFKA_RESP_ERR__PARTITION_EOF,
    AUTO_OFFSET_RESET = RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
    LOCAL_UNKNOWN_TOPIC = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
    LOCAL_UNKNOWN_PARTITION = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
    LOCAL_NO_ENTRY = RD_KAFKA_RESP_ERR__NOENT,
    LOCAL_TIMED_OUT = RD_KAFKA_RESP_ERR__TIMED_OUT,
    LOCAL_TIMED_OUT_QUEUE = RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
    LOCAL_TRANSPORT = RD_KAFKA_RESP_ERR__TRANSPORT,
    LOCAL_RESOLVE = RD_KAFKA_RESP_ERR__RESOLVE,
    LOCAL_ALL_BROKERS_DOWN = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
    LOCAL_WAIT_COORD = RD_KAFKA_RESP_ERR__WAIT_COORD,
    LOCAL_WAIT_CACHE = RD_KAFKA_RESP_ERR__WAIT_CACHE,
    LOCAL_IN_PROGRESS = RD_KAFKA_RESP_ERR__IN_PROGRESS,
    LOCAL_PREV_IN_PROGRESS = RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
    LOCAL_CONFLICT = RD_KAFKA_RESP_ERR__CONFLICT,
    LOCAL_RETRY = RD_KAFKA_RESP_ERR__RETRY,
    LOCAL_QUEUE_FULL = RD_KAFKA_RESP_ERR__QUEUE_FULL,
    LOCAL_STATE = RD_KAFKA_RESP_ERR__STATE,
    LOCAL_FATAL = RD_KAFKA_RESP_ERR__FATAL,
    LOCAL_FENCED = RD_KAFKA_RESP_ERR__FENCED,
    LOCAL_AUTHENTICATION = RD_KAFKA_RESP_ERR__AUTHENTICATION,
    LOCAL_SSL = RD_KAFKA_RESP_ERR__SSL,
    LOCAL_ASSIGN_PARTITIONS = RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
    LOCAL_REVOKE_PARTITIONS = RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS,
    LOCAL_INVALID_ARG = RD_KAFKA_RESP_ERR__INVALID_ARG,
    LOCAL_PURGE_QUEUE = RD_KAFKA_RESP_ERR__PURGE_QUEUE,
    LOCAL_PURGE_INFLIGHT = RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
    BAD_MESSAGE = RD_KAFKA_RESP_ERR__BAD_MSG,
    BAD_COMPRESSION = RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
    CORRUPT_MESSAGE = RD_KAFKA_RESP_ERR_INVALID_MSG,
    OFFSET_OUT_OF_RANGE = RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
    UNKNOWN_TOPIC_OR_PARTITION = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    UNKNOWN_TOPIC_ID = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID,
    FENCED_LEADER_EPOCH = RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    UNKNOWN_LEADER_EPOCH = RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    LEADER_NOT_AVAILABLE = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    NOT_LEADER = RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    REQUEST_TIMED_OUT = RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    BROKER_NOT_AVAILABLE = RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    NETWORK_EXCEPTION = RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
    COORDINATOR_LOAD_IN_PROGRESS = RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE = RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    NOT_COORDINATOR = RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    NOT_CONTROLLER = RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
    NOT_ENOUGH_REPLICAS = RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    CONCURRENT_TRANSACTIONS = RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
    REBALANCE_IN_PROGRESS = RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
    UNSTABLE_OFFSET_COMMIT = RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
    MESSAGE_TOO_LARGE = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
    RECORD_LIST_TOO_LARGE = RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
    ILLEGAL_GENERATION = RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
    UNKNOWN_MEMBER_ID = RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
    STALE_MEMBER_EPOCH = RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH,
    FENCED_MEMBER_EPOCH = RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH,
    FENCED_INSTANCE_ID = RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
    INVALID_PRODUCER_EPOCH = RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    INVALID_PRODUCER_ID_MAPPING = RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
    #[cfg(test)]
    INVALID_TXN_STATE = RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
    TRANSACTION_COORDINATOR_FENCED = RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED,
    PRODUCER_FENCED = RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    #[cfg(test)]
    INVALID_TRANSACTION_TIMEOUT = RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
    TOPIC_ALREADY_EXISTS = RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS,
    INVALID_TOPIC = RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
    INVALID_CONFIG = RD_KAFKA_RESP_ERR_INVALID_CONFIG,
    INVALID_PARTITIONS = RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
    INVALID_REPLICATION_FACTOR = RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
    GROUP_ID_NOT_FOUND = RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND,
    NON_EMPTY_GROUP = RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP,
    TOPIC_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    GROUP_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
    CLUSTER_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    SASL_AUTHENTICATION_FAILED = RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
}

impl Code {
    /// Whether this is success.
    pub(in super::super) fn is_ok(self) -> bool {
        self == Self::NONE
    }

    /// Kafka's name of the code, for example `UNKNOWN_MEMBER_ID`; librdkafka's own begin with `_`.
    pub(in super::super) fn name(self) -> String {
        // SAFETY: takes any code; returns a static string.
        unsafe { text_of(err2name(self.0)) }
    }

    /// Kafka's description of the code.
    pub(in super::super) fn describe(self) -> String {
        // SAFETY: takes any code; returns a static or thread-local string.
        unsafe { text_of(err2str(self.0)) }
    }

    /// `Err` with this code's description unless it is success.
    pub(in super::super) fn ok(self) -> Result<(), RawError> {
        if self.is_ok() { Ok(()) } else { Err(RawError::of(self, self.describe())) }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

/// An error as librdkafka reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct RawError {
    pub(in super::super) code: Code,
    pub(in super::super) text: String,
    pub(in super::super) fatal: bool,
    pub(in super::super) retriable: bool,
    pub(in super::super) requires_abort: bool,
}

impl RawError {
    /// An error of which only the code and a text are known.
    pub(in super::super) fn of(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), fatal: false, retriable: false, requires_abort: false }
    }

    /// Takes an error object apart and destroys it; null is success.
    ///
    /// # Safety
    /// `error` is null or an error object that the caller owns.
    pub(super) unsafe fn take(error: *mut ffi::rd_kafka_error_t) -> Result<(), RawError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: owned by the caller and not null; used once, then destroyed.
        unsafe {
            let copy = Self::copy(error);
            ffi::rd_kafka_error_destroy(error);
            Err(copy)
        }
    }

    /// Copies an error object that librdkafka keeps; null and "no error" are success.
    ///
    /// # Safety
    /// `error` is null or points to a live error object.
    pub(super) unsafe fn check(error: *const ffi::rd_kafka_error_t) -> Result<(), RawError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null and alive.
        let copy = unsafe { Self::copy(error) };
        if copy.code.is_ok() { Ok(()) } else { Err(copy) }
    }

    /// # Safety
    /// `error` points to a live error object.
    unsafe fn copy(error: *const ffi::rd_kafka_error_t) -> Self {
        // SAFETY: the accessors read a live object and keep nothing.
        unsafe {
            Self {
                code: Code(error_code(error)),
                text: text_of(ffi::rd_kafka_error_string(error)),
                fatal: ffi::rd_kafka_error_is_fatal(error) != 0,
                retriable: ffi::rd_kafka_error_is_retriable(error) != 0,
                requires_abort: ffi::rd_kafka_error_txn_requires_abort(error) != 0,
            }
        }
    }

    /// Code and text in one line.
    pub(in super::super) fn reason(&self) -> String {
        format!("{}: {}", self.code.name(), self.text)
    }
}
