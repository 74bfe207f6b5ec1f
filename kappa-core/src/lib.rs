//! Stream processing on Kafka where a new version of an application is a replay of the log.

pub mod log;
pub mod partitioner;
pub mod task;
pub mod topology;
