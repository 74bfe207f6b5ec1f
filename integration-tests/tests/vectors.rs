//! What Kafka Streams 4.3.0 was seen to do, recorded: no Java is needed to check it.

use kappa_integration_tests::oracle::{families, vectors};

#[test]
fn every_recorded_pair_is_the_same_in_kappa() {
    let files = vectors::all().unwrap();
    let checked: usize = files.iter().map(|(_, pairs)| pairs.len()).sum();
    let wrong: Vec<String> =
        files.iter().flat_map(|(_, pairs)| pairs).filter_map(|pair| vectors::check(pair).err()).collect();
    assert!(wrong.is_empty(), "{} of {checked} differ, the first:\n{}", wrong.len(), wrong[0]);
}

#[test]
fn every_family_has_recorded_pairs() {
    let files = vectors::all().unwrap();
    for (name, _) in families::ALL {
        let recorded = files.iter().any(|(file, pairs)| file == name && !pairs.is_empty());
        assert!(recorded, "record some: cargo xtask oracle --record {name} 20");
    }
}
