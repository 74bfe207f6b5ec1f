//! The records that wait in front of the tasks, and which of them is next.
//!
//! **Invariants:**
//! - Within one partition records keep their order.
//! - The next record is the head with the smallest timestamp over all partitions, as in a task of Kafka Streams.
//!   Where heads have equal timestamps the choice is that of Java's `PriorityQueue`, which Kafka Streams keeps its
//!   partitions in: no promise of Kafka's, but a choice that does not change from run to run.

use super::stored::Stored;
use crate::topology::TopicRef;
use std::collections::VecDeque;

/// One partition that tasks read.
#[derive(Debug)]
struct Queue {
    topic: TopicRef,
    partition: i32,
    /// With offset and the time to go by.
    records: VecDeque<(i64, i64, Stored)>,
    end: i64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: Vec<Queue>,
    /// Indices of those that are not empty: a binary heap by the timestamp of the head.
    heap: Vec<usize>,
}

impl Queues {
    /// The offset of the next record of a partition.
    pub(super) fn end(&self, topic: &TopicRef, partition: i32) -> i64 {
        let known = self.queues.iter().find(|queue| queue.partition == partition && queue.topic == *topic);
        known.map_or(0, |queue| queue.end)
    }

    /// Adds a record at the end of its partition, to go by a time that is mostly its own.
    pub(super) fn push(&mut self, topic: &TopicRef, time_ms: i64, record: Stored) {
        let known = self.queues.iter().position(|queue| queue.partition == record.partition && queue.topic == *topic);
        let index = known.unwrap_or_else(|| {
            let (topic, partition) = (topic.clone(), record.partition);
            self.queues.push(Queue { topic, partition, records: VecDeque::new(), end: 0 });
            self.queues.len() - 1
        });
        let queue = &mut self.queues[index];
        queue.records.push_back((queue.end, time_ms, record));
        queue.end += 1;
        if queue.records.len() == 1 {
            self.offer(index);
        }
    }

    /// Takes the next record, with its topic and offset.
    pub(super) fn pop(&mut self) -> Option<(TopicRef, i64, Stored)> {
        let index = self.poll()?;
        let queue = &mut self.queues[index];
        let (offset, _, record) = queue.records.pop_front()?;
        let topic = queue.topic.clone();
        if !queue.records.is_empty() {
            self.offer(index);
        }
        Some((topic, offset, record))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Forgets all records that wait.
    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.queues.iter_mut().for_each(|queue| queue.records.clear());
    }

    fn head(&self, queue: usize) -> i64 {
        self.queues[queue].records.front().map_or(i64::MAX, |(_, time_ms, _)| *time_ms)
    }

    fn offer(&mut self, queue: usize) {
        self.heap.push(queue);
        let mut at = self.heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.head(queue) >= self.head(self.heap[parent]) {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = queue;
    }

    fn poll(&mut self) -> Option<usize> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first().copied() else { return Some(last) };
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                break;
            }
            let right_is_less = right < self.heap.len() && self.head(self.heap[left]) > self.head(self.heap[right]);
            let child = if right_is_less { right } else { left };
            if self.head(last) <= self.head(self.heap[child]) {
                break;
            }
            self.heap[at] = self.heap[child];
            at = child;
        }
        self.heap[at] = last;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Headers;

    fn at(partition: i32, timestamp_ms: i64) -> Stored {
        Stored { partition, timestamp_ms, key: None, value: None, headers: Headers::empty(), step: 0, sequence: 0 }
    }

    #[test]
    fn the_smallest_head_is_next_and_partitions_keep_their_order() {
        let mut queues = Queues::default();
        let (a, b) = (TopicRef::External("a".into()), TopicRef::External("b".into()));
        for (topic, partition, timestamp_ms) in [(&a, 0, 5), (&a, 0, 1), (&a, 1, 4), (&b, 0, 3), (&b, 0, 9)] {
            queues.push(topic, timestamp_ms, at(partition, timestamp_ms));
        }
        let mut taken = Vec::new();
        while let Some((topic, offset, record)) = queues.pop() {
            taken.push((topic == a, record.partition, offset, record.timestamp_ms));
        }
        // The 1 is behind the 5 in its partition.
        assert_eq!(taken, [(false, 0, 0, 3), (true, 1, 0, 4), (true, 0, 0, 5), (true, 0, 1, 1), (false, 0, 1, 9)]);
        assert!(queues.is_empty());
    }
}
