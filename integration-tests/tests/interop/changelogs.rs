//! The changelogs' bytes.

use super::java::Java;
use super::shop::Shop;

pub(crate) fn compare(java: &Java, shop: &Shop) {
    let mut topics = shop.log.topics().expect("topics");
    for id in [&shop.theirs, &shop.our_id] {
        for topic in topics.list(id).expect("listed") {
            if topic.ends_with("-changelog") {
                let found = java.consume(&topic);
                println!("{topic} {}", found.len());
                for found in found.iter().take(3) {
                    println!("   {} {:?} {:?} {} {:?}", found.partition, found.key.as_deref().map(|b| b.escape_ascii().to_string()), found.value.as_deref().map(|b| b.escape_ascii().to_string()), found.timestamp_ms, found.headers);
                }
            }
        }
    }
}
