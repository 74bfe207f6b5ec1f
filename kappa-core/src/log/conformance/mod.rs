//! The suite that holds every implementation of the log seam to its contract.
//!
//! An implementation gives a [`Harness`] and runs each case as a test of its own:
//!
//! ```ignore
//! kappa_core::log_conformance!(MyHarness::new());
//! ```
//!
//! Each [`Case`] names the clauses of the contract that it covers. The cases make no assumption about
//! a log that Kafka does not keep: topics and groups have names of their own, every wait is for a
//! condition with a deadline, sessions are as short as the harness allows. They may run in parallel
//! against one log.

#![allow(clippy::unwrap_used, reason = "a case fails by panicking")]

mod appending;
mod kit;
mod members;
mod membership;
mod offsets;
mod reading;
mod topics;
mod transactional_reading;
mod transactions;

use super::SharedLog;
use std::time::Duration;

/// What the cases need of an implementation's surroundings.
pub trait Harness: Sync {
    /// The log under test.
    fn log(&self) -> SharedLog;

    /// The shortest session time-out that the log accepts.
    fn smallest_session(&self) -> Duration {
        Duration::from_secs(6)
    }

    /// Milliseconds from any fixed point, by the clock that the log's time-outs follow.
    fn now_ms(&self) -> i64;

    /// Lets time pass: sleeps, or moves a manual clock.
    fn pause(&self, time: Duration);

    /// Compacts a topic now, if the log can be told to. `false`: it can't.
    fn compact(&self, _topic: &str) -> bool {
        false
    }

    /// A case is skipped for want of a capability. Says so aloud by default.
    fn skip(&self, reason: &str) {
        eprintln!("conformance case skipped: {reason}");
    }
}

/// One case of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The case's name: a sentence about the log.
    pub name: &'static str,
    /// The clauses of the contract that it covers.
    pub clauses: &'static [&'static str],
    /// Runs it; a failure is a panic.
    pub run: fn(&dyn Harness),
}

/// Runs the case of that name.
pub fn run(name: &str, harness: &dyn Harness) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case {name}"));
    (case.run)(harness);
}

/// Makes the list of cases, and the macro that makes a test of each.
macro_rules! cases {
    (($d:tt) $($module:ident { $($name:ident [$($clause:ident)*])* })*) => {
        /// All cases.
        pub const CASES: &[Case] = &[$($(Case {
            name: stringify!($name),
            clauses: &[$(stringify!($clause)),*],
            run: $module::$name,
        },)*)*];

        /// Makes a `#[test]` of every conformance case; the argument is an expression that makes a harness.
        #[macro_export]
        macro_rules! log_conformance {
            ($d harness:expr) => {
                $($(
                    #[test]
                    fn $name() {
                        $crate::log::conformance::run(stringify!($name), &$d harness);
                    }
                )*)*
            };
        }
    };
}

cases! {
    ($)
    topics {
        created_topic_is_usable_at_once [T1]
        creating_a_topic_again_changes_nothing [T1]
        describing_a_missing_topic_does_not_create_it [T2]
        topics_are_listed_by_prefix_and_sorted [T1]
        topic_settings_and_compaction_are_accepted [T1]
        deleted_topic_is_gone [T2 T5]
        deleting_a_missing_topic_is_an_error [T5]
        offsets_of_an_empty_partition_are_equal [T3]
        offsets_are_answered_in_the_order_asked [T3]
        offsets_of_what_is_missing_are_an_error_that_names_it [T3]
        latest_offset_depends_on_isolation [T3 F4]
        offsets_by_time_are_the_first_at_or_after [T3]
        deleting_records_moves_the_log_start [T4]
        deleting_a_group_forgets_its_offsets [G2]
        deleting_a_group_that_never_was_is_fine [G2]
    }
    reading {
        records_come_in_order_and_once [F1]
        nulls_empties_headers_and_timestamps_come_back_as_written [F1 A2]
        partitions_are_told_apart_by_token [F1 F7]
        many_records_over_many_partitions_arrive_whole [F1 A2]
        large_records_arrive_whole [F1 A1]
        poll_keeps_to_max_records [F6]
        poll_returns_when_something_comes_and_else_in_time [F6]
        end_is_told_once_and_again_after_newer_records [F4]
        reading_starts_where_it_is_told [F5 F4]
        offset_below_the_log_start_is_truncated [F5 T4]
        offset_beyond_the_end_is_an_error [F5]
        missing_topic_and_partition_fail_alone [F5 F10]
        truncation_under_a_reader_is_never_silent [F5 F8]
        assigning_adds_to_what_is_assigned [F7]
        unassigned_token_is_silent_and_may_be_used_again [F7]
        unassigning_with_records_fetched_ahead_drops_them [F7]
        pausing_stops_delivery_and_loses_nothing [F8]
        batch_outlives_its_reader_and_its_topic [F9]
        compacted_topic_is_read_with_gaps [F1 F2 F5]
    }
    transactional_reading {
        aborted_records_are_never_seen [F2 F3 A4]
        reader_stalls_at_an_open_transaction_until_it_commits [F2 F4]
        reader_stalls_at_an_open_transaction_until_it_aborts [F2 F4]
        transactions_of_two_appenders_are_decided_apart [F2 A4]
        read_uncommitted_sees_all_but_control_records [F2 F3]
        end_counts_markers_and_stops_at_open_transactions [F2 F4]
        end_is_told_again_when_only_an_abort_moved_it [F2 F4]
        offset_of_a_marker_is_a_fine_start [F3 F5]
        latest_under_read_committed_is_the_last_stable_offset [F2 F5]
        restore_ends_at_the_high_watermark [F4 A4]
    }
    appending {
        append_copies_the_batch [A1 A2]
        key_and_value_may_lie_anywhere_in_the_arena [A1]
        flush_tells_positions_since_the_last_flush [A8 A10]
        transaction_calls_need_a_transactional_id [A10]
        transaction_calls_keep_their_order [A3]
        looking_up_a_missing_topic_is_an_error [A6 T2]
        record_for_a_missing_partition_is_refused [A6 A10]
        record_too_large_is_refused [A10]
        record_too_large_keeps_its_transaction_from_committing [A6]
        flush_and_commit_do_not_wait_for_linger [A11 A10]
        closing_leaves_what_was_flushed [A10]
    }
    transactions {
        partitions_and_topics_commit_as_one [A4 A6]
        commit_tells_positions_of_its_own_records [A8]
        empty_transaction_leaves_no_trace [A9]
        appender_goes_on_after_an_abort [A4 A5]
        newer_appender_fences_an_older_one [A3]
        init_ends_what_an_earlier_appender_left_open [A3 A7 F2]
        appenders_with_ids_of_their_own_do_not_meet [A3]
        transaction_open_too_long_is_aborted_by_the_log [A12]
        closing_aborts_the_open_transaction [A4]
        offsets_become_visible_with_the_records [A4 G1]
        offsets_alone_make_a_transaction [A4]
        undecided_offsets_are_unstable_never_old [G1 G4]
        offsets_of_an_owner_that_is_gone_are_settled_by_its_id [A3 A7 G1]
    }
    offsets {
        plain_commits_are_kept_with_their_metadata [G2]
        offsets_come_in_the_order_asked_and_none_where_none [G2]
        group_that_never_was_has_no_offsets [G2 G4]
        groups_do_not_meet [G2]
        reading_offsets_does_not_join_the_group [G3]
    }
    membership {
        lone_member_gets_all_tasks [M1]
        group_grows_and_shrinks_by_the_minimum [M1 M2]
        members_beyond_the_tasks_stay_idle [M1]
        revoked_task_is_given_only_after_the_acknowledgement [M2]
        member_may_commit_until_it_acknowledges [M2 M4]
        older_generation_is_refused_at_send_offsets_and_commit [A5 M4]
        plain_commit_of_an_older_generation_is_refused [M4]
        unknown_member_is_refused [A5 M4]
        leaving_hands_tasks_over_at_once [M5]
        woken_member_learns_of_its_loss_before_all_else [M3 M4 M8]
        woken_members_transaction_is_refused [A5 M4]
        member_that_polls_keeps_its_tasks [M8 M2]
        static_member_comes_back_to_its_tasks [M5]
        static_seat_is_given_away_after_its_session [M5]
        second_process_with_an_instance_id_fences_the_first [M6]
        missing_task_topic_is_an_error [M7]
        many_members_come_and_go_and_no_task_is_doubled [M1 M2]
    }
}
