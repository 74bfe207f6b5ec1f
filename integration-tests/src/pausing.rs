//! A log whose user freezes itself at a chosen call of the seam: a decorator around the stream threads' clients.
//!
//! The test writes an [`Order`] into a folder that it shares with the process under test; the process takes it, counts its own
//! calls, writes a marker, and raises SIGSTOP on itself. Orders come one after the other, so one process can be frozen many times.
//!
//! **Invariants:**
//! - Clients of other parts (restore, registry) don't count: their ids are not of the form `<application id>-<identity>-<thread>`.
//! - A marker is there from before the process stands still until it goes on, and an order is gone once it is taken.

use crate::process::Process;
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, Assignment, Fetch, FetchOptions, GroupOffsets, Log, LogError, Member,
    MemberStamp, Membership, MembershipEvent, MembershipOptions, OffsetCommit, Polled, Position, SharedLog, Token,
    TopicHandle, Topics,
};
use kappa_test_broker::signal::{self, Signal};
use kappa_test_broker::wait::wait_until;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ORDER: &str = "order";
const MARKER: &str = "frozen";
const GO: &str = "go";
/// How long a thread that woke is held for its process to be a member again.
const HELD: Duration = Duration::from_secs(60);

/// A moment of the way from poll to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A poll has brought records.
    AfterPoll,
    /// Records have been appended.
    AfterAppend,
    /// A commit is about to ask for the member's stamp.
    BeforeStamp,
    /// It has the stamp.
    BeforeSendOffsets,
    /// The log has taken the offsets.
    AfterSendOffsets,
    /// The end of the transaction is about to be asked for.
    BeforeCommit,
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 6] = [
        Point::AfterPoll,
        Point::AfterAppend,
        Point::BeforeStamp,
        Point::BeforeSendOffsets,
        Point::AfterSendOffsets,
        Point::BeforeCommit,
    ];

    fn name(self) -> &'static str {
        match self {
            Point::AfterPoll => "after-poll",
            Point::AfterAppend => "after-append",
            Point::BeforeStamp => "before-stamp",
            Point::BeforeSendOffsets => "before-send-offsets",
            Point::AfterSendOffsets => "after-send-offsets",
            Point::BeforeCommit => "before-commit",
        }
    }
}

/// Freeze when a point is reached for the n-th time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Where.
    pub point: Point,
    /// At which time, from 1.
    pub count: u32,
    /// Only at [`Point::BeforeStamp`]: the thread that woke goes on when the process is a member again, and not before. So a
    /// scheduler may do, and it is the one moment at which a fresh stamp meets old work.
    pub hold: bool,
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}{}", self.point.name(), self.count, if self.hold { ":hold" } else { "" })
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Order, String> {
        let wrong = || format!("`{text}` is no order: <point>:<count> or <point>:<count>:hold");
        let mut parts = text.trim().split(':');
        let name = parts.next().ok_or_else(wrong)?;
        let point = Point::ALL.into_iter().find(|point| point.name() == name).ok_or_else(wrong)?;
        let count = parts.next().and_then(|count| count.parse().ok()).filter(|count| *count > 0).ok_or_else(wrong)?;
        Ok(Order { point, count, hold: parts.next() == Some("hold") })
    }
}

/// The test's side: gives orders, and learns that one was carried out.
#[derive(Debug, Clone)]
pub struct Freezer(PathBuf);

impl Freezer {
    /// Over this folder, which is made.
    ///
    /// # Panics
    /// Where the folder can't be made or written; so do all methods.
    pub fn new(dir: &Path) -> Freezer {
        fs::create_dir_all(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        Freezer(dir.to_owned())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Gives an order.
    pub fn order(&self, order: Order) {
        for old in [MARKER, GO] {
            let _ = fs::remove_file(self.0.join(old));
        }
        // Renamed, so that it is never read half written.
        let new = self.0.join("order.new");
        let given = fs::write(&new, order.to_string()).and_then(|()| fs::rename(&new, self.0.join(ORDER)));
        given.unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
    }

    /// Lets the process go on. A busy machine may deliver the signal that stops it after the first one that continues it.
    pub fn release(&self, process: &Process) {
        let go = fs::write(self.0.join(GO), "");
        go.unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        let released = wait_until(HELD, || {
            process.unfreeze();
            !self.is_frozen()
        });
        assert!(released, "it does not go on\n{}", process.log());
    }

    /// Whether the process has written that it freezes now, and has not gone on since.
    pub fn is_frozen(&self) -> bool {
        self.0.join(MARKER).exists()
    }

    /// Takes the order back; false if it was taken already.
    pub fn cancel(&self) -> bool {
        fs::remove_file(self.0.join(ORDER)).is_ok()
    }
}

/// The side of the process under test.
#[derive(Debug)]
struct Pauses {
    dir: PathBuf,
    order: Mutex<Option<Order>>,
}

impl Pauses {
    /// Freezes here, if that was ordered; true when the process has been let go on again and the thread is to be held.
    fn reach(&self, point: Point) -> bool {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if order.is_none() {
            *order = self.take_order();
        }
        let Some(wanted) = order.as_mut().filter(|order| order.point == point) else { return false };
        wanted.count -= 1;
        if wanted.count > 0 {
            return false;
        }
        let hold = wanted.hold;
        *order = None;
        drop(order);
        if let Err(error) = fs::write(self.dir.join(MARKER), point.name()) {
            eprintln!("the marker could not be written: {error}");
        }
        signal::send(std::process::id(), Signal::Stop);
        // The signal may take effect a little later than it is sent, and this thread must not get away meanwhile.
        wait_until(HELD, || fs::remove_file(self.dir.join(GO)).is_ok());
        let _ = fs::remove_file(self.dir.join(MARKER));
        hold
    }

    fn take_order(&self) -> Option<Order> {
        let path = self.dir.join(ORDER);
        let text = fs::read_to_string(&path).ok()?;
        let _ = fs::remove_file(&path);
        text.parse().map_err(|error| eprintln!("{error}")).ok()
    }
}

/// A log whose stream threads freeze the process when they are told to.
#[derive(Debug)]
pub struct PausingLog {
    inner: SharedLog,
    pauses: Arc<Pauses>,
    application_id: String,
}

impl PausingLog {
    /// Around `inner`; orders come through the folder `dir` (see [`Freezer`]).
    pub fn new(inner: SharedLog, dir: &Path, application_id: &str) -> PausingLog {
        let pauses = Arc::new(Pauses { dir: dir.to_owned(), order: Mutex::new(None) });
        PausingLog { inner, pauses, application_id: application_id.to_owned() }
    }

    fn is_a_stream_thread(&self, client_id: &str) -> bool {
        let rest = client_id.strip_prefix(&self.application_id).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| !rest.starts_with("restore") && !rest.starts_with("takeover"))
    }
}

impl Log for PausingLog {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn topics(&self) -> Result<Box<dyn Topics>, LogError> {
        self.inner.topics()
    }

    fn fetch(&self, options: FetchOptions) -> Result<Box<dyn Fetch>, LogError> {
        let ours = self.is_a_stream_thread(&options.client_id);
        let inner = self.inner.fetch(options)?;
        Ok(if ours { Box::new(PausingFetch { inner, pauses: Arc::clone(&self.pauses) }) } else { inner })
    }

    fn append(&self, options: AppendOptions) -> Result<Box<dyn Append>, LogError> {
        let ours = self.is_a_stream_thread(&options.client_id);
        let inner = self.inner.append(options)?;
        Ok(if ours { Box::new(PausingAppend { inner, pauses: Arc::clone(&self.pauses) }) } else { inner })
    }

    fn join(&self, options: MembershipOptions) -> Result<Box<dyn Membership>, LogError> {
        let inner = self.inner.join(options)?;
        Ok(Box::new(PausingMembership { inner, pauses: Arc::clone(&self.pauses) }))
    }

    fn group_offsets(&self, group: &str) -> Result<Box<dyn GroupOffsets>, LogError> {
        self.inner.group_offsets(group)
    }
}

#[derive(Debug)]
struct PausingFetch {
    inner: Box<dyn Fetch>,
    pauses: Arc<Pauses>,
}

impl Fetch for PausingFetch {
    fn assign(&mut self, partitions: &[Assignment]) -> Result<(), LogError> {
        self.inner.assign(partitions)
    }

    fn unassign(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.inner.unassign(tokens)
    }

    fn pause(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.inner.pause(tokens)
    }

    fn resume(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.inner.resume(tokens)
    }

    fn poll(&mut self, max_records: usize, timeout: Duration) -> Result<Polled, LogError> {
        let polled = self.inner.poll(max_records, timeout)?;
        if polled.batch.as_ref().is_some_and(|batch| !batch.is_empty()) {
            self.pauses.reach(Point::AfterPoll);
        }
        Ok(polled)
    }

    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.inner.close(deadline)
    }
}

#[derive(Debug)]
struct PausingAppend {
    inner: Box<dyn Append>,
    pauses: Arc<Pauses>,
}

impl Append for PausingAppend {
    fn topic(&mut self, name: &str, report_position: bool) -> Result<TopicHandle, LogError> {
        self.inner.topic(name, report_position)
    }

    fn init(&mut self, deadline: Duration) -> Result<(), LogError> {
        self.inner.init(deadline)
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.inner.begin()
    }

    fn append(&mut self, batch: &AppendBatch) -> Result<(), LogError> {
        let appended = self.inner.append(batch);
        self.pauses.reach(Point::AfterAppend);
        appended
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit], member: &MemberStamp) -> Result<(), LogError> {
        self.pauses.reach(Point::BeforeSendOffsets);
        let sent = self.inner.send_offsets(offsets, member);
        if sent.is_ok() {
            self.pauses.reach(Point::AfterSendOffsets);
        }
        sent
    }

    fn commit(&mut self) -> Result<Vec<Position>, LogError> {
        self.pauses.reach(Point::BeforeCommit);
        self.inner.commit()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.inner.abort()
    }

    fn flush(&mut self, deadline: Duration) -> Result<Vec<Position>, LogError> {
        self.inner.flush(deadline)
    }

    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.inner.close(deadline)
    }
}

#[derive(Debug)]
struct PausingMembership {
    inner: Box<dyn Membership>,
    pauses: Arc<Pauses>,
}

impl Membership for PausingMembership {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MembershipEvent>, LogError> {
        self.inner.poll(timeout)
    }

    fn acknowledge(&mut self) -> Result<(), LogError> {
        self.inner.acknowledge()
    }

    fn member(&self) -> Arc<dyn Member> {
        Arc::new(PausingMember { inner: self.inner.member(), pauses: Arc::clone(&self.pauses) })
    }

    fn leave(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.inner.leave(deadline)
    }
}

#[derive(Debug)]
struct PausingMember {
    inner: Arc<dyn Member>,
    pauses: Arc<Pauses>,
}

impl Member for PausingMember {
    fn stamp(&self) -> Option<MemberStamp> {
        let before = self.inner.stamp();
        if !self.pauses.reach(Point::BeforeStamp) {
            return self.inner.stamp();
        }
        let until = Instant::now() + HELD;
        loop {
            let now = self.inner.stamp();
            // While it joins, a member has a new id and still its old generation.
            let generation = |stamp: &Option<MemberStamp>| stamp.as_ref().map_or(-1, |stamp| stamp.generation);
            if generation(&now) > generation(&before) {
                eprintln!("held until the process was a member again: {now:?}");
                return now;
            }
            if Instant::now() >= until {
                eprintln!("not a member again within {HELD:?}");
                return now;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn commit_offsets(
        &self,
        offsets: &[OffsetCommit],
        stamp: &MemberStamp,
        deadline: Duration,
    ) -> Result<(), LogError> {
        self.inner.commit_offsets(offsets, stamp, deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_back() {
        for point in Point::ALL {
            for hold in [false, true] {
                let order = Order { point, count: 3, hold };
                assert_eq!(order.to_string().parse(), Ok(order));
            }
        }
        for wrong in ["", "after-poll", "after-poll:0", "after-poll:x", "somewhere:1"] {
            assert!(wrong.parse::<Order>().is_err(), "{wrong}");
        }
    }
}
