//! The fixed functions that topologies are made of, by the names that the judge's README gives them.
//!
//! Keys and values are texts or null.

/// A key or a value: a text, or null.
pub type Value = Option<String>;

/// The predicates.
pub const PREDICATES: [&str; 6] = ["nonnull", "key_a", "even", "has_x", "true", "false"];

/// A text or null, as Java's `+` shows it.
pub fn show(value: Option<&str>) -> &str {
    value.unwrap_or("null")
}

/// `left + right` in Java, where null shows as such.
pub fn plus(left: &Value, right: &str) -> String {
    format!("{}{right}", show(left.as_deref()))
}

/// The decimal value; 0 where it is none.
pub fn number(value: Option<&str>) -> i64 {
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The first character; null where there is none.
pub fn first(value: &Value) -> Value {
    value.as_ref()?.chars().next().map(String::from)
}

/// Whether a predicate holds.
pub fn holds(name: &str, key: &Value, value: &Value) -> bool {
    match name {
        "nonnull" => value.is_some(),
        "key_a" => key.as_deref() == Some("a"),
        "even" => number(value.as_deref()) % 2 == 0,
        "has_x" => value.as_ref().is_some_and(|value| value.contains('x')),
        "true" => true,
        "false" => false,
        other => panic!("there is no predicate {other}"),
    }
}

/// A function of `map`.
pub fn map(name: &str, key: &Value, value: &Value) -> (Value, Value) {
    match name {
        "swap" => (value.clone(), key.clone()),
        "same" => (key.clone(), value.clone()),
        "bang" => (key.clone(), Some(plus(value, "!"))),
        other => panic!("there is no map {other}"),
    }
}

/// A function of `flatMap`.
pub fn flat_map(name: &str, key: &Value, value: &Value) -> Vec<(Value, Value)> {
    match (name, value) {
        ("dup", Some(text)) => {
            vec![(key.clone(), Some(format!("{text}1"))), (value.clone(), Some(format!("{text}2")))]
        }
        ("dup", None) | ("none", _) => Vec::new(),
        (other, _) => panic!("there is no flatMap {other}"),
    }
}

/// A function of `selectKey` and `groupBy`.
pub fn select_key(name: &str, key: &Value, value: &Value) -> Value {
    match name {
        "value" => value.clone(),
        "first" => first(value),
        "const" => Some("c".to_owned()),
        "null" => None,
        "same" => key.clone(),
        other => panic!("there is no selectKey {other}"),
    }
}

/// A function of `mapValues`.
pub fn map_value(name: &str, key: &Value, value: &Value) -> Value {
    match name {
        "bang" => Some(plus(value, "!")),
        "with_key" => Some(format!("{}:{}", show(key.as_deref()), show(value.as_deref()))),
        "null" => None,
        "even_or_null" => value.clone().filter(|text| number(Some(text)) % 2 == 0),
        other => panic!("there is no mapValues {other}"),
    }
}

/// A function of `flatMapValues`.
pub fn flat_map_value(name: &str, value: &Value) -> Vec<Value> {
    let Some(text) = value else { return Vec::new() };
    match name {
        "dup" => vec![value.clone(), Some(format!("{text}'"))],
        "chars" => text.chars().map(|letter| Some(letter.to_string())).collect(),
        "none" => Vec::new(),
        other => panic!("there is no flatMapValues {other}"),
    }
}

/// The joiner of all joins.
pub fn join(left: Option<&str>, right: Option<&str>) -> String {
    format!("{}+{}", show(left), show(right))
}

/// What an aggregate begins with.
pub fn initial(aggregate: &str) -> Value {
    match aggregate {
        "sum" => Some("0".to_owned()),
        "null_init" => None,
        _ => Some("I".to_owned()),
    }
}

/// Takes a value into an aggregate. A value can be null in windows.
pub fn add(aggregate: &str, value: Option<&str>, sum: &Value) -> Value {
    match aggregate {
        "sum" => Some(number(sum.as_deref()).wrapping_add(number(value)).to_string()),
        "nullable" if value == Some("x") => None,
        _ => Some(format!("{}+{}", show(sum.as_deref()), show(value))),
    }
}

/// Takes a value out of an aggregate.
pub fn subtract(aggregate: &str, value: Option<&str>, sum: &Value) -> Value {
    match aggregate {
        "sum" => Some(number(sum.as_deref()).wrapping_sub(number(value)).to_string()),
        "nullable" if value == Some("x") => None,
        _ => Some(format!("{}-{}", show(sum.as_deref()), show(value))),
    }
}

/// The reducer of streams.
pub fn reduce(old: &str, new: &str) -> String {
    format!("{old},{new}")
}

/// The subtracting reducer of tables.
pub fn reduce_out(old: &str, gone: &str) -> String {
    format!("{old}-{gone}")
}

/// Merges the aggregates of two sessions.
pub fn merge(aggregate: &str, one: &Value, other: &Value) -> Value {
    match aggregate {
        "sum" => Some(number(one.as_deref()).wrapping_add(number(other.as_deref())).to_string()),
        _ => Some(format!("({}|{})", show(one.as_deref()), show(other.as_deref()))),
    }
}
