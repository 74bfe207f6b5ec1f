//! Global stores with a function of their own.

use crate::codec::SharedCodec;
use crate::log::RecordView;
use crate::processor::{GlobalHandle, GlobalStoreWriter, NULL_KEY, RecordMetadata, global_operator};
use crate::record::{Lazy, Record};
use crate::task::{GlobalTable, ProcessError, SourceRecord};
use crate::topology::{Global, GlobalUpdate, SharedGraph, TopicRef, TopologyError};
use std::sync::Arc;

/// Codecs of keys and values.
type Codecs<K, V> = (SharedCodec<K>, SharedCodec<V>);

/// The global store `name` that `update` makes of a topic.
pub(crate) fn global_store<K: 'static, V: 'static, SK: 'static, SV: 'static>(
    graph: &SharedGraph,
    name: &str,
    topic: &str,
    (key, value): Codecs<K, V>,
    (row_key, row_value): Codecs<SK, SV>,
    update: impl Fn(&Record<'_, K, V>, &mut GlobalStoreWriter<'_, SK, SV>) -> Result<(), ProcessError>
    + Send
    + Sync
    + 'static,
) -> GlobalHandle<SK, SV> {
    let mut graph = graph.borrow_mut();
    graph.check_name("topic", topic);
    graph.check_name("store", name);
    if graph.globals.iter().any(|global| global.topic == topic) {
        graph.errors.push(TopologyError::GlobalTopic { topic: topic.to_owned() });
    }
    let index = graph.globals.len();
    let handle = GlobalHandle { index, topic: topic.into(), key: row_key.clone(), value: row_value.clone() };
    let (key_form, value_form) = (key.form(), value.form());
    let rows = (row_key.form(), row_value.form());
    let reference = TopicRef::External(topic.to_owned());
    let take = move |record: &SourceRecord<'_>, partition: i32, table: &GlobalTable| {
        let metadata = RecordMetadata { topic: &reference, partition, offset: record.view.offset };
        let mut writer = GlobalStoreWriter::new(table, &row_key, &row_value, metadata);
        with_record(record, &key, &value, |record| update(record, &mut writer).map_err(|error| own(table, error)))?;
        Ok(writer.finish()?)
    };
    graph.globals.push(Global {
        name: name.to_owned(),
        topic: topic.to_owned(),
        key: key_form,
        value: value_form,
        check: Arc::new(|_, _| Ok(())),
        update: Some(GlobalUpdate { rows, take: Arc::new(take) }),
    });
    handle
}

/// Runs `with` over a record once it is known that it can be used: as where records enter a task.
fn with_record<K: 'static, V: 'static>(
    record: &SourceRecord<'_>,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
    with: impl FnOnce(&Record<'_, K, V>) -> Result<(), ProcessError>,
) -> Result<(), ProcessError> {
    let RecordView { timestamp_ms, key: key_bytes, value: value_bytes, .. } = record.view;
    let Some(key) = Lazy::encoded(key, key_bytes) else {
        return Err(ProcessError::Undecodable { part: "key", reason: NULL_KEY.to_owned() });
    };
    let value = Lazy::encoded(value, value_bytes);
    let record = Record::new(&key, value.as_ref(), timestamp_ms, &record.headers);
    record.key()?;
    record.value()?;
    if timestamp_ms < 0 {
        let reason = format!("{timestamp_ms} is negative");
        return Err(ProcessError::Undecodable { part: "timestamp", reason });
    }
    with(&record)
}

/// What the function could not decode was not the record.
fn own(table: &GlobalTable, error: ProcessError) -> ProcessError {
    match error {
        ProcessError::Undecodable { part, reason } => {
            let reason = format!("a {part} can't be decoded: {reason}");
            ProcessError::Operator { operator: global_operator(table), reason }
        }
        other => other,
    }
}
