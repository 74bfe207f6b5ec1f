//! Parking in the simulator: records fail until they are mended, commands come at any time, and once all is processed everything
//! is mended and released.

use crate::world::World;
use kappa_core::log::{AppendBatch, AppendOptions, Headers, Log, TopicPartition};
use kappa_core::parking::ParkingCommand;
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static MENDED: Cell<bool> = const { Cell::new(false) };
    static RELEASED: Cell<bool> = const { Cell::new(false) };
}

/// Nothing fails any more.
pub(crate) fn is_mended() -> bool {
    MENDED.get()
}

/// Everything has been released, with nothing failing any more.
pub(crate) fn is_released() -> bool {
    RELEASED.get()
}

/// Does something while nothing fails.
pub(crate) fn mended<T>(what: impl FnOnce() -> T) -> T {
    MENDED.set(true);
    let done = what();
    MENDED.set(false);
    done
}

/// A seed begins.
pub(crate) fn begin() {
    MENDED.set(false);
    RELEASED.set(false);
}

impl World {
    /// Something happens to what is parked.
    pub(crate) fn stir_parked(&self) {
        if self.controls.is_empty() {
            return;
        }
        let (kind, topic, partition, key) = {
            let mut random = self.random.borrow_mut();
            (random.below(12), random.index(self.controls.len()), random.index(3) as i32, random.below(6) as u8)
        };
        if kind == 0 {
            MENDED.set(!MENDED.get());
            return self.say(|| format!("records {}", if is_mended() { "are mended" } else { "fail" }));
        }
        let (control, source) = &self.controls[topic];
        let value = match kind {
            1..6 => ParkingCommand::release_all().to_bytes(),
            6..11 => ParkingCommand::release(source, [b'a' + key]).to_bytes(),
            _ => b"nonsense".to_vec(),
        };
        if self.command(control, partition, &value) {
            self.say(|| format!("command to {control}-{partition}: {}", String::from_utf8_lossy(&value)));
        }
    }

    /// Mends everything and has all released.
    pub(crate) fn release_parked(&self) {
        MENDED.set(true);
        RELEASED.set(true);
        for (control, _) in &self.controls {
            let all = ParkingCommand::release_all().to_bytes();
            let _ = (0..).take_while(|partition| self.command(control, *partition, &all)).count();
        }
        self.say(|| "everything is mended and released".to_owned());
    }

    /// Writes a control record; false where there is no such partition (yet).
    fn command(&self, topic: &str, partition: i32, value: &[u8]) -> bool {
        if self.log.inspect(&TopicPartition::new(topic, partition)).is_err() {
            return false;
        }
        self.in_peace(|| {
            let options = AppendOptions {
                client_id: "operator".into(),
                transactional_id: None,
                transaction_timeout: Duration::from_secs(1),
                linger: Duration::ZERO,
                buffer_bytes: 1 << 20,
            };
            let mut client = self.log.append(options).expect("an appender");
            let topic = client.topic(topic, false).expect("a control topic");
            let mut batch = AppendBatch::default();
            batch.push(topic, partition, 0, None, Some(value), Headers::empty());
            client.append(&batch).and_then(|()| client.flush(Duration::ZERO)).expect("written");
        });
        true
    }
}
