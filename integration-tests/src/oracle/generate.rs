//! Scenarios of our own making: a function of the seed.
//!
//! They reach where the judge's generator does not: up to twelve keys (empty ones and ones that are prefixes of others
//! among them), long runs of records out of order, jumps far beyond every window, several records at one time, more
//! than one header, other parameters.

use super::{Family, Input, Params, Scenario, Step};
use crate::random::Random;
use std::collections::BTreeMap;

const KEYS: [&str; 12] = ["a", "b", "c", "d", "aa", "ab", "", "A", "z", "ž", "a-b", "10"];

/// Draws a value.
pub type DrawValue = Box<dyn Fn(&mut Random) -> String>;

/// What a family draws: parameters, and what the inputs are like.
pub struct Draw {
    /// Choices.
    pub random: Random,
    /// The parameters.
    pub params: Params,
    /// Topics that records come from.
    pub topics: Vec<String>,
    /// Keys, by topic where a topic has its own.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Values of all topics that have none of their own.
    pub value: DrawValue,
    /// Values by topic.
    pub values: BTreeMap<String, DrawValue>,
    /// All times are multiples of this.
    pub scale: i64,
    /// Percentages of records: with a null key, with a null value, with a negative timestamp.
    pub null_keys: u64,
    /// Null values, %.
    pub null_values: u64,
    /// Negative timestamps, %.
    pub negative: u64,
    /// Steps that move the wall clock, %.
    pub wall: u64,
    common_keys: Vec<String>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let scale = if random.below(8) == 0 { 1000 } else { 1 };
        let count = 1 + random.index(KEYS.len());
        let first = random.index(KEYS.len());
        let common_keys = KEYS.iter().cycle().skip(first).take(count).map(|key| (*key).to_owned()).collect();
        Self {
            random,
            params: Params::default(),
            topics: vec!["in".to_owned()],
            keys: BTreeMap::new(),
            value: Box::new(|random| match random.below(16) {
                0 => "x".to_owned(),
                1 => format!("-{}", random.below(100)),
                2 => String::new(),
                3 => "10x".to_owned(),
                _ => random.below(12).to_string(),
            }),
            values: BTreeMap::new(),
            scale,
            null_keys: 4,
            null_values: 10,
            negative: 0,
            wall: 2,
            common_keys,
        }
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.random.index(items.len())].clone()
    }

    /// With this chance, in percent.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.random.below((high - low + 1) as u64) as i64
    }

    /// Sets a parameter to one of these texts.
    pub fn choose(&mut self, name: &str, items: &[&str]) -> String {
        let chosen = self.pick(items);
        self.params.set(name, chosen);
        chosen.to_owned()
    }

    /// Sets a parameter to a duration from `low` to `high` units of the scenario's scale.
    pub fn duration(&mut self, name: &str, low: i64, high: i64) -> i64 {
        let chosen = self.between(low, high) * self.scale;
        self.params.set(name, chosen);
        chosen
    }

    /// Some scenarios with a cache, flushed by commits.
    pub fn maybe_cache(&mut self) {
        if self.chance(15) {
            self.params.set("cache_bytes", 10_000_000);
            self.params.set("commit", "manual");
        }
    }

    fn steps(&mut self) -> Vec<Step> {
        let manual = self.params.text("commit") == Some("manual");
        let count = self.between(1, 60);
        // A scenario has a temper: how disorderly it is, and how often time jumps.
        let (disorder, jumps, same) = (self.between(0, 60), self.between(0, 15), self.between(0, 40));
        let mut now = self.between(0, 50);
        let mut steps = Vec::new();
        for number in 0..count {
            if self.chance(self.wall) {
                let by = self.pick(&[1, 7, 10, 100, 500, 999, 1000, 1001, 5000]);
                steps.push(Step::Wall { advance_wall_ms: by });
                continue;
            }
            if manual && self.chance(12) {
                steps.push(Step::Commit { commit: true });
                continue;
            }
            let roll = self.between(0, 99);
            let ts = if roll < disorder {
                (now - self.between(1, 45)).max(0)
            } else if roll < disorder + jumps {
                now + self.between(20, 400)
            } else if roll < disorder + jumps + same {
                now
            } else {
                now + self.between(1, 8)
            };
            now = now.max(ts);
            steps.push(Step::Record(self.record(number, ts)));
        }
        steps
    }

    fn record(&mut self, number: i64, ts: i64) -> Input {
        let topic = self.topics[self.random.index(self.topics.len())].clone();
        let keys = self.keys.get(&topic).unwrap_or(&self.common_keys);
        let key = keys[self.random.index(keys.len())].clone();
        let draw = self.values.get(&topic).unwrap_or(&self.value);
        let value = draw(&mut self.random);
        let key = (!self.chance(self.null_keys)).then_some(key);
        let value = (!self.chance(self.null_values)).then_some(value);
        let ts = if self.chance(self.negative) { -self.between(1, 5) } else { ts * self.scale };
        let mut headers = BTreeMap::new();
        if self.chance(10) {
            headers.insert("h".to_owned(), number.to_string());
            if self.chance(40) {
                headers.insert("second".to_owned(), String::new());
            }
        }
        Input { topic, key, value, ts, headers }
    }
}

impl std::fmt::Debug for Draw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draw").field("params", &self.params).finish_non_exhaustive()
    }
}

/// The `number`th scenario of a seed for a topology.
pub fn scenario(topology: &str, family: &dyn Family, seed: u64, number: u64) -> Scenario {
    let name = topology.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut mixed = Random::seeded(seed ^ name.rotate_left(32));
    let mut draw = Draw::new(mixed.bits().wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    family.draw(&mut draw);
    let steps = draw.steps();
    Scenario { id: format!("{topology}/{seed}/{number}"), topology: topology.to_owned(), params: draw.params, steps }
}

#[cfg(test)]
mod tests {
    use super::super::families;
    use super::*;

    #[test]
    fn a_seed_is_repeatable_and_the_next_is_another() {
        for (name, family) in families::ALL {
            let one = scenario(name, *family, 7, 3);
            assert_eq!(one, scenario(name, *family, 7, 3));
            assert_ne!(one.steps, scenario(name, *family, 7, 4).steps);
            assert_ne!(one.steps, scenario(name, *family, 8, 3).steps);
        }
    }
}
