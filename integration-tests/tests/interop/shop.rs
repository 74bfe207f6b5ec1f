//! One application as Kafka Streams runs it and as kappa does, on the same input and the same broker.
//!
//! `Shop.java` is the same program, operator by operator and with the same names.

use super::java::{Java, Sent};
use super::running::Kappa;
use super::{PATIENCE, changelogs, configs, contents};
use kappa_core::codec::utf8;
use kappa_core::dsl::{JoinWindows, Suppressed};
use kappa_core::log::SharedLog;
use kappa_core::topology::Topology;
use kappa_core::window::{SessionWindows, SlidingWindows, TimeWindows};
use kappa_integration_tests::harness::unique;
use kappa_integration_tests::random::Random;
use kappa_integration_tests::records::{create_topic, kafka};
use kappa_integration_tests::wait::wait_until;
use std::time::SystemTime;

const PARTITIONS: i32 = 3;
/// Of each input.
const KEYS: u64 = 24;
const INPUTS: [&str; 6] = ["clicks", "people", "cities", "orders", "payments", "prices"];
const OUTPUTS: [&str; 10] =
    ["tumbling", "closed", "hopping", "sliding", "sessions", "pages", "located", "sent", "paid", "priced"];

/// Both applications, after they have processed everything.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) log: SharedLog,
    /// Prefix of what Kafka Streams wrote; `-` and the topic's name follow. Its application id, too.
    pub(crate) theirs: String,
    /// Prefix of what kappa wrote.
    pub(crate) ours: String,
    /// kappa's application id: name and version.
    pub(crate) our_id: String,
}

fn topology(inputs: &str, outputs: &str) -> Topology {
    let mut app = Topology::builder();
    let (input, output) = (|name: &str| format!("{inputs}-{name}"), |name: &str| format!("{outputs}-{name}"));
    let stream = app.stream(&input("clicks"), utf8(), utf8());
    let clicks = stream.group_by_key();
    let tumbling = clicks.windowed_by(TimeWindows::tumbling(10_000).grace(5_000)).count("tumbling");
    tumbling.to(&output("tumbling"));
    tumbling.suppress("closed", Suppressed::until_window_closes()).to(&output("closed"));
    clicks.windowed_by(TimeWindows::hopping(10_000, 4_000).grace(2_000)).count("hopping").to(&output("hopping"));
    clicks.windowed_by(SlidingWindows::of(3_000).grace(2_000)).count("sliding").to(&output("sliding"));
    clicks.windowed_by(SessionWindows::with_gap(2_000).grace(1_000)).count("sessions").to(&output("sessions"));
    stream.group_by(utf8(), |_, page| page.clone()).count("pages").to(&output("pages"));

    let people = app.table(&input("people"), utf8(), utf8()).materialized("people");
    let cities = app.table(&input("cities"), utf8(), utf8()).materialized("cities");
    let mayor = |city: &String, mayor: &String| format!("{city} of {mayor}");
    people
        .join_foreign_key("located", utf8(), &cities, |_, person| Some(city_of(person)), mayor)
        .materialized("located")
        .to(&output("located"));
    let orders = app.stream(&input("orders"), utf8(), utf8());
    orders.join(&people, |order, city| format!("{order} to {city}")).with_value_codec(utf8()).to(&output("sent"));
    let payments = app.stream(&input("payments"), utf8(), utf8());
    orders
        .left_join_within("paid", &payments, JoinWindows::within_ms(1_000, 4_000), |order, payment| {
            format!("{order} by {}", payment.map_or("null", String::as_str))
        })
        .with_value_codec(utf8())
        .to(&output("paid"));
    let prices = app.table(&input("prices"), utf8(), utf8()).versioned("prices", 60_000);
    orders.join(&prices, |order, price| format!("{order} at {price}")).with_value_codec(utf8()).to(&output("priced"));
    app.build().expect("a topology")
}

/// Many people live in one city: `people-17` in `user-5`.
fn city_of(person: &str) -> String {
    let number: u32 = person.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
    format!("user-{}", number % KEYS as u32)
}

/// Where all windows of the program begin, so that a run does not depend on the moment of its start; long enough ago for no record
/// to be of the future, and not so long that changelogs delete it.
fn begin_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (since.as_millis() as i64 - 3_600_000) / 20_000 * 20_000
}

/// Records of one input: times go on by 1 to `step_ms`, and every sixth record is up to `late_ms` late. Only `residue` and the
/// like remain of a time by ten, so that no two topics share one: between equal times the order would be open.
fn records(random: &mut Random, name: &str, count: usize, (step_ms, late_ms, residue): (u64, u64, i64)) -> Vec<Sent> {
    let mut time_ms = begin_ms();
    (0..count)
        .map(|n| {
            time_ms += 1 + random.below(step_ms) as i64;
            let late_ms = if random.below(6) == 0 { random.below(late_ms) as i64 } else { 0 };
            let timestamp_ms = (time_ms - late_ms) / 10 * 10 + residue;
            let key = format!("user-{}", random.below(KEYS));
            let value = if name == "clicks" { format!("page-{}", random.below(9)) } else { format!("{name}-{n}") };
            let mut sent = Sent::text(&key, &value, timestamp_ms);
            if random.below(3) == 0 {
                sent.headers = sent.headers.with("trace", Some(n.to_string().as_bytes())).with("empty", None);
            }
            if name == "people" && random.below(5) == 0 {
                sent.value = None;
            }
            sent
        })
        .collect()
}

impl Shop {
    /// Runs both on the same input, to its end.
    fn run(java: &Java) -> Shop {
        let log = kafka(&java.brokers);
        let (inputs, name, theirs) = (unique("shop-in"), unique("shop"), unique("shop-streams"));
        let mut random = Random::from_env();
        let topics = INPUTS.map(|input| format!("{inputs}-{input}"));
        let mut sent = Vec::new();
        for (residue, (input, topic)) in INPUTS.iter().zip(&topics).enumerate() {
            create_topic(&log, topic, PARTITIONS);
            let (count, step_ms, late_ms) = if *input == "clicks" { (900, 300, 12_000) } else { (300, 1_200, 2_500) };
            let records = records(&mut random, input, count, (step_ms, late_ms, residue as i64));
            sent.extend(records.into_iter().map(|sent| (topic.as_str(), sent)));
        }
        java.produce_all(&sent.iter().map(|(topic, sent)| (*topic, sent)).collect::<Vec<_>>());
        for output in OUTPUTS {
            [&name, &theirs].iter().for_each(|prefix| create_topic(&log, &format!("{prefix}-{output}"), PARTITIONS));
        }
        let streams = java.start(&["streams", &java.brokers, &theirs, &inputs, &theirs], &[]);
        let kappa = Kappa::start(&log, &name, topology(&inputs, &name));
        let our_id = format!("{name}-v1");
        let mut topics = topics.to_vec();
        // In the order in which records go: what follows from those that are committed is in the next.
        let between = ["pages", "located-subscription-registration", "located-subscription-response"];
        topics.extend(between.map(|name| format!("{our_id}-{name}-repartition")));
        let kappa = kappa.wait_processed(&topics);
        Self::wait_purged(java, &topics[INPUTS.len()]);
        kappa.stop();
        streams.answers();
        Shop { log, theirs, ours: name, our_id }
    }

    /// An application's own topics, without its id.
    pub(crate) fn internal_topics(&self, id: &str) -> Vec<String> {
        let names = self.log.topics().and_then(|mut topics| topics.list(&format!("{id}-"))).expect("listed");
        let own = names.iter().filter_map(|name| name.strip_prefix(&format!("{id}-")));
        own.filter(|name| !OUTPUTS.contains(name)).map(str::to_owned).collect()
    }

    /// What is committed of the repartition topic is deleted, as Java's `beginningOffsets` says.
    fn wait_purged(java: &Java, topic: &str) {
        let mut offsets = Vec::new();
        let purged = wait_until(PATIENCE, || {
            offsets = java.offsets(topic);
            offsets.iter().all(|(beginning, end)| beginning == end)
        });
        assert!(purged, "beginnings and ends of {topic}: {offsets:?}");
        assert!(offsets.iter().any(|(_, end)| *end > 0), "nothing was written to {topic}");
    }
}

#[test]
fn one_program_gives_the_same_in_kafka_streams_and_in_kappa() {
    let Some(java) = Java::ready() else { return };
    let shop = Shop::run(&java);
    contents::compare(&java, &shop);
    configs::compare(&java, &shop);
    changelogs::compare(&java, &shop);
}
