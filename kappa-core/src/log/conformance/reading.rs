//! Reading what is simply there: F1, F4–F10.

use super::Harness;
use super::kit::{DEADLINE, Kit, Reader, SLICE, at};
use crate::log::*;
use std::time::Duration;

const COMMITTED: Isolation = Isolation::ReadCommitted;

/// Key, value, timestamp, headers.
type Written<'w> = (Option<&'w [u8]>, Option<&'w [u8]>, i64, Headers);

pub(super) fn records_come_in_order_and_once(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("order", 1);
    let mut writer = kit.plain();
    for batch in [["a", "b"], ["c", "d"], ["e", "f"]] {
        writer.put_now(&topic, 0, &batch);
    }
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 6);
    reader.linger(Duration::from_millis(300));
    assert_eq!(reader.values(), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(reader.offsets(), [0, 1, 2, 3, 4, 5]);
}

pub(super) fn nulls_empties_headers_and_timestamps_come_back_as_written(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("bytes", 1);
    let headers = Headers::empty().with("h", Some(b"1")).with("h", None).with("e", Some(b"")).with("h", Some(b"2"));
    let binary: Vec<u8> = (0..=255).collect();
    let cases: [Written<'_>; 5] = [
        (None, None, 1, Headers::empty()),
        (Some(b""), Some(b""), 2, Headers::empty()),
        (None, Some(&binary), 1_700_000_000_123, headers.clone()),
        (Some(&binary), None, 5, Headers::empty()),
        (Some(b"k"), Some(b"v"), 4, headers),
    ];
    let mut writer = kit.plain();
    let handle = writer.handle(&topic);
    for (key, value, timestamp_ms, headers) in &cases {
        writer.batch.push(handle, 0, *timestamp_ms, *key, *value, headers.clone());
    }
    writer.append.append(&writer.batch).unwrap();
    writer.append.flush(DEADLINE).unwrap();
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_count(5);
    for (seen, (key, value, timestamp_ms, headers)) in reader.seen.iter().zip(&cases) {
        assert_eq!(seen.key.as_deref(), *key);
        assert_eq!(seen.value.as_deref(), *value);
        assert_eq!(seen.timestamp_ms, *timestamp_ms);
        assert_eq!(seen.headers, *headers);
    }
}

pub(super) fn partitions_are_told_apart_by_token(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (first, second) = (kit.topic("tokens-a", 2), kit.topic("tokens-b", 1));
    let mut writer = kit.plain();
    writer.put_now(&first, 0, &["a0"]);
    writer.put_now(&first, 1, &["a1", "a1"]);
    writer.put_now(&second, 0, &["b0", "b0", "b0"]);
    let mut reader = kit.reader(COMMITTED);
    reader.assign(&first, 0, Start::Earliest, 70);
    reader.assign(&first, 1, Start::Earliest, 7);
    reader.assign(&second, 0, Start::Earliest, 7000);
    reader.until_count(6);
    for (token, value, count) in [(70, "a0", 1), (7, "a1", 2), (7000, "b0", 3)] {
        assert_eq!(reader.values_of(|seen| seen.token == token), vec![value; count]);
    }
}

pub(super) fn many_records_over_many_partitions_arrive_whole(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("many", 4);
    let mut writer = kit.plain();
    let handle = writer.handle(&topic);
    let (batches, per_batch) = (10_u32, 2_000_u32);
    for batch in 0..batches {
        writer.batch.clear();
        for record in 0..per_batch {
            let number = batch * per_batch + record;
            let (partition, value) = ((number % 4) as i32, number.to_be_bytes());
            writer.batch.push(handle, partition, i64::from(number), Some(&value), Some(&value), Headers::empty());
        }
        writer.append.append(&writer.batch).unwrap();
    }
    writer.append.flush(DEADLINE).unwrap();
    let mut reader = kit.reader(COMMITTED);
    for partition in 0..4 {
        reader.assign(&topic, partition, Start::Earliest, partition as Token);
    }
    reader.until_count((batches * per_batch) as usize);
    for token in 0..4_u32 {
        let seen = reader.seen.iter().filter(|seen| seen.token == token);
        for (index, seen) in seen.enumerate() {
            let expected = (index as u32 * 4 + token).to_be_bytes();
            assert_eq!((seen.offset, seen.value.as_deref()), (index as i64, Some(&expected[..])));
        }
    }
}

pub(super) fn large_records_arrive_whole(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("large", 1);
    let value = vec![b'x'; 700_000];
    let mut writer = kit.plain();
    let handle = writer.handle(&topic);
    for _ in 0..3 {
        writer.batch.push(handle, 0, 1, None, Some(&value), Headers::empty());
    }
    writer.append.append(&writer.batch).unwrap();
    writer.append.flush(DEADLINE).unwrap();
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_count(3);
    assert!(reader.seen.iter().all(|seen| seen.value.as_deref() == Some(&value[..])));
}

pub(super) fn poll_keeps_to_max_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("max", 1);
    let values: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    kit.plain().put_now(&topic, 0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let mut reader = kit.reader_of(&topic, COMMITTED);
    kit.until("all records, ten at most at a time", || {
        reader.poll(10, SLICE);
        reader.seen.len() >= 25
    });
    assert_eq!(reader.values(), values);
}

pub(super) fn poll_returns_when_something_comes_and_else_in_time(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("prompt", 1);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 0);
    let before_ms = kit.harness.now_ms();
    assert_eq!(reader.poll(10, Duration::from_millis(300)), 0);
    assert!(kit.harness.now_ms() - before_ms < 3_000, "an empty poll keeps its time-out");
    let writing = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            kit.harness.pause(Duration::from_millis(200));
            kit.plain().put_now(&topic, 0, &["late"]);
        });
        let before_ms = kit.harness.now_ms();
        let mut waited_ms = 0;
        while reader.seen.is_empty() && waited_ms < 40_000 {
            reader.poll(10, Duration::from_secs(30));
            waited_ms = kit.harness.now_ms() - before_ms;
            std::thread::yield_now();
        }
        late.join().is_ok().then_some(waited_ms)
    });
    assert_eq!(reader.values(), ["late"]);
    assert!(writing.is_some_and(|waited_ms| waited_ms < 20_000), "poll returned long before its time-out");
}

pub(super) fn end_is_told_once_and_again_after_newer_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("ends", 1);
    let mut writer = kit.plain();
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 0);
    writer.put_now(&topic, 0, &["a"]);
    reader.until_end(0, 1);
    reader.linger(Duration::from_millis(500));
    writer.put_now(&topic, 0, &["b", "c"]);
    reader.until_end(0, 3);
    reader.linger(Duration::from_millis(500));
    let mut ends: Vec<i64> = reader.ends.iter().map(|end| end.offset).collect();
    // Between two records of one batch a reader may find an end, too.
    ends.retain(|offset| *offset != 2);
    assert_eq!(ends, [0, 1, 3]);
}

pub(super) fn reading_starts_where_it_is_told(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("starts", 1);
    let mut writer = kit.plain();
    writer.put_now(&topic, 0, &["a", "b", "c"]);
    let mut reader = kit.reader(COMMITTED);
    reader.assign(&topic, 0, Start::Offset(1), 1);
    reader.until_end(1, 3);
    assert_eq!(reader.values(), ["b", "c"]);
    let mut at_end = kit.reader(COMMITTED);
    at_end.assign(&topic, 0, Start::Offset(3), 0);
    let mut latest = kit.reader(COMMITTED);
    latest.assign(&topic, 0, Start::Latest, 0);
    at_end.until_end(0, 3);
    latest.until_end(0, 3);
    writer.put_now(&topic, 0, &["d"]);
    at_end.until_end(0, 4);
    latest.until_end(0, 4);
    assert_eq!(at_end.values(), ["d"]);
    assert_eq!(latest.values(), ["d"]);
}

pub(super) fn offset_below_the_log_start_is_truncated(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("truncated", 2);
    let mut writer = kit.plain();
    writer.put_now(&topic, 0, &["a", "b", "c", "d"]);
    writer.put_now(&topic, 1, &["other"]);
    kit.topics().delete_records(&[(at(&topic, 0), 2)]).unwrap();
    let mut reader = kit.reader(COMMITTED);
    reader.assign(&topic, 0, Start::Offset(1), 5);
    reader.assign(&topic, 1, Start::Earliest, 6);
    let failure = reader.until_failure();
    assert_eq!(
        failure,
        PartitionFailure { token: 5, error: LogError::Truncated { topic, partition: 0, offset: 1, log_start: 2 } }
    );
    reader.until_end(6, 1);
    assert_eq!(reader.values(), ["other"], "other partitions go on, the failed one gives nothing");
}

pub(super) fn offset_beyond_the_end_is_an_error(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("beyond", 1);
    kit.plain().put_now(&topic, 0, &["a", "b"]);
    let mut reader = kit.reader(COMMITTED);
    reader.assign(&topic, 0, Start::Offset(10), 0);
    let failure = reader.until_failure();
    assert_eq!(failure.error, LogError::BeyondEnd { topic, partition: 0, offset: 10, log_end: 2 });
    assert!(reader.seen.is_empty());
}

pub(super) fn missing_topic_and_partition_fail_alone(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (topic, missing) = (kit.topic("there", 1), kit.unique("missing"));
    kit.plain().put_now(&topic, 0, &["a"]);
    let mut reader = kit.reader(COMMITTED);
    let began_ms = kit.harness.now_ms();
    reader.assign(&missing, 0, Start::Earliest, 1);
    reader.assign(&topic, 9, Start::Earliest, 2);
    reader.assign(&topic, 0, Start::Earliest, 3);
    reader.until("two failures and the end of what is there", |reader| {
        reader.failures.len() == 2 && reader.last_end(3) == Some(1)
    });
    assert!(kit.harness.now_ms() - began_ms < 15_000, "within 10 s, give or take a slow machine");
    let error_of = |reader: &Reader<'_>, token| {
        reader.failures.iter().find(|failure| failure.token == token).map(|failure| failure.error.clone())
    };
    assert_eq!(error_of(&reader, 1), Some(LogError::TopicMissing { topic: missing }));
    assert_eq!(error_of(&reader, 2), Some(LogError::PartitionMissing { topic, partition: 9 }));
    assert_eq!(reader.values(), ["a"]);
}

pub(super) fn truncation_under_a_reader_is_never_silent(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("cut-under", 1);
    let mut writer = kit.plain();
    writer.put_now(&topic, 0, &["a", "b"]);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 2);
    reader.fetch.pause(&[0]).unwrap();
    reader.poll(10, SLICE);
    writer.put_now(&topic, 0, &["c", "d", "e"]);
    kit.topics().delete_records(&[(at(&topic, 0), 4)]).unwrap();
    reader.fetch.resume(&[0]).unwrap();
    reader.until("a failure, or all that was fetched ahead", |reader| {
        !reader.failures.is_empty() || reader.seen.len() == 5
    });
    match reader.failures.first() {
        Some(failure) => {
            let expected = |offset| LogError::Truncated { topic: topic.clone(), partition: 0, offset, log_start: 4 };
            let next = reader.offsets().last().map_or(0, |offset| offset + 1);
            assert_eq!(failure.error, expected(next));
        }
        None => assert_eq!(reader.values(), ["a", "b", "c", "d", "e"]),
    }
}

pub(super) fn assigning_adds_to_what_is_assigned(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("adds", 2);
    let mut writer = kit.plain();
    let mut reader = kit.reader_of(&topic, COMMITTED);
    writer.put_now(&topic, 0, &["a"]);
    reader.until_end(0, 1);
    reader.assign(&topic, 1, Start::Earliest, 1);
    writer.put_now(&topic, 1, &["b"]);
    writer.put_now(&topic, 0, &["c"]);
    reader.until_count(3);
    assert_eq!(reader.values_of(|seen| seen.token == 0), ["a", "c"]);
    assert_eq!(reader.values_of(|seen| seen.token == 1), ["b"]);
}

pub(super) fn unassigned_token_is_silent_and_may_be_used_again(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("unassign", 2);
    let mut writer = kit.plain();
    writer.put_now(&topic, 0, &["a0", "b0", "c0"]);
    writer.put_now(&topic, 1, &["a1", "b1"]);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 3);
    reader.fetch.unassign(&[0, 99]).unwrap();
    writer.put_now(&topic, 0, &["d0"]);
    reader.linger(Duration::from_millis(500));
    assert_eq!(reader.values(), ["a0", "b0", "c0"]);
    reader.seen.clear();
    reader.assign(&topic, 1, Start::Offset(1), 0);
    reader.until_count(1);
    assert_eq!(reader.values(), ["b1"]);
    reader.fetch.unassign(&[0]).unwrap();
    reader.seen.clear();
    reader.assign(&topic, 0, Start::Offset(2), 0);
    reader.until_count(2);
    assert_eq!(reader.values(), ["c0", "d0"], "the same partition again, from where it is told");
}

pub(super) fn unassigning_with_records_fetched_ahead_drops_them(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("ahead", 1);
    let values: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    kit.plain().put_now(&topic, 0, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let mut reader = kit.reader_of(&topic, COMMITTED);
    kit.until("the first records", || reader.poll(3, SLICE) > 0);
    reader.fetch.unassign(&[0]).unwrap();
    reader.seen.clear();
    reader.assign(&topic, 0, Start::Offset(490), 0);
    reader.until_count(10);
    assert_eq!(reader.values(), values[490..]);
}

pub(super) fn pausing_stops_delivery_and_loses_nothing(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("pause", 2);
    let mut writer = kit.plain();
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.assign(&topic, 1, Start::Earliest, 1);
    writer.put_now(&topic, 0, &["a"]);
    reader.until_count(1);
    reader.fetch.pause(&[0]).unwrap();
    reader.poll(10, SLICE);
    let before = reader.values_of(|seen| seen.token == 0).len();
    writer.put_now(&topic, 0, &["b", "c"]);
    writer.put_now(&topic, 1, &["other"]);
    reader.until("the other partition goes on", |reader| reader.seen.iter().any(|seen| seen.token == 1));
    reader.linger(Duration::from_millis(500));
    assert_eq!(reader.values_of(|seen| seen.token == 0).len(), before, "nothing while paused");
    reader.fetch.resume(&[0]).unwrap();
    reader.until_count(4);
    assert_eq!(reader.values_of(|seen| seen.token == 0), ["a", "b", "c"]);
}

pub(super) fn batch_outlives_its_reader_and_its_topic(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("outlives", 1);
    kit.plain().put_now(&topic, 0, &["a", "b"]);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    let mut kept = None;
    kit.until("a batch", || {
        kept = reader.fetch.poll(10, SLICE).unwrap().batch;
        kept.is_some()
    });
    let batch = kept.expect("a batch");
    reader.fetch.poll(10, SLICE).unwrap();
    reader.fetch.unassign(&[0]).unwrap();
    reader.fetch.close(DEADLINE).unwrap();
    kit.topics().delete(&topic).unwrap();
    assert_eq!((batch.record(0).offset, batch.record(0).value), (0, Some(&b"a"[..])));
}

pub(super) fn compacted_topic_is_read_with_gaps(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut spec = super::kit::spec(&kit.unique("compacted"), 1);
    spec.cleanup = CleanupPolicy::Compact;
    kit.topics().create(&spec).unwrap();
    let topic = spec.name;
    let mut writer = kit.transactional(&kit.unique("tx"));
    let handle = writer.handle(&topic);
    for (commit, records) in
        [(true, ["a=1", "b=1", "a=2"]), (false, ["b=9", "c=9", "a=9"]), (true, ["a=3", "c=1", "a="])]
    {
        writer.append.begin().unwrap();
        writer.batch.clear();
        for record in records {
            let (key, value) = record.split_once('=').expect("key=value");
            let value = (!value.is_empty()).then_some(value.as_bytes());
            writer.batch.push(handle, 0, 1, Some(key.as_bytes()), value, Headers::empty());
        }
        writer.append.append(&writer.batch).unwrap();
        if commit {
            writer.append.commit().map(drop).unwrap();
        } else {
            writer.append.abort().unwrap();
        }
    }
    if !kit.harness.compact(&topic) {
        kit.harness.skip("this log can't compact on demand");
        return;
    }
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 12);
    assert_eq!(reader.offsets(), [1, 9, 10]);
    assert_eq!(reader.values(), ["1", "1", "<null>"]);
    let mut in_gap = kit.reader(COMMITTED);
    in_gap.assign(&topic, 0, Start::Offset(4), 0);
    in_gap.until_end(0, 12);
    assert_eq!(in_gap.offsets(), [9, 10], "an offset in a gap is a fine start");
}
