//! The internal topics' settings, name by name.

use super::java::{Configs, Java};
use super::shop::Shop;

/// Kafka Streams' topic and kappa's.
const PAIRS: [(&str, &str); 0] = [];

pub(crate) fn compare(java: &Java, shop: &Shop) {
    let mut topics = shop.log.topics().expect("topics");
    let internal = |names: Vec<String>, id: &str| -> Vec<String> {
        names.into_iter().filter(|name| name.starts_with(id) && (name.ends_with("-changelog") || name.ends_with("-repartition") || name.ends_with("-tasks"))).collect()
    };
    let theirs = internal(topics.list(&shop.theirs).expect("listed"), &shop.theirs);
    let ours = internal(topics.list(&shop.our_id).expect("listed"), &shop.our_id);
    for config in java.configs(&theirs).iter().chain(&java.configs(&ours)) {
        let given: Vec<String> = config.given.iter().map(|name| format!("{name}={}", config.all[name])).collect();
        println!("{} {} {given:?}", config.topic, config.partitions);
    }
    let _ = (PAIRS, None::<Configs>);
}
