//! Global tables that processors read, and global stores that a function writes. Expected values by hand, from Kafka Streams'
//! documentation of `addGlobalStore`.

use super::{AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, nullable, utf8};
use kappa_core::processor::{GlobalHandle, GlobalStoreWriter, Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::runtime::BadRecords;
use kappa_core::task::ProcessError;
use kappa_core::testing::{TestDriver, TestError, TestOptions};
use kappa_core::topology::{GlobalPlan, Topology, TopologyBuilder, TopologyError};

/// Answers questions about a global table of numbers.
struct Asks(GlobalHandle<String, i64>);

impl Processor<String, String> for Asks {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let key = record.key()?;
        let mut table = cx.global_store(&self.0)?;
        let listed = |rows: Vec<(String, i64)>| {
            rows.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        let answer = match record.value()?.map_or("", String::as_str) {
            "get" => table.get(key)?.map_or("none".into(), |value| value.to_string()),
            "when" => {
                table.get_with_timestamp(key)?.map_or("none".into(), |(value, at_ms)| format!("{value} at {at_ms}"))
            }
            "all" => listed(table.all()?),
            "reverse" => listed(table.reverse_all()?),
            "from" => listed(table.range(key, &"z".to_owned())?),
            "until" => listed(table.reverse_range(&String::new(), key)?),
            "prefix" => listed(table.prefix(key)?),
            other => return Err(cx.error(format_args!("what is {other}?"))),
        };
        cx.forward(key.clone(), answer)
    }
}

fn asked(app: &mut TopologyBuilder, table: &GlobalHandle<String, i64>) {
    let table = table.clone();
    app.stream("questions", utf8(), utf8())
        .process("asks", &[], move || Asks(table.clone()))
        .with_codecs(utf8(), utf8())
        .to("answers");
}

fn ask(driver: &TestDriver, key: &str, what: &str) -> Result<String, TestError> {
    driver.input("questions", utf8(), utf8()).pipe(key, what, 100)?;
    let answers = driver.output("answers", utf8(), utf8()).read_values()?;
    Ok(answers.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// All rows, whatever the partition, in the order of their keys' bytes.
#[test]
fn processors_read_global_tables() -> Outcome {
    let mut app = Topology::builder();
    // The plan sorts by topic, not as they were made.
    let (named, other) = (app.global_table("named", utf8(), i64_be()), app.global_table("a-topic", utf8(), i64_be()));
    asked(&mut app, &named.handle());
    let _ = named.materialized("renamed-later");
    let _ = other;
    let driver = TestDriver::with_options(&app.build()?, TestOptions { partitions: 3, ..AT_ONCE })?;
    driver.input("a-topic", utf8(), i64_be()).pipe("ab", 99, 1)?;
    let input = driver.input("named", utf8(), i64_be());
    for (key, value) in [("b", 1), ("ab", 2), ("a", 3), ("ac", 4), ("b", 5)] {
        input.pipe(key, value, value)?;
    }
    assert_eq!(ask(&driver, "b", "get")?, "5");
    assert_eq!(ask(&driver, "b", "when")?, "5 at 5");
    assert_eq!(ask(&driver, "c", "get")?, "none");
    assert_eq!(ask(&driver, "", "all")?, "a=3 ab=2 ac=4 b=5");
    assert_eq!(ask(&driver, "", "reverse")?, "b=5 ac=4 ab=2 a=3");
    assert_eq!(ask(&driver, "ab", "from")?, "ab=2 ac=4 b=5");
    assert_eq!(ask(&driver, "ab", "until")?, "ab=2 a=3");
    assert_eq!(ask(&driver, "a", "prefix")?, "a=3 ab=2 ac=4");
    input.pipe_null("ab", 9)?;
    assert_eq!(ask(&driver, "ab", "get")?, "none");
    assert_eq!(ask(&driver, "a", "prefix")?, "a=3 ac=4");
    driver.restart()?;
    assert_eq!(ask(&driver, "ac", "get")?, "4");
    Ok(())
}

/// Of another topology's table there is nothing to be found, even where the numbers would fit.
#[test]
fn a_handle_of_another_topology_is_an_error() -> Outcome {
    let handle = Topology::builder().global_table("theirs", utf8(), i64_be()).handle();
    let mut app = Topology::builder();
    let _ = app.global_table("ours", utf8(), i64_be());
    asked(&mut app, &handle);
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let error = driver.input("questions", utf8(), utf8()).pipe("a", "get", 1).expect_err("refused").to_string();
    assert!(error.contains("asks.process") && error.contains("global table of theirs belongs to another"), "{error}");
    Ok(())
}

/// The sum of each customer's open orders. Orders are `<customer> <amount>`; one that is closed is null.
fn sums(
    record: &Record<'_, String, String>,
    store: &mut GlobalStoreWriter<'_, String, i64>,
) -> Result<(), ProcessError> {
    // Under `#<order>` is what the order has added, with the customer's sum under its name.
    let Some(value) = record.value()? else { return store.delete(record.key()?) };
    let parsed = value.split_once(' ').and_then(|(customer, amount)| Some((customer, amount.parse::<i64>().ok()?)));
    let Some((customer, amount)) = parsed else { return store.delete(&value.clone()) };
    let customer = customer.to_owned();
    for part in [amount / 2, amount - amount / 2] {
        let sum = store.get(&customer)?.unwrap_or(0) + part;
        store.put(&customer, &sum, record.timestamp_ms)?;
        if sum > 1000 {
            let offset = store.metadata().offset;
            return Err(store.error(format_args!("{customer} at {offset} is too rich")));
        }
    }
    Ok(())
}

fn summed() -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let store = app.global_store("sums", "orders", utf8(), utf8(), (utf8(), i64_be()), sums);
    asked(&mut app, &store);
    app.build()
}

/// A function turns records into other rows; it sees what it has written, in the record and before.
#[test]
fn a_function_writes_a_global_store() -> Outcome {
    let topology = summed()?;
    let planned = GlobalPlan { name: "sums".into(), topic: "orders".into(), has_update: true };
    assert_eq!(topology.plan().globals, [planned]);
    let driver = TestDriver::with_options(&topology, TestOptions { partitions: 2, ..AT_ONCE })?;
    let orders = driver.input("orders", utf8(), utf8());
    orders.pipe("1", "ann 7", 10)?;
    orders.pipe("2", "bob 5", 20)?;
    orders.pipe("3", "ann 4", 30)?;
    assert_eq!(ask(&driver, "ann", "when")?, "11 at 30");
    assert_eq!(ask(&driver, "", "all")?, "ann=11 bob=5");
    orders.pipe("4", "bob", 40)?;
    assert_eq!(ask(&driver, "", "all")?, "ann=11");
    orders.pipe_null("ann", 50)?;
    assert_eq!(ask(&driver, "ann", "get")?, "none");
    orders.pipe("5", "ann 2", 60)?;
    driver.restart()?;
    assert_eq!(driver.store("sums", utf8(), i64_be()).rows()?, [("ann".to_owned(), 2, 60)]);
    Ok(())
}

/// A record that fails has written nothing, not even what it wrote before it failed.
#[test]
fn a_record_that_fails_writes_nothing() -> Outcome {
    let driver = TestDriver::with_options(&summed()?, AT_ONCE)?;
    let orders = driver.input("orders", utf8(), utf8());
    orders.pipe("1", "ann 700", 10)?;
    let error = orders.pipe("2", "ann 500", 20).expect_err("fails").to_string();
    for word in ["orders, partition 0, offset 1", "sums.global", "ann at 1 is too rich"] {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    assert_eq!(ask(&driver, "ann", "get")?, "700");

    let skip = TestOptions { bad_records: BadRecords::Skip, failed_records: BadRecords::Skip, ..AT_ONCE };
    let driver = TestDriver::with_options(&summed()?, skip)?;
    let orders = driver.input("orders", nullable(utf8()), utf8());
    orders.pipe(Some("1".to_owned()), "ann 700", 10)?;
    orders.pipe(Some("2".to_owned()), "ann 500", 20)?;
    orders.pipe(None, "ann 1", 25)?;
    orders.pipe(Some("3".to_owned()), "ann 100", 30)?;
    assert_eq!(ask(&driver, "ann", "when")?, "800 at 30");
    assert_eq!(driver.dropped(), [("bad_record", 1), ("failed_record", 1)].into());
    Ok(())
}

/// A topic may be a stream and a global store at once; each has its own place.
#[test]
fn a_topic_may_be_read_by_tasks_as_well() -> Outcome {
    let mut app = Topology::builder();
    let store = app.global_store("sums", "orders", utf8(), utf8(), (utf8(), i64_be()), sums);
    asked(&mut app, &store);
    app.stream("orders", utf8(), utf8()).to("copies");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("orders", utf8(), utf8()).pipe("1", "ann 7", 10)?;
    assert_eq!(ask(&driver, "ann", "get")?, "7");
    assert_eq!(driver.output("copies", utf8(), utf8()).read_all()?, [at("1", Some("ann 7".to_owned()), 10)]);
    Ok(())
}

/// What can't be built says why.
#[test]
fn two_global_stores_share_neither_topic_nor_name() {
    let mut app = Topology::builder();
    let _ = app.global_table("orders", utf8(), utf8());
    let _ = app.global_store("sums", "orders", utf8(), utf8(), (utf8(), i64_be()), sums);
    let error = app.build().expect_err("one topic");
    assert_eq!(error, TopologyError::GlobalTopic { topic: "orders".into() });
    assert!(error.to_string().contains("one global_store()"), "{error}");

    let mut app = Topology::builder();
    let _ = app.global_store("sums", "orders", utf8(), utf8(), (utf8(), i64_be()), sums);
    let _ = app.global_table("orders", utf8(), utf8());
    assert_eq!(app.build().expect_err("one topic"), TopologyError::GlobalTopic { topic: "orders".into() });

    let mut app = Topology::builder();
    let _ = app.global_store("sums", "orders", utf8(), utf8(), (utf8(), i64_be()), sums);
    app.stream("in", utf8(), utf8()).group_by_key().count("sums").to("out");
    let error = app.build().expect_err("one name");
    assert_eq!(error, TopologyError::DuplicateName { what: "store", name: "sums".into() });
}
