//! Flags and values of a command line; as much of a parser as these commands need.

use crate::Failure;

/// The words after the command's name, taken out one by one.
#[derive(Debug)]
pub(crate) struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    pub(crate) fn new(words: Vec<String>) -> Arguments {
        Arguments { words }
    }

    /// Takes out a flag; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// Takes out `--name VALUE` or `--name=VALUE`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let joined = format!("{name}=");
        let Some(at) = self.words.iter().position(|word| word == name || word.starts_with(&joined)) else {
            return Ok(None);
        };
        let word = self.words.remove(at);
        if let Some(value) = word.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        if at < self.words.len() && !self.words[at].starts_with("--") {
            return Ok(Some(self.words.remove(at)));
        }
        Err(format!("{name} needs a value").into())
    }

    /// Takes out `--name NUMBER`.
    pub(crate) fn number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name} needs a number, not `{text}`").into())
    }

    /// Takes out the first word that is left, if it is no flag.
    pub(crate) fn word(&mut self) -> Option<String> {
        let first = self.words.first()?;
        (!first.starts_with('-')).then(|| self.words.remove(0))
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Vec<String> {
        self.words
    }

    /// Refuses what nobody took.
    pub(crate) fn done(self) -> Result<(), Failure> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(format!("`{word}` means nothing here: `cargo xtask` lists the commands").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn values_come_joined_or_apart_and_the_rest_stays() {
        let mut given = arguments("up --nodes 3 --version=3.9.1 --sasl tail");
        assert_eq!(given.word().as_deref(), Some("up"));
        assert_eq!(given.number("--nodes").expect("a number"), Some(3_usize));
        assert_eq!(given.value("--version").expect("a value").as_deref(), Some("3.9.1"));
        assert!(given.flag("--sasl"));
        assert!(!given.flag("--sasl"));
        assert_eq!(given.rest(), ["tail"]);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert!(arguments("--port").value("--port").is_err());
        assert!(arguments("--port --sasl").value("--port").is_err());
        assert!(arguments("--port x").number::<u16>("--port").is_err());
        assert!(arguments("--prot 1").done().is_err());
        assert!(arguments("").done().is_ok());
    }
}
