//! What a test run said: libtest's lines counted, and the harness's own report of the tests against a real broker.

use std::collections::BTreeMap;
use std::path::Path;

/// Counts of one run of `cargo test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    /// Test programs, documentation tests of a crate counted as one.
    pub(crate) programs: usize,
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// Takes in one line of libtest's output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { return };
        self.programs += 1;
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next().and_then(|word| word.parse::<usize>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// The tests that asked for a real broker.
#[derive(Debug, Default)]
pub(crate) struct BrokerTests {
    pub(crate) ran: Vec<String>,
    /// Name and reason.
    pub(crate) skipped: BTreeMap<String, String>,
}

impl BrokerTests {
    pub(crate) fn read(path: &Path) -> BrokerTests {
        BrokerTests::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    fn parse(text: &str) -> BrokerTests {
        let mut tests = BrokerTests::default();
        for line in text.lines() {
            let mut fields = line.split('\t');
            let (what, name) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            match what {
                "ran" => tests.ran.push(name.to_owned()),
                "skipped" => {
                    tests.skipped.insert(name.to_owned(), fields.next().unwrap_or_default().to_owned());
                }
                _ => {}
            }
        }
        // A test may ask more than once.
        tests.ran.sort();
        tests.ran.dedup();
        tests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_counted() {
        let mut counts = Counts::default();
        let output = "running 3 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... ignored\n\
                      test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.04s\n\
                      test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.20s";
        output.lines().for_each(|line| counts.read(line));
        let expected = Counts { passed: 13, failed: 1, ignored: 1, programs: 2, failures: vec!["b::c".to_owned()] };
        assert_eq!(counts, expected);
    }

    #[test]
    fn the_harness_report_is_read() {
        let tests = BrokerTests::parse("ran\tb\t\nran\ta\t\nskipped\tc\tno java\nran\ta\t\n");
        assert_eq!(tests.ran, ["a", "b"]);
        assert_eq!(tests.skipped.into_iter().collect::<Vec<_>>(), [("c".to_owned(), "no java".to_owned())]);
    }
}
