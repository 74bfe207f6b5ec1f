//! The queries give what a plain computation of the peer gives (`peer.sh expect --query q3,q4,q5,q7,q8 --events 20000 --seed 1`).

use nexmark::{Query, run};

#[test]
fn results_equal_the_peers() {
    let expected = [
        (109, "dfbaf2331b3ae0cf34bebbfedc707f71"),
        (5, "7d94c83435386f67971ae8f9b11b9eeb"),
        (5, "0fb65b859dab37a0df2b4e7ac62ab94d"),
        (1, "e859d290c5972d9a31dda5ec7b23a121"),
        (198, "0dab20446cfe2eb4f695c752df98c65d"),
    ];
    for (query, (rows, digest)) in Query::ALL.into_iter().zip(expected) {
        assert_eq!(run(query, 20_000, 1).unwrap(), (rows, digest.to_owned()), "{query:?}");
    }
}
