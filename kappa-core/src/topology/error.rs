//! What can be wrong with a topology, found when it is built.

/// A topology that can't run. Each message names the operator and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// Nothing was built.
    #[error("the topology is empty: read a topic with stream() or table() and write results with to() or to_view()")]
    Empty,
    /// Results go nowhere.
    #[error(
        "the results of {operator} go nowhere: end the stream with to(), to_view(), for_each() or an aggregate, \
         or remove it"
    )]
    Unsunk {
        /// The operator.
        operator: String,
    },
    /// An operator needs bytes and does not know how to write them.
    #[error(
        "{operator} writes {part}s as bytes, and the codec of the {part} is not known since {since} made a new one: \
         put .{mend} before {operator}"
    )]
    MissingCodec {
        /// The operator that needs it.
        operator: String,
        /// `key` or `value`.
        part: &'static str,
        /// The operator that made it.
        since: String,
        /// The call to insert.
        mend: &'static str,
    },
    /// Two things have one name.
    #[error("two {what}s are named {name}: give one of them another name")]
    DuplicateName {
        /// What they are.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A topic is read into two global stores.
    #[error(
        "topic {topic} is read into two global stores: have one global_store() keep what both need, or use one \
         global_table() for all readers"
    )]
    GlobalTopic {
        /// The topic.
        topic: String,
    },
    /// Two operators would write to one repartition topic.
    #[error(
        "two operators need a repartition topic named {name}: put .repartition(\"<another name>\") before one of them, \
         or before both if they read the same stream"
    )]
    DuplicateRepartition {
        /// The name.
        name: String,
    },
    /// A name that no topic or directory can have.
    #[error(
        "{what} name {name:?} can't be used: names hold 1 to 180 characters of a-z, A-Z, 0-9, '.', '_' and '-', \
         and are not \".\" or \"..\""
    )]
    BadName {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A topic is read in two ways.
    #[error("topic {topic} is read twice with different {part} codecs ({first} and {second}): use the same for both")]
    SourceCodecs {
        /// The topic.
        topic: String,
        /// `key` or `value`.
        part: &'static str,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A join whose sides can't be in the same partition.
    #[error(
        "{operator}: the stream's keys are written by {stream} and the table's by {table}, so equal keys are in \
         different partitions: put .select_key(<the table's codec>, ..) before it"
    )]
    KeyCodecs {
        /// The join.
        operator: String,
        /// The stream's key codec.
        stream: String,
        /// The table's key codec.
        table: String,
    },
    /// Repartition topics that are joined have different numbers of partitions.
    #[error("{operator}: repartition topics {topics} are joined and must have the same number of partitions")]
    PartitionCounts {
        /// The sub-topology.
        operator: String,
        /// The topics with their numbers.
        topics: String,
    },
    /// A table that has a store is given another.
    #[error(
        "{table} is kept in store {store} already: remove .materialized({name:?}), or give it that name where it is made"
    )]
    AlreadyStored {
        /// The operator.
        table: String,
        /// Its store.
        store: String,
        /// The name asked for.
        name: String,
    },
    /// Tables with differently written keys are joined.
    #[error(
        "{operator}: the keys of the one table are written by {left}, those of the other by {right}, so equal keys are \
         in different partitions: read both with one key codec"
    )]
    TableKeyCodecs {
        /// The join.
        operator: String,
        /// The one.
        left: String,
        /// The other.
        right: String,
    },
    /// An operator needs keys and the stream has none.
    #[error(
        "{operator} needs keys and the stream is read as unkeyed(): give it keys with select_key() or group_by() first"
    )]
    Unkeyed {
        /// The operator.
        operator: String,
    },
    /// Cogrouped streams whose keys can't be in the same partition.
    #[error(
        "{operator}: one stream's keys are written by {first} and another's by {other}, so equal keys are in different \
         partitions: put .select_key(<the first one's codec>, ..) before grouping"
    )]
    CogroupKeys {
        /// The operator.
        operator: String,
        /// The first stream's key codec.
        first: String,
        /// The other's.
        other: String,
    },
    /// Windows whose lengths make no sense, or that can't be used so.
    #[error("{windows}: {rule}")]
    Windows {
        /// The windows, or the operator that uses them.
        windows: String,
        /// What must hold.
        rule: &'static str,
    },
    /// What belongs where records enter is said elsewhere.
    #[error("{what} is called behind {operator}: call it right behind stream(), where records enter")]
    NotASource {
        /// The call.
        what: &'static str,
        /// The operator.
        operator: String,
    },
    /// Times of one topic are extracted in two ways.
    #[error("{operator} has timestamps already: a topic's records have one time, wherever it is read")]
    TwoTimestamps {
        /// The source.
        operator: String,
    },
    /// A read-only store is to be written.
    #[error(
        "{operator} is connected to {store} as to a store that it can write, and {store} is read-only: use the handle that \
         read_only_store() gives, and write the store in its update alone"
    )]
    ReadOnlyStore {
        /// The operator.
        operator: String,
        /// The store.
        store: String,
    },
    /// Streams of two topologies meet.
    #[error("{operator} takes a stream or store of another topology builder: use one builder for all")]
    Foreign {
        /// The operator.
        operator: String,
    },
    /// A time that makes no sense.
    #[error("{operator}: {reason}")]
    BadTime {
        /// The operator.
        operator: String,
        /// What is wrong and the mend.
        reason: String,
    },
}
