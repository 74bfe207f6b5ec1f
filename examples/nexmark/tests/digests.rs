//! The queries give what a plain computation gives: this crate's, and where Kafka Streams' peer has the query, the peer's
//! (`peer.sh expect --query q0,q1,q2,q3,q4,q5,q7,q8 --events 20000 --seed 1`).

use nexmark::{LastSales, Query, Sale, expected, run};

/// The peer's results of the first 20,000 events of seed 1.
const PEER: [(Query, &str); 8] = [
    (Query::Q0, "18400 cdada9fc8f5a0765fbde3c564553df02"),
    (Query::Q1, "18400 7a00d8007e7d19f6b4c07bae193cfb08"),
    (Query::Q2, "82 218d8984aef6c5337a3d6700c3dc836c"),
    (Query::Q3, "109 dfbaf2331b3ae0cf34bebbfedc707f71"),
    (Query::Q4, "5 7d94c83435386f67971ae8f9b11b9eeb"),
    (Query::Q5, "5 0fb65b859dab37a0df2b4e7ac62ab94d"),
    (Query::Q7, "1 e859d290c5972d9a31dda5ec7b23a121"),
    (Query::Q8, "198 0dab20446cfe2eb4f695c752df98c65d"),
];

#[test]
fn results_equal_those_of_a_plain_computation() {
    for (query, events, seed) in Query::ALL.into_iter().flat_map(|query| [(query, 20_000, 1), (query, 12_000, 2)]) {
        let (found, expected) = (run(query, events, seed).unwrap(), expected(query, events, seed));
        assert_eq!((found.count(), found.to_string()), (expected.count(), expected.to_string()), "{query:?} {seed}");
        assert!(found.count() > 0, "{query:?}");
        let peer = PEER.iter().find(|(peers, _)| *peers == query && seed == 1);
        if let Some((_, wanted)) = peer {
            assert_eq!(format!("{} {found}", found.count()), *wanted, "{query:?}");
        }
    }
}

/// Over as many events as there are several windows.
#[test]
fn the_plain_computation_gives_the_peers_results_of_two_million_events() {
    for (query, wanted) in [
        (Query::Q3, "10964 c297ac4c1cf3330c27177e5ad045bdf5"),
        (Query::Q4, "5 b982e9498ba9fcb7e5b37e1283a10653"),
        (Query::Q5, "104 89eadaf2baff62fc993847e7c6b2ee79"),
        (Query::Q7, "20 7e95cbaea09006676e420f4dae793234"),
        (Query::Q8, "16853 fbfc6204889f8e5c98b11555db8ea78f"),
    ] {
        let found = expected(query, 2_000_000, 1);
        assert_eq!(format!("{} {found}", found.count()), wanted, "{query:?}");
    }
}

#[test]
fn ten_sales_are_kept_and_one_that_is_put_in_again_finds_its_place() {
    let sale = |auction: i64, price| Sale { auction, expires: auction * 10, price };
    let all = (1..=12).rev().fold(LastSales::default(), |sales, auction| sales.with(&sale(auction, auction)));
    assert_eq!(all.0.iter().map(|sale| sale.auction).collect::<Vec<_>>(), (3..=12).collect::<Vec<_>>());
    // 3 to 12: 75 in ten. With 105 in place of 5: 175.
    assert_eq!(all.average(), Some(7));
    let raised = all.without(&sale(5, 5)).with(&sale(5, 105));
    assert_eq!((raised.0.len(), raised.average()), (10, Some(17)));
    assert_eq!(LastSales::default().average(), None);
}
