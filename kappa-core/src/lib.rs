//! Stream processing on Kafka where a new version of an application is a replay of the log.

pub mod app;
pub mod deploy;
pub mod log;
pub mod partitioner;
pub mod registry;
mod tail;
pub mod task;
pub mod topology;
pub mod view;
