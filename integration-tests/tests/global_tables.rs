//! Global tables, a global store and a read-only store through the life of an application of two instances: on a real broker, and
//! in memory.

use kappa_core::app::{App, Version};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::log::SharedLog;
use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::partitioner;
use kappa_core::processor::{GlobalHandle, Processor, ProcessorContext, ReadOnlyHandle};
use kappa_core::record::Record;
use kappa_core::runtime::{BadRecords, RunningApp, Runtime, Settings};
use kappa_core::task::ProcessError;
use kappa_core::topology::Topology;
use kappa_integration_tests::harness::unique;
use kappa_integration_tests::records::{Writer, create_topic, read_all};
use kappa_integration_tests::wait::wait_until;
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: i32 = 4;
/// Rows of the global table, and the partitions they are in.
const RATES: i64 = 300;
const RATE_PARTITIONS: i32 = 3;
const CUSTOMERS: i64 = 40;
/// How long anything that will happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Says what each order finds: `<rate> of <rates>, limit <limit>, <visits>`.
struct Bill {
    rates: GlobalHandle<String, i64>,
    visits: GlobalHandle<String, i64>,
    limits: ReadOnlyHandle<String, i64>,
}

impl Processor<String, String> for Bill {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let (customer, Some(currency)) = (record.key()?, record.value()?) else { return Ok(()) };
        let said = |found: Option<i64>| found.map_or("none".to_owned(), |found| found.to_string());
        let (rate, rates) = {
            let mut rates = cx.global_store(&self.rates)?;
            (rates.get(currency)?, rates.all()?.len())
        };
        let visits = cx.global_store(&self.visits)?.get(&"CZ".to_owned())?;
        let limit = cx.read_only_store(&self.limits)?.get(customer)?.copied();
        cx.forward(customer.clone(), format!("{} of {rates}, limit {}, {}", said(rate), said(limit), said(visits)))
    }
}

struct Shop {
    log: SharedLog,
    name: String,
    dir: tempfile::TempDir,
}

impl Shop {
    fn new(log: SharedLog) -> Self {
        let shop = Self { log, name: unique("shop"), dir: tempfile::tempdir().expect("a folder") };
        for (topic, partitions) in
            [("rates", RATE_PARTITIONS), ("visits", 2), ("limits", PARTITIONS), ("orders", PARTITIONS)]
        {
            create_topic(&shop.log, &shop.topic(topic), partitions);
        }
        create_topic(&shop.log, &shop.topic("bills"), PARTITIONS);
        create_topic(&shop.log, &shop.topic("joined"), PARTITIONS);
        shop
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name)
    }

    fn app(&self) -> App {
        let mut app = Topology::builder();
        let rates = app.global_table(&self.topic("rates"), utf8(), i64_be());
        let visits =
            app.global_store("visits", &self.topic("visits"), utf8(), utf8(), (utf8(), i64_be()), |record, store| {
                let Some(country) = record.value()? else { return Ok(()) };
                if country == "nowhere" {
                    return Err(store.error("there is no such country"));
                }
                let visits = store.get(country)?.unwrap_or(0) + 1;
                store.put(country, &visits, record.timestamp_ms)
            });
        let limits = app.read_only_store("limits", &self.topic("limits"), utf8(), i64_be());
        let orders = app.stream(&self.topic("orders"), utf8(), utf8());
        orders
            .left_join_global(&rates, |_, currency| Some(currency.clone()), |_, rate| rate.copied().unwrap_or(-1))
            .with_value_codec(i64_be())
            .to(&self.topic("joined"));
        let (rates, read) = (rates.handle(), limits.clone());
        orders
            .process("bill", &[&limits], move || Bill {
                rates: rates.clone(),
                visits: visits.clone(),
                limits: read.clone(),
            })
            .with_codecs(utf8(), utf8())
            .to(&self.topic("bills"));
        App::new(&self.name, Version(1), app.build().expect("a topology")).expect("named")
    }

    fn settings(&self, instance: &str) -> Settings {
        let state_dir = cfg!(feature = "rocksdb").then(|| self.dir.path().join(instance));
        Settings { commit_interval_ms: 20, state_dir, ..Settings::default() }
    }

    fn start_with(&self, settings: Settings) -> RunningApp {
        Runtime::new(Arc::clone(&self.log), settings).start(&self.app()).expect("started")
    }

    fn start(&self, instance: &str) -> RunningApp {
        self.start_with(self.settings(instance))
    }

    /// Appends records by their keys' partitions.
    fn put<'r>(
        &self,
        topic: &str,
        partitions: i32,
        records: impl IntoIterator<Item = (String, Option<&'r [u8]>, i64)>,
    ) {
        let mut writer = Writer::open(&self.log, &self.topic(topic));
        for (key, value, timestamp_ms) in records {
            let partition = partitioner::partition(key.as_bytes(), partitions);
            writer.put(partition, timestamp_ms, Some(key.as_bytes()), value);
        }
        writer.flush();
    }

    fn put_rate(&self, currency: &str, rate: &[u8]) {
        self.put("rates", RATE_PARTITIONS, [(currency.to_owned(), Some(rate), 1)]);
    }

    fn order(&self, numbers: std::ops::Range<i64>, currency: impl Fn(i64) -> i64) {
        let currencies: Vec<(i64, String)> = numbers.map(|n| (n, format!("c{}", currency(n)))).collect();
        let orders = currencies
            .iter()
            .map(|(n, currency)| (format!("k{}", n % CUSTOMERS), Some(currency.as_bytes()), 10_000 + n));
        self.put("orders", PARTITIONS, orders);
    }

    /// The bills by the numbers of their orders.
    fn bills(&self) -> Vec<(i64, String)> {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("not null")).expect("text");
        let mut bills: Vec<_> = read_all(&self.log, &self.topic("bills"))
            .into_iter()
            .map(|found| (found.timestamp_ms - 10_000, text(found.value)))
            .collect();
        bills.sort();
        bills
    }

    /// Orders, all customers in turn, until every customer's bill begins and ends so; gives the number of the next order.
    fn order_until(&self, mut next: i64, currency: i64, begin: &str, end: &str) -> i64 {
        let seen = wait_until(PATIENCE, || {
            self.order(next..next + CUSTOMERS, |_| currency);
            next += CUSTOMERS;
            assert!(wait_until(PATIENCE, || self.bills().len() as i64 == next), "{} orders are billed", next);
            self.bills()
                .iter()
                .rev()
                .take(CUSTOMERS as usize)
                .all(|(_, bill)| bill.starts_with(begin) && bill.ends_with(end))
        });
        assert!(seen, "{begin}…{end}, not {:?}", self.bills().last());
        next
    }

    fn stop(&self, running: RunningApp) {
        running.stop(PATIENCE).expect("stopped");
    }

    /// The error that an instance ends with by itself.
    fn error_of(&self, settings: Settings) -> String {
        let running = self.start_with(settings);
        assert!(wait_until(PATIENCE, || running.status().failed), "it goes on");
        running.stop(PATIENCE).expect_err("it has failed").to_string()
    }
}

fn says(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is missing in: {text}"));
}

fn lives(log: SharedLog) {
    let shop = Shop::new(log);
    let rates: Vec<[u8; 8]> = (0..RATES).map(|n| (1_000 + n).to_be_bytes()).collect();
    let rates = rates.iter().enumerate().map(|(n, rate)| (format!("c{n}"), Some(&rate[..]), 1));
    shop.put("rates", RATE_PARTITIONS, rates);
    let countries = ["CZ", "SK", "AT"];
    shop.put("visits", 2, (0..90).map(|n| (countries[n % 3].to_owned(), Some(countries[n % 3].as_bytes()), 1)));
    let limits: Vec<[u8; 8]> = (0..CUSTOMERS).map(|n| (n * 10).to_be_bytes()).collect();
    let limits = limits.iter().enumerate().map(|(n, limit)| (format!("k{n}"), Some(&limit[..]), n as i64));
    shop.put("limits", PARTITIONS, limits);
    shop.order(0..200, |n| n % RATES);

    // The whole of everything is there before the first record, in both instances.
    let (one, other) = (shop.start("one"), shop.start("other"));
    let both = || [&one, &other].iter().all(|running| running.status().all_running);
    assert!(wait_until(PATIENCE, both), "both have tasks");
    shop.order(200..400, |n| n % RATES);
    assert!(wait_until(PATIENCE, || shop.bills().len() == 400), "all are billed");
    for (n, bill) in shop.bills() {
        assert_eq!(bill, format!("{} of 300, limit {}, 30", 1_000 + n % RATES, n % CUSTOMERS * 10), "order {n}");
    }
    let joined = read_all(&shop.log, &shop.topic("joined"));
    assert_eq!(joined.len(), 400);
    for found in joined {
        let n = found.timestamp_ms - 10_000;
        assert_eq!(found.value.as_deref(), Some(&(1_000 + n % RATES).to_be_bytes()[..]), "order {n}");
    }

    // Changes come by themselves, to both instances.
    shop.put_rate("c0", &7_i64.to_be_bytes());
    let next = shop.order_until(400, 0, "7 of 300", ", 30");

    // What changed while nobody ran is there before the first record after the restart; the read-only store's rows come from its
    // topic where their tasks were the other instance's.
    [one, other].into_iter().for_each(|running| shop.stop(running));
    shop.put_rate("c1", &8_i64.to_be_bytes());
    shop.put("visits", 2, [("CZ".to_owned(), Some(&b"CZ"[..]), 2)]);
    shop.put("limits", PARTITIONS, [("k2".to_owned(), None, 1_000)]);
    shop.order(next..next + CUSTOMERS, |_| 1);
    let third = shop.start("third");
    assert!(wait_until(PATIENCE, || shop.bills().len() as i64 == next + CUSTOMERS), "billed after the restart");
    for (n, bill) in shop.bills().into_iter().filter(|(n, _)| *n >= next) {
        let limit = if n % CUSTOMERS == 2 { "none".to_owned() } else { (n % CUSTOMERS * 10).to_string() };
        assert_eq!(bill, format!("8 of 300, limit {limit}, 31"), "order {n}");
    }
    let next = next + CUSTOMERS;

    // A record that can't be used stops the application, whenever it starts, or is left out.
    shop.put_rate("c1", b"eight");
    assert!(wait_until(PATIENCE, || third.status().failed), "it stops");
    let error = third.stop(PATIENCE).expect_err("it has failed").to_string();
    let place = format!("topic {} partition {} offset ", shop.topic("rates"), partitioner::partition(b"c1", 3));
    says(&error, &[&place, "value", "KAPPA_BAD_RECORDS=skip"]);
    says(&shop.error_of(shop.settings("third")), &[&place]);
    let skips = Settings { bad_records: BadRecords::Skip, ..shop.settings("third") };
    let running = shop.start_with(skips.clone());
    let next = shop.order_until(next, 1, "8 of 300", ", 31");
    assert_eq!(running.metrics().skipped("bad_record"), 1);
    shop.stop(running);

    // The same for a record that a global store's function fails on.
    shop.put("visits", 2, [("CZ".to_owned(), Some(&b"nowhere"[..]), 3), ("CZ".to_owned(), Some(&b"CZ"[..]), 4)]);
    let place = format!("topic {} partition {} offset ", shop.topic("visits"), partitioner::partition(b"CZ", 2));
    says(&shop.error_of(skips.clone()), &[&place, "visits.global", "there is no such country"]);
    let running = shop.start_with(Settings { failed_records: BadRecords::Skip, ..skips });
    shop.order_until(next, 1, "8 of 300", ", 32");
    assert_eq!(running.metrics().skipped("failed_record"), 1);
    shop.stop(running);
}

#[test]
fn in_memory() {
    lives(Arc::new(EmbeddedLog::new()));
}

#[cfg(feature = "kafka")]
#[test]
fn on_a_broker() {
    let Some(brokers) = kappa_integration_tests::harness::brokers() else { return };
    lives(kappa_integration_tests::records::kafka(&brokers));
}
