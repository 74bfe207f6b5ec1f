//! What a person watches: lines, and one bar that is drawn anew in place where standard output is a terminal,
//! and printed now and then where it is none.

use std::io::{IsTerminal, Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const BAR_CELLS: usize = 28;
const PLAIN_INTERVAL: Duration = Duration::from_secs(2);

/// Standard output, shared by threads.
#[derive(Debug, Clone)]
pub struct Screen {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    terminal: bool,
    bar: Option<String>,
    printed: Option<Instant>,
}

impl Screen {
    /// Standard output.
    pub fn new() -> Self {
        let shared = Shared { terminal: stdout().is_terminal(), bar: None, printed: None };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Prints a line, above the bar if there is one.
    pub fn line(&self, line: impl AsRef<str>) {
        let shared = self.lock();
        shared.clear();
        shared.write(&format!("{}\n", line.as_ref()));
        shared.draw();
    }

    /// A heading: a step of the story.
    pub fn step(&self, title: &str) {
        let (bold, plain) = if self.lock().terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.line(format!("\n{bold}{title}{plain}"));
    }

    /// Shows the bar.
    pub fn bar(&self, label: &str, done: u64, total: u64, pace: &Pace) {
        let bar = bar(label, done, total, pace);
        let mut shared = self.lock();
        if shared.terminal {
            shared.clear();
            shared.bar = Some(bar);
            shared.draw();
        } else if shared.printed.is_none_or(|printed| printed.elapsed() >= PLAIN_INTERVAL) {
            shared.printed = Some(Instant::now());
            shared.write(&format!("{bar}\n"));
        }
    }

    /// Leaves the bar's last state as a line.
    pub fn end_bar(&self, label: &str, total: u64, pace: &Pace) {
        let mut shared = self.lock();
        shared.clear();
        (shared.bar, shared.printed) = (None, None);
        shared.write(&format!("{}\n", bar(label, total, total, pace)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn clear(&self) {
        if self.terminal && self.bar.is_some() {
            self.write("\r\x1b[2K");
        }
    }

    fn draw(&self) {
        if let Some(bar) = &self.bar {
            self.write(bar);
        }
    }

    /// A closed pipe ends the showing, not the demo.
    fn write(&self, text: &str) {
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// How fast something goes, measured since its start.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    from: u64,
    done: u64,
    elapsed: Duration,
}

impl Pace {
    /// Begins to measure at `from`.
    pub fn start(from: u64) -> Self {
        Self { start: Instant::now(), from, done: from, elapsed: Duration::ZERO }
    }

    /// Notes how far it is.
    pub fn note(&mut self, done: u64) {
        if done > self.done {
            (self.done, self.elapsed) = (done, self.start.elapsed());
        }
    }

    /// Records a second, up to the last progress.
    pub fn per_second(&self) -> u64 {
        let ms = self.elapsed.as_millis().max(1) as u64;
        (self.done - self.from) * 1_000 / ms
    }

    fn eta_s(&self, total: u64) -> Option<u64> {
        Some(total.saturating_sub(self.done).div_ceil(self.per_second().max(1))).filter(|_| self.done > self.from)
    }
}

fn bar(label: &str, done: u64, total: u64, pace: &Pace) -> String {
    let done = done.min(total);
    let full = if total == 0 { BAR_CELLS } else { (done as usize * BAR_CELLS) / total as usize };
    let cells: String = (0..BAR_CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect();
    let rate = number(pace.per_second().cast_signed());
    let eta = match pace.eta_s(total) {
        _ if done == total => format!("in {:.1} s", pace.elapsed.as_secs_f64()),
        Some(seconds) => format!("{seconds} s to go"),
        None => "starting".to_owned(),
    };
    let total = total.cast_signed();
    format!("   {label}  {cells}  {} of {} flights, {rate}/s, {eta}", number(done.cast_signed()), number(total))
}

/// `-1234567` as `-1,234,567`.
pub fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        let shown: Vec<String> = [0, -5, 999, -1_000, 1_234_567].into_iter().map(number).collect();
        assert_eq!(shown, ["0", "-5", "999", "-1,000", "1,234,567"]);
    }

    #[test]
    fn the_bar_shows_how_far_how_fast_and_how_long() {
        let pace = Pace { start: Instant::now(), from: 0, done: 5_000, elapsed: Duration::from_secs(2) };
        let half = bar("v2", 5_000, 10_000, &pace);
        assert_eq!(
            half,
            format!("   v2  {}{}  5,000 of 10,000 flights, 2,500/s, 2 s to go", "█".repeat(14), "░".repeat(14))
        );
        assert!(bar("v2", 10_000, 10_000, &pace).ends_with("10,000 of 10,000 flights, 2,500/s, in 2.0 s"));
        assert!(bar("v2", 0, 10_000, &Pace::start(0)).ends_with("0 of 10,000 flights, 0/s, starting"));
    }
}
