//! What is done to a topology and what came of it, in the judge's JSON.

use super::Params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is done to a topology.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// A name to find it by.
    pub id: String,
    /// The topology.
    pub topology: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Params,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// The wall clock moves.
    Wall {
        /// By how much.
        advance_wall_ms: i64,
    },
    /// Caches are flushed.
    Commit {
        /// Always true.
        commit: bool,
    },
    /// A record comes.
    Record(Input),
}

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The topic.
    pub topic: String,
    /// The key.
    #[serde(default)]
    pub key: Option<String>,
    /// The value.
    #[serde(default)]
    pub value: Option<String>,
    /// The timestamp, ms.
    pub ts: i64,
    /// The headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What came of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's.
    #[serde(default)]
    pub id: String,
    /// What was written, in the order of writing over all topics.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// The rows of each store at the end, sorted; absent where a step failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stores: Option<BTreeMap<String, Vec<Row>>>,
    /// How many records were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// What ended it early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was at the bottom of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The step that failed; −1 where it was the building, or the reading of the stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_step: Option<i64>,
    /// kappa's topology goes through topics of its own.
    #[serde(skip)]
    pub repartitions: bool,
}

/// A record that was written, or a peek at one: then the topic is `#peek` and there is only a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Output {
    /// Index of the step that it follows from.
    pub step: usize,
    /// The topic.
    pub topic: String,
    /// The key.
    #[serde(default)]
    pub key: Option<String>,
    /// The value.
    #[serde(default)]
    pub value: Option<String>,
    /// The timestamp, ms.
    #[serde(default)]
    pub ts: i64,
    /// The window, where the key has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The headers, names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Option<String>)>,
}

/// A window, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// Where it starts.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
}

/// A row of a store: key, window, value, timestamp.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row(pub String, pub Option<Window>, pub String, pub Option<i64>);

/// A scenario with what Kafka Streams made of it: a recorded vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What was done.
    pub scenario: Scenario,
    /// What came of it.
    pub result: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the judge's README and hand-written scenarios.
    #[test]
    fn the_judges_json_is_understood() {
        let line = r#"{"id":"x","topology":"aggregate","params":{"agg":"sum"},"steps":[{"topic":"in","key":null,
            "value":"1","ts":5,"headers":{"h":"3"}},{"advance_wall_ms":10},{"commit":true}]}"#;
        let scenario: Scenario = serde_json::from_str(line).unwrap();
        assert_eq!(scenario.params.text("agg"), Some("sum"));
        assert_eq!(scenario.steps[1..], [Step::Wall { advance_wall_ms: 10 }, Step::Commit { commit: true }]);
        let Step::Record(input) = &scenario.steps[0] else { panic!("{:?}", scenario.steps[0]) };
        assert_eq!((&input.key, input.headers["h"].as_str()), (&None, "3"));
        let written = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&written).unwrap(), scenario);

        let line = r##"{"id":"x","outputs":[{"step":0,"topic":"out","key":"a","value":null,"ts":4,
            "window":{"start":0,"end":10},"headers":[["h","3"]]},{"step":1,"topic":"#peek","value":"0:a=1"}],
            "stores":{"agg":[["a",{"start":0,"end":10},"I+1",4],["b",null,"2",null]]},"dropped":2}"##;
        let outcome: Outcome = serde_json::from_str(line).unwrap();
        assert_eq!(outcome.outputs[0].window, Some(Window { start: 0, end: 10 }));
        assert_eq!(outcome.stores.unwrap()["agg"][1], Row("b".into(), None, "2".into(), None));
    }
}
