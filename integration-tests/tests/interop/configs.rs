//! The internal topics' settings: every one of them, as the broker has it.

use super::java::{Configs, Java};
use super::shop::Shop;
use std::collections::BTreeSet;

/// Kafka Streams' topic and kappa's, without the application id.
pub(crate) const PAIRS: [(&str, &str); 17] = [
    ("cities-changelog", "cities-changelog"),
    ("closed-store-changelog", "closed-changelog"),
    ("hopping-changelog", "hopping-changelog"),
    ("located-changelog", "located-changelog"),
    ("located-subscription-registration-topic", "located-subscription-registration-repartition"),
    ("located-subscription-response-topic", "located-subscription-response-repartition"),
    ("located-subscription-store-changelog", "located-subscription-store-changelog"),
    ("pages-changelog", "pages-changelog"),
    ("pages-repartition", "pages-repartition"),
    ("paid-left-shared-join-store-changelog", "paid-waiting-changelog"),
    ("paid-outer-other-join-store-changelog", "paid-right-changelog"),
    ("paid-this-join-store-changelog", "paid-left-changelog"),
    ("people-changelog", "people-changelog"),
    ("prices-changelog", "prices-changelog"),
    ("sessions-changelog", "sessions-changelog"),
    ("sliding-changelog", "sliding-changelog"),
    ("tumbling-changelog", "tumbling-changelog"),
];

/// What only kappa has: the topic whose partitions are the tasks.
const OURS_ALONE: &str = "tasks";

pub(crate) fn compare(java: &Java, shop: &Shop) {
    let known = |own: &BTreeSet<&str>, id: &str| {
        let listed = shop.internal_topics(id);
        assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), *own, "internal topics of {id}");
    };
    known(&PAIRS.iter().map(|(theirs, _)| *theirs).collect(), &shop.theirs);
    known(&PAIRS.iter().map(|(_, ours)| *ours).chain([OURS_ALONE]).collect(), &shop.our_id);

    let names = |(theirs, ours): (&str, &str)| [format!("{}-{theirs}", shop.theirs), format!("{}-{ours}", shop.our_id)];
    let configs = java.configs(&PAIRS.into_iter().flat_map(names).collect::<Vec<_>>());
    assert_eq!(configs.len(), 2 * PAIRS.len());
    let differences: Vec<String> = configs.chunks(2).flat_map(|pair| differences(&pair[0], &pair[1])).collect();
    assert_eq!(differences, Vec::<String>::new());
}

fn differences(theirs: &Configs, ours: &Configs) -> Vec<String> {
    assert!(theirs.given.iter().any(|name| name == "cleanup.policy"), "{theirs:?}");
    let mut differences = Vec::new();
    let mut differ = |what: &str, theirs: String, ours_is: String| {
        if theirs != ours_is {
            differences.push(format!("{}: {what} is {theirs} in Kafka Streams and {ours_is} in kappa", ours.topic));
        }
    };
    differ("the number of partitions", theirs.partitions.to_string(), ours.partitions.to_string());
    for name in theirs.all.keys().chain(ours.all.keys()).collect::<BTreeSet<_>>() {
        let value = |configs: &Configs| format!("{:?}", configs.all.get(name));
        differ(name, value(theirs), value(ours));
    }
    differences
}
