//! What happened, one line an event. Lines are made only where they are wanted: a seed that fails is run again for them.

use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<VecDeque<String>>,
    keep: usize,
}

impl Trace {
    pub(crate) fn off() -> Self {
        Self::default()
    }

    /// Keeps the last lines.
    pub(crate) fn last(keep: usize) -> Self {
        Self { lines: Some(VecDeque::new()), keep }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    pub(crate) fn push(&mut self, line: String) {
        if let Some(lines) = &mut self.lines {
            if lines.len() == self.keep {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default().into()
    }
}
