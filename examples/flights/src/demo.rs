//! The story, step by step.

use crate::app::{Delays, V1, V2, VIEW};
use crate::connect;
use crate::data::{self, DataError};
use crate::load::{self, Feeder};
use crate::names::Names;
use crate::reader::{self, View};
use crate::screen::{Pace, Screen, number};
use crate::stage::{Processes, Stage, Threads};
use clap::Args;
use kappa_core::app::{AppName, ApplicationId, Version};
use kappa_core::deploy::{CatchUp, Progress};
use kappa_core::log::SharedLog;
use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::registry::{Manifest, Registry};
use kappa_core::view::{ViewEvent, ViewSnapshot};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Flights that come in while one watches; those before them are history.
const LIVE_FLIGHTS: usize = 2_000;
const LIVE_PER_SECOND: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(100);

/// How the demo is run.
#[derive(Debug, Args)]
pub struct Options {
    /// Runs on this Kafka instead of the embedded log, with separate processes.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// How often the 18,000 flights of the history are loaded, each time a quarter of a year later.
    #[arg(
        long,
        value_name = "N",
        default_value_if("brokers", clap::builder::ArgPredicate::IsPresent, "20"),
        default_value = "6"
    )]
    rounds: i64,
    /// How long each state of things is shown, in seconds.
    #[arg(long, default_value_t = 4, value_name = "SECONDS")]
    pause: u64,
    /// Leaves the topics on the Kafka, to look at them.
    #[arg(long)]
    keep: bool,
}

/// Tells the whole story.
pub fn demo(options: &Options) -> Result<(), DataError> {
    let Some(brokers) = &options.brokers else {
        let (log, names) = (EmbeddedLog::new().shared(), Names::plain());
        let stage = Box::new(Threads::new(log.clone(), names.clone()));
        return Story::new(log, names, stage, options).tell();
    };
    let log = connect::kafka(brokers)?;
    let run = format!("demo-{}", now_ms() / 1_000 % 1_000_000);
    let names = Names::of_run(Some(&run));
    let directory = std::env::temp_dir().join(format!("kappa-{run}"));
    std::fs::create_dir_all(&directory)?;
    let stage = Box::new(Processes::new(brokers, &run, &directory));
    let told = Story::new(log.clone(), names.clone(), stage, options).tell();
    if options.keep {
        println!("\nkept: topics that begin with {run}, and {}", directory.display());
    } else if told.is_ok() {
        clean(&log, &run, &names, &directory)?;
    }
    told
}

/// Removes what this run has made: its names are its own.
fn clean(log: &SharedLog, run: &str, names: &Names, directory: &PathBuf) -> Result<(), DataError> {
    let mut topics = log.topics()?;
    for topic in topics.list(&format!("{run}-"))? {
        topics.delete(&topic)?;
    }
    for version in [V1, V2] {
        topics.delete_group(&ApplicationId::new(AppName::new(&names.app)?, version).group())?;
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

struct Story<'o> {
    log: SharedLog,
    names: Names,
    screen: Screen,
    stage: Option<Box<dyn Stage>>,
    options: &'o Options,
}

impl<'o> Story<'o> {
    fn new(log: SharedLog, names: Names, stage: Box<dyn Stage>, options: &'o Options) -> Self {
        Self { log, names, screen: Screen::new(), stage: Some(stage), options }
    }

    fn tell(mut self) -> Result<(), DataError> {
        let app = AppName::new(&self.names.app)?;
        let (feeder, history) = self.load()?;
        let mut registry = Registry::open(self.log.clone(), &self.names.registry)?;
        self.first_version(&mut registry)?;
        self.second_version(&mut registry)?;
        let mut view = self.view()?;
        let (before, after) = self.promote(&mut registry, &app, &mut view)?;
        self.roll_back(&mut registry, &app)?;
        let sent = feeder.stop()?;
        self.all_counted(&mut view, history + sent)?;
        if let Some(stage) = self.stage.take() {
            stage.stop()?;
        }
        self.summary(&before, &after, history, sent);
        Ok(())
    }

    fn load(&self) -> Result<(Feeder, u64), DataError> {
        let (mut flights, airports) = (data::flights()?, data::airports()?);
        let live = flights.split_off(flights.len() - LIVE_FLIGHTS);
        let rounds = self.options.rounds.max(1);
        let history = flights.len() as i64 * rounds;
        self.screen.step(&format!("1. A log with a history, on {}", self.log.describe()));
        load::create_topics(&self.log, &self.names)?;
        load::history(&self.log, &self.names, &airports, &flights, rounds)?;
        let (topic, table) = (&self.names.flights, &self.names.airports);
        self.say(&format!("{} flights in topic `{topic}`, {} airports in `{table}`.", number(history), airports.len()));
        self.say(&format!(
            "Real flights of early 2001, taken {rounds} times. {LIVE_PER_SECOND} more a second keep coming."
        ));
        let feeder = Feeder::start(&self.log, &self.names, live, rounds, LIVE_PER_SECOND)?;
        Ok((feeder, history.unsigned_abs()))
    }

    fn first_version(&mut self, registry: &mut Registry) -> Result<(), DataError> {
        self.screen.step("2. Version 1 of the application");
        self.say(&format!("It adds up how late the flights of each airport leave: the view `{VIEW}`."));
        self.say("It is the first version, so it goes live by itself when it has caught up.");
        self.stage()?.start_app(V1)?;
        self.replay(registry, V1)?;
        let until = Instant::now() + PATIENCE;
        let app = AppName::new(&self.names.app)?;
        while registry.snapshot()?.live(&app) != Some(V1) {
            self.wait(until, "v1 to go live")?;
        }
        self.say("v1 is live. A reader opens the view by its name; it knows nothing of versions:");
        let screen = self.screen.clone();
        self.stage()?.start_reader(&screen)?;
        self.pause()
    }

    fn second_version(&mut self, registry: &mut Registry) -> Result<(), DataError> {
        self.screen.step("3. Version 2, a replay");
        self.say("v1 has a mistake: who leaves early has negative minutes, and cancels out who leaves late.");
        self.say("v2 has it mended. It reads the log again from its beginning, into hidden topics of its own,");
        self.say("while v1 goes on and the reader sees nothing of it.");
        self.stage()?.start_app(V2)?;
        self.replay(registry, V2)?;
        self.say("v2 has caught up, and is still hidden:");
        self.pause()
    }

    /// A reader of the demo's own, for the table at the end.
    fn view(&mut self) -> Result<View, DataError> {
        let mut view = reader::open(&self.log, &self.names);
        let until = Instant::now() + PATIENCE;
        while view.serving().is_none() {
            view.poll(LOOK)?;
            self.wait(until, "the view to be read")?;
        }
        Ok(view)
    }

    fn promote(&mut self, registry: &mut Registry, app: &AppName, view: &mut View) -> Result<Switch, DataError> {
        self.screen.step(&format!("4. Promote it: `kappa promote {app} v2`"));
        // What happened until now is no news.
        while !view.poll(Duration::ZERO)?.is_empty() {}
        let until = Instant::now() + PATIENCE;
        let promotion = registry.promote(app, V2, now_ms())?;
        self.say(&format!("One record in the registry (revision {}), and every reader goes over:", promotion.revision));
        let switch = loop {
            let switched = view.poll(LOOK)?.into_iter().find_map(|event| match event {
                ViewEvent::Switched { before: Some(before), after } => Some((before, after)),
                _ => None,
            });
            if let Some(switch) = switched {
                break switch;
            }
            self.wait(until, "the reader to go over to v2")?;
        };
        self.pause()?;
        Ok(switch)
    }

    fn roll_back(&mut self, registry: &mut Registry, app: &AppName) -> Result<(), DataError> {
        self.screen.step(&format!("5. And the way back: `kappa rollback {app}`"));
        self.say("v1 has been running all the while, so this is one record again:");
        registry.rollback(app, now_ms())?;
        self.pause()
    }

    /// Waits until the view has counted exactly the flights that were written.
    fn all_counted(&mut self, view: &mut View, written: u64) -> Result<(), DataError> {
        let until = Instant::now() + PATIENCE;
        let v1 = ApplicationId::new(AppName::new(&self.names.app)?, V1);
        loop {
            view.poll(LOOK)?;
            let Some(snapshot) = view.snapshot().filter(|snapshot| snapshot.serving == v1) else {
                self.wait(until, "the way back to v1")?;
                continue;
            };
            let counted: u64 = snapshot.entries.values().map(|delays| delays.flights).sum();
            match counted {
                _ if counted == written => return Ok(()),
                _ if counted > written => return Err(format!("{written} flights written, {counted} counted").into()),
                _ => self.wait(until, &format!("{written} flights to be counted, {counted} are"))?,
            }
        }
    }

    fn summary(&self, before: &Snapshot, after: &Snapshot, history: u64, sent: u64) {
        self.screen.step("What the mistake had hidden: the five airports that changed most");
        self.screen.line(format!(
            "   {:<24} {:>8} {:>12} {:>12} {:>10}",
            "airport", "flights", "v1 minutes", "v2 minutes", "change"
        ));
        for (code, v1, v2) in changed_most(before, after, 5) {
            let airport = format!("{code} {}", v2.city);
            let [flights, one, two] = [v2.flights as i64, v1.late_minutes, v2.late_minutes].map(number);
            let change = format!("+{}", number(v2.late_minutes - v1.late_minutes));
            self.screen.line(format!("   {airport:<24} {flights:>8} {one:>12} {two:>12} {change:>10}"));
        }
        let [written, sent] = [history + sent, sent].map(|count| number(count.cast_signed()));
        self.screen.line(format!("\n   {sent} flights came in while you watched."));
        self.say(&format!("{written} are in the log, and exactly {written} are counted in the view."));
    }

    /// Shows a version's way through the log until it has caught up with the log's end as it was at the start.
    fn replay(&mut self, registry: &mut Registry, version: Version) -> Result<(), DataError> {
        let until = Instant::now() + PATIENCE;
        let manifest = self.registered(registry, version, until)?;
        let mut question = CatchUp::new(&self.log, &manifest)?;
        let mut pace = Pace::start(0);
        loop {
            let progress = question.check(PATIENCE)?;
            let (done, total) = self.flights_done(&progress);
            pace.note(done);
            if progress.caught_up() {
                self.screen.end_bar(&version.to_string(), total, &pace);
                return Ok(());
            }
            self.screen.bar(&version.to_string(), done, total, &pace);
            self.wait(until, "it to catch up")?;
        }
    }

    fn flights_done(&self, progress: &Progress) -> (u64, u64) {
        let flights = progress.inputs.iter().filter(|input| input.topic == self.names.flights);
        flights.fold((0, 0), |(done, total), input| {
            let end = input.end.unsigned_abs();
            (done + end.saturating_sub(input.lag), total + end)
        })
    }

    fn registered(&mut self, registry: &mut Registry, version: Version, until: Instant) -> Result<Manifest, DataError> {
        let id = ApplicationId::new(AppName::new(&self.names.app)?, version);
        loop {
            if let Some(version) = registry.snapshot()?.versions.get(&id) {
                return Ok(version.manifest.clone());
            }
            self.wait(until, "it to start")?;
        }
    }

    fn stage(&mut self) -> Result<&mut Box<dyn Stage>, DataError> {
        self.stage.as_mut().ok_or_else(|| "the demo has ended".into())
    }

    fn say(&self, line: &str) {
        self.screen.line(format!("   {line}"));
    }

    /// Lets a person look, and stops the demo where something has failed meanwhile.
    fn pause(&mut self) -> Result<(), DataError> {
        let until = Instant::now() + Duration::from_secs(self.options.pause);
        while Instant::now() < until {
            std::thread::sleep(LOOK);
            self.stage()?.check()?;
        }
        Ok(())
    }

    fn wait(&mut self, until: Instant, what: &str) -> Result<(), DataError> {
        self.stage()?.check()?;
        if Instant::now() >= until {
            return Err(format!("waited {} s for {what}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(LOOK);
        Ok(())
    }
}

type Snapshot = ViewSnapshot<String, Delays>;
type Switch = (Snapshot, Snapshot);

/// The airports whose late minutes differ most, the greatest difference first.
fn changed_most<'s>(before: &'s Snapshot, after: &'s Snapshot, count: usize) -> Vec<(&'s str, &'s Delays, &'s Delays)> {
    let both = after.entries.iter().filter_map(|(code, v2)| Some((code.as_str(), before.entries.get(code)?, v2)));
    let mut both: Vec<_> = both.collect();
    both.sort_by_key(|(_, v1, v2)| -(v2.late_minutes - v1.late_minutes).abs());
    both.truncate(count);
    both
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
