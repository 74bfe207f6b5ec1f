//! What the bench asks of the cluster about topics and groups.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);
/// A new topic is there when its metadata is; brokers need a moment.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why the cluster did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The client failed.
    #[error("{doing}: {source}")]
    Client {
        /// What was being done.
        doing: String,
        /// The client's error.
        source: KafkaError,
    },
    /// The broker refused.
    #[error("{doing}: {code}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The broker's error.
        code: RDKafkaErrorCode,
    },
    /// No runtime to wait with.
    #[error("make a runtime: {0}")]
    Runtime(std::io::Error),
    /// A topic is not there, or did not come or go in time.
    #[error("topic {topic} {what}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The start and the end of one partition, as any reader may see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first offset there is.
    pub start: i64,
    /// The high watermark.
    pub end: i64,
}

/// A client for questions.
pub struct Cluster {
    brokers: String,
    /// The admin client answers in futures; this thread waits for them.
    waiting: tokio::runtime::Runtime,
    admin: AdminClient<DefaultClientContext>,
    asker: BaseConsumer,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A client of the cluster at `brokers`.
    pub fn connect(brokers: &str) -> Result<Self, ClusterError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("client.id", "kappa-bench");
        let failed = client(|| format!("make a client of {brokers}"));
        let waiting = tokio::runtime::Builder::new_current_thread().build().map_err(ClusterError::Runtime)?;
        Ok(Self {
            brokers: brokers.to_owned(),
            waiting,
            admin: config.create().map_err(&failed)?,
            asker: config.create().map_err(&failed)?,
        })
    }

    /// Where the cluster is.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Creates an empty topic. Event times lie years back, so nothing may expire by time.
    pub fn create(&self, topic: &str, partitions: i32) -> Result<(), ClusterError> {
        let spec = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
            .set("retention.ms", "-1")
            .set("message.timestamp.type", "CreateTime");
        let doing = || format!("create topic {topic}");
        let results = self.wait_for(self.admin.create_topics([&spec], &options())).map_err(client(doing))?;
        for result in results {
            result.map_err(|(_, code)| ClusterError::Refused { doing: doing(), code })?;
        }
        self.wait("did not appear within 30 s", topic, |count| count == Some(partitions as usize))
    }

    /// Deletes topics and waits until they are gone; those that are not there are no error.
    pub fn delete(&self, topics: &[&str]) -> Result<(), ClusterError> {
        if topics.is_empty() {
            return Ok(());
        }
        let doing = || format!("delete topics {}", topics.join(", "));
        let results = self.wait_for(self.admin.delete_topics(topics, &options())).map_err(client(doing))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((_, code)) => return Err(ClusterError::Refused { doing: doing(), code }),
            }
        }
        topics.iter().try_for_each(|topic| self.wait("did not go within 30 s", topic, |count| count.is_none()))
    }

    /// Deletes a consumer group; one that is not there is no error.
    pub fn delete_group(&self, group: &str) -> Result<(), ClusterError> {
        let doing = || format!("delete group {group}");
        let results = self.wait_for(self.admin.delete_groups(&[group], &options())).map_err(client(doing))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
                Err((_, code)) => return Err(ClusterError::Refused { doing: doing(), code }),
            }
        }
        Ok(())
    }

    /// The names of all topics that are `wanted`.
    pub fn topics(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, ClusterError> {
        let metadata = self.asker.fetch_metadata(None, DEADLINE).map_err(client(|| "list the topics".to_owned()))?;
        Ok(metadata.topics().iter().map(|topic| topic.name()).filter(|name| wanted(name)).map(str::to_owned).collect())
    }

    /// How many partitions a topic has; `None` where it does not exist.
    pub fn partitions(&self, topic: &str) -> Result<Option<usize>, ClusterError> {
        let metadata =
            self.asker.fetch_metadata(Some(topic), DEADLINE).map_err(client(|| format!("describe topic {topic}")))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        Ok(found.map(|topic| topic.partitions().len()).filter(|&count| count > 0))
    }

    /// Start and end of each partition of a topic.
    pub fn extents(&self, topic: &str) -> Result<Vec<Extent>, ClusterError> {
        let Some(partitions) = self.partitions(topic)? else {
            return Err(ClusterError::Topic { topic: topic.to_owned(), what: "does not exist" });
        };
        (0..partitions as i32)
            .map(|partition| {
                let doing = || format!("ask for the offsets of {topic}-{partition}");
                let (start, end) = self.watermarks(topic, partition).map_err(client(doing))?;
                Ok(Extent { start, end })
            })
            .collect()
    }

    /// Metadata knows a new topic a moment before its leaders do.
    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.asker.fetch_watermarks(topic, partition, DEADLINE) {
                Err(error) if is_passing(&error) && Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                outcome => return outcome,
            }
        }
    }

    fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.waiting.block_on(future)
    }

    fn wait(&self, what: &'static str, topic: &str, done: impl Fn(Option<usize>) -> bool) -> Result<(), ClusterError> {
        let until = Instant::now() + DEADLINE;
        while !done(self.partitions(topic)?) {
            if Instant::now() > until {
                return Err(ClusterError::Topic { topic: topic.to_owned(), what });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// Asks what a group has committed.
pub struct Commits {
    group: String,
    consumer: BaseConsumer,
}

impl std::fmt::Debug for Commits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commits").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Commits {
    /// Of this group; it is not joined.
    pub fn of(brokers: &str, group: &str) -> Result<Self, ClusterError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "kappa-bench-commits")
            .set("group.id", group)
            .set("isolation.level", "read_uncommitted");
        let consumer = config.create().map_err(client(|| format!("make a client of {brokers}")))?;
        Ok(Self { group: group.to_owned(), consumer })
    }

    /// The committed offset of each of a topic's partitions, `None` where there is none yet.
    pub fn read(&self, topic: &str, partitions: usize) -> Result<Vec<Option<i64>>, ClusterError> {
        let mut list = TopicPartitionList::with_capacity(partitions);
        for partition in 0..partitions as i32 {
            list.add_partition(topic, partition);
        }
        let doing = || format!("read what group {} has committed of {topic}", self.group);
        let found = self.consumer.committed_offsets(list, DEADLINE).map_err(client(doing))?;
        let offset = |partition| match found.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok((0..partitions as i32).map(offset).collect())
    }
}

fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}

fn client(doing: impl Fn() -> String) -> impl Fn(KafkaError) -> ClusterError {
    move |source| ClusterError::Client { doing: doing(), source }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(DEADLINE)).request_timeout(Some(DEADLINE))
}
