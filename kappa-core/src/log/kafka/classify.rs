//! What Kafka's and librdkafka's error codes mean to the caller: the one place where they are told apart.

use super::sys::{Code, RawError};
use crate::log::LogError;
use std::time::Duration;

/// What was being done, as far as it changes what an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum During {
    /// A request whose repetition does no harm.
    Request,
    /// Work inside an open transaction: begin, append, send offsets.
    Transaction,
    /// The end of a transaction: commit or abort.
    Ending,
    /// What a group's member does in its own name.
    Member,
}

/// One error of librdkafka's in the seam's words.
pub(super) fn classify(during: During, operation: &'static str, deadline: Duration, error: &RawError) -> LogError {
    let code = error.code;
    let reason = error.reason();
    if is_fenced_producer(code) {
        return LogError::ProducerFenced { operation, reason };
    }
    if is_unauthorized(code) {
        return LogError::Unauthorized { operation, reason };
    }
    if code == Code::FENCED_INSTANCE_ID && during == During::Member {
        return LogError::InstanceFenced { operation, reason };
    }
    if is_stale_member(code) {
        return LogError::StaleMember { operation, reason };
    }
    if error.requires_abort && during != During::Request {
        return LogError::AbortRequired { operation, reason };
    }
    if during == During::Ending && (is_timeout(code) || error.retriable || is_transient(code)) {
        return LogError::OutcomeUnknown { operation, reason };
    }
    if is_timeout(code) {
        return match during {
            During::Transaction => LogError::AbortRequired { operation, reason },
            _ => LogError::Timeout { operation, deadline },
        };
    }
    if !error.fatal && (error.retriable || is_transient(code)) {
        return match during {
            During::Transaction => LogError::AbortRequired { operation, reason },
            _ => LogError::Unavailable { operation, reason },
        };
    }
    if code == Code::LOCAL_STATE && !error.fatal {
        return LogError::Misuse { operation, reason };
    }
    if error.fatal && during == During::Ending {
        return LogError::OutcomeUnknown { operation, reason };
    }
    LogError::Fatal { operation, reason }
}

/// As [`classify`], for an error that concerns one topic.
pub(super) fn classify_topic(operation: &'static str, deadline: Duration, topic: &str, error: &RawError) -> LogError {
    match error.code {
        code if is_missing_topic(code) => LogError::TopicMissing { topic: topic.into() },
        Code::TOPIC_ALREADY_EXISTS => LogError::TopicExists { topic: topic.into() },
        Code::INVALID_CONFIG
        | Code::INVALID_PARTITIONS
        | Code::INVALID_REPLICATION_FACTOR
        | Code::INVALID_TOPIC
        | Code::LOCAL_INVALID_ARG => LogError::Setting { property: format!("topic {topic}"), reason: error.reason() },
        _ => classify(During::Request, operation, deadline, error),
    }
}

/// A topic that is not there.
pub(super) fn is_missing_topic(code: Code) -> bool {
    [Code::UNKNOWN_TOPIC_OR_PARTITION, Code::UNKNOWN_TOPIC_ID, Code::LOCAL_UNKNOWN_TOPIC].contains(&code)
}

/// Another client with the same transactional id has taken over, or the log ended this one's transaction.
fn is_fenced_producer(code: Code) -> bool {
    [
        Code::LOCAL_FENCED,
        Code::PRODUCER_FENCED,
        Code::INVALID_PRODUCER_EPOCH,
        Code::INVALID_PRODUCER_ID_MAPPING,
        Code::TRANSACTION_COORDINATOR_FENCED,
    ]
    .contains(&code)
}

/// The group has moved on.
fn is_stale_member(code: Code) -> bool {
    [
        Code::UNKNOWN_MEMBER_ID,
        Code::ILLEGAL_GENERATION,
        Code::REBALANCE_IN_PROGRESS,
        Code::FENCED_INSTANCE_ID,
        Code::STALE_MEMBER_EPOCH,
        Code::FENCED_MEMBER_EPOCH,
    ]
    .contains(&code)
}

/// Credentials or rights.
pub(super) fn is_unauthorized(code: Code) -> bool {
    [
        Code::LOCAL_AUTHENTICATION,
        Code::LOCAL_SSL,
        Code::SASL_AUTHENTICATION_FAILED,
        Code::TOPIC_AUTHORIZATION_FAILED,
        Code::GROUP_AUTHORIZATION_FAILED,
        Code::CLUSTER_AUTHORIZATION_FAILED,
        Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ]
    .contains(&code)
}

/// The brokers take nothing from this client: wrong credentials or a failed handshake.
pub(super) fn is_refused_client(code: Code) -> bool {
    [Code::LOCAL_AUTHENTICATION, Code::LOCAL_SSL, Code::SASL_AUTHENTICATION_FAILED].contains(&code)
}

fn is_timeout(code: Code) -> bool {
    [Code::LOCAL_TIMED_OUT, Code::LOCAL_TIMED_OUT_QUEUE, Code::REQUEST_TIMED_OUT].contains(&code)
}

/// The cluster is not ready or can't be reached.
pub(super) fn is_transient(code: Code) -> bool {
    [
        Code::LOCAL_TRANSPORT,
        Code::LOCAL_RESOLVE,
        Code::LOCAL_ALL_BROKERS_DOWN,
        Code::LOCAL_WAIT_COORD,
        Code::LOCAL_WAIT_CACHE,
        Code::LOCAL_IN_PROGRESS,
        Code::LOCAL_PREV_IN_PROGRESS,
        Code::LOCAL_CONFLICT,
        Code::LOCAL_RETRY,
        Code::LEADER_NOT_AVAILABLE,
        Code::FENCED_LEADER_EPOCH,
        Code::UNKNOWN_LEADER_EPOCH,
        Code::NOT_LEADER,
        Code::BROKER_NOT_AVAILABLE,
        Code::NETWORK_EXCEPTION,
        Code::COORDINATOR_LOAD_IN_PROGRESS,
        Code::COORDINATOR_NOT_AVAILABLE,
        Code::NOT_COORDINATOR,
        Code::NOT_CONTROLLER,
        Code::NOT_ENOUGH_REPLICAS,
        Code::CONCURRENT_TRANSACTIONS,
        Code::UNSTABLE_OFFSET_COMMIT,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::During::{Ending, Member, Request, Transaction};
    use super::*;

    /// Each row: what was being done, the code, fatal, retriable, requires abort; the seam's kind of error.
    #[test]
    fn the_table_of_codes() {
        let (no, yes) = (false, true);
        let table: &[(During, Code, bool, bool, bool, &str)] = &[
            (Transaction, Code::LOCAL_FENCED, yes, no, no, "producer_fenced"),
            (Ending, Code::PRODUCER_FENCED, yes, no, no, "producer_fenced"),
            (Ending, Code::INVALID_PRODUCER_EPOCH, no, no, yes, "producer_fenced"),
            (Request, Code::INVALID_PRODUCER_ID_MAPPING, yes, no, no, "producer_fenced"),
            (Transaction, Code::UNKNOWN_MEMBER_ID, no, no, yes, "stale_member"),
            (Transaction, Code::ILLEGAL_GENERATION, no, no, yes, "stale_member"),
            (Transaction, Code::FENCED_INSTANCE_ID, no, no, yes, "stale_member"),
            (Ending, Code::UNKNOWN_MEMBER_ID, no, no, yes, "stale_member"),
            (Member, Code::UNKNOWN_MEMBER_ID, no, no, no, "stale_member"),
            (Member, Code::FENCED_INSTANCE_ID, yes, no, no, "instance_fenced"),
            (Member, Code::REBALANCE_IN_PROGRESS, no, yes, no, "stale_member"),
            (Member, Code::NOT_COORDINATOR, no, yes, no, "unavailable"),
            (Ending, Code::LOCAL_TIMED_OUT, no, yes, no, "outcome_unknown"),
            (Ending, Code::LOCAL_CONFLICT, no, yes, no, "outcome_unknown"),
            (Ending, Code::LOCAL_TRANSPORT, no, no, no, "outcome_unknown"),
            (Ending, Code::LOCAL_TIMED_OUT, no, no, yes, "abort_required"),
            (Transaction, Code::LOCAL_TIMED_OUT, no, yes, no, "abort_required"),
            (Transaction, Code::MESSAGE_TOO_LARGE, no, no, yes, "abort_required"),
            (Request, Code::LOCAL_TIMED_OUT, no, yes, no, "timeout"),
            (Request, Code::COORDINATOR_LOAD_IN_PROGRESS, no, no, no, "unavailable"),
            (Request, Code::FENCED_LEADER_EPOCH, no, no, no, "unavailable"),
            (Request, Code::UNKNOWN_LEADER_EPOCH, no, no, no, "unavailable"),
            (Request, Code::LOCAL_AUTHENTICATION, no, no, no, "unauthorized"),
            (Transaction, Code::TOPIC_AUTHORIZATION_FAILED, no, no, yes, "unauthorized"),
            (Ending, Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, yes, no, no, "unauthorized"),
            (Ending, Code::LOCAL_STATE, no, no, no, "misuse"),
            (Ending, Code::INVALID_TXN_STATE, yes, no, no, "outcome_unknown"),
            (Request, Code::INVALID_TRANSACTION_TIMEOUT, yes, no, no, "fatal"),
            (Request, Code(31_999), no, no, no, "fatal"),
        ];
        for &(during, code, fatal, retriable, requires_abort, expected) in table {
            let error = RawError { code, text: String::new(), fatal, retriable, requires_abort };
            let seen = classify(during, "test", Duration::from_secs(1), &error);
            assert_eq!(seen.kind(), expected, "{during:?} {code:?}");
        }
    }

    #[test]
    fn topics_are_named() {
        let kind = |code| {
            let error = classify_topic("test", Duration::from_secs(1), "orders", &RawError::of(code, ""));
            assert!(code == Code::NOT_CONTROLLER || error.to_string().contains("orders"));
            error.kind()
        };
        assert_eq!(kind(Code::UNKNOWN_TOPIC_OR_PARTITION), "topic_missing");
        assert_eq!(kind(Code::LOCAL_UNKNOWN_TOPIC), "topic_missing");
        assert_eq!(kind(Code::TOPIC_ALREADY_EXISTS), "topic_exists");
        assert_eq!(kind(Code::INVALID_CONFIG), "setting");
        assert_eq!(kind(Code::NOT_CONTROLLER), "unavailable");
    }
}
