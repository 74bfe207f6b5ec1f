//! A topology's parameters, with their types.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A topology's parameters. What is null is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(pub Map<String, Value>);

impl Params {
    /// A parameter that is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether it is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A text, or this one.
    pub fn text_or<'p>(&'p self, name: &str, otherwise: &'p str) -> &'p str {
        self.text(name).unwrap_or(otherwise)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    /// A number, or this one.
    pub fn number_or(&self, name: &str, otherwise: i64) -> i64 {
        self.number(name).unwrap_or(otherwise)
    }

    /// Whether it is there and true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A list of objects, such as `ops`; empty where it is absent.
    pub fn list(&self, name: &str) -> Vec<Params> {
        let items = self.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().map(|item| Params(item.as_object().cloned().unwrap_or_default())).collect()
    }

    /// A list of texts; empty where it is absent.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let items = self.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    /// An object, such as `suppress`; empty where it is absent.
    pub fn object(&self, name: &str) -> Params {
        Params(self.get(name).and_then(Value::as_object).cloned().unwrap_or_default())
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}
