//! RESULTS.md from the results: tables with ratio, aim, floor and distance, and what they were taken on.

use super::figures::Spread;
use super::growth::greatest_over_least;
use super::results::Results;
use super::row::Row;
use super::targets::{self, Bound, Figure, Target};
use super::{BenchError, System, charts};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Writes `RESULTS.md` and the charts beside it.
pub fn write_results(results: &Results, directory: &Path) -> Result<(), BenchError> {
    let charts_directory = directory.join("charts");
    fs::create_dir_all(&charts_directory)
        .map_err(|source| BenchError::Files { path: charts_directory.clone(), source })?;
    let charts = charts::all(results);
    for (name, svg) in &charts {
        write(&charts_directory.join(name), svg)?;
    }
    let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
    write(&directory.join("RESULTS.md"), &markdown(results, &names))
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(|source| BenchError::Files { path: path.to_owned(), source })
}

/// The page.
fn markdown(results: &Results, charts: &[&str]) -> String {
    let mut page = String::from(HEAD);
    on_what(&mut page, results);
    cells(&mut page, results);
    figures(&mut page, results);
    many_keys(&mut page, results);
    curves(&mut page, results, charts);
    when(&mut page, results);
    page
}

const HEAD: &str = "\
# Results

Written by `cargo xtask bench --write-results`; how it is measured: [README.md](README.md). CPU-s are CPU seconds of the
application's process, user and system, all threads, per million input records. Medians; minimum and maximum in
brackets. ✓ and ✗: whether the aim is met. Cells that were taken on another machine say so at the end, and are to be compared within themselves only.
";

fn line(page: &mut String, text: impl AsRef<str>) {
    page.push_str(text.as_ref());
    page.push('\n');
}

fn on_what(page: &mut String, results: &Results) {
    let machine = results.machine.words();
    let java = results.java.as_deref().unwrap_or("none, so Kafka Streams was not measured");
    let kafka = results.kafka.as_deref().unwrap_or("not known");
    line(
        page,
        format!(
            "\n{machine}. Kafka {kafka}, Java: {java}, kappa {}, librdkafka {}.",
            results.version, results.librdkafka
        ),
    );
    line(page, format!("{}.", results.settings));
}

fn of<'r>(results: &'r Results, cell: &str, system: System) -> Option<&'r Row> {
    results.rows.iter().find(|row| row.cell == cell && row.system == system)
}

/// How many times the one is the other.
fn times(theirs: Option<f64>, ours: Option<f64>) -> Option<f64> {
    theirs.zip(ours).map(|(theirs, ours)| theirs / ours)
}

fn number(figure: Option<f64>, places: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.places$}"))
}

fn spread(figure: Option<Spread>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| figure.to_string())
}

fn mark(is_met: Option<bool>) -> &'static str {
    match is_met {
        Some(true) => " ✓",
        Some(false) => " ✗",
        None => "",
    }
}

fn cells(page: &mut String, results: &Results) {
    line(page, "\n## What a further million records costs\n");
    line(
        page,
        "Marginal cost between the two lengths, free of start and warm-up; the floor is what the client, the codec and the state cost by themselves.\n",
    );
    line(
        page,
        "| cell | kappa | Kafka Streams | times cheaper | aim | pipe | floor | kappa / floor | aim | kappa, start and stop included |",
    );
    line(page, "|---|---|---|---|---|---|---|---|---|---|");
    for target in &targets::CELLS {
        marginal_line(page, results, target);
    }
    line(page, "\n## Whole processes at the greater length, from start to end\n");
    line(
        page,
        "| cell | kappa | Kafka Streams | times cheaper | aim | wall s, kappa | wall s, Kafka Streams | peak MiB | Kafka Streams | threads |",
    );
    line(page, "|---|---|---|---|---|---|---|---|---|---|");
    for target in &targets::CELLS {
        whole_line(page, results, target);
    }
    line(page, "\n![What a further million records costs](charts/cells.svg)");
    line(page, "\n## By length\n");
    line(
        page,
        "| cell | system | events | runs | CPU-s/M, running to drained | whole process | wall s | peak MiB | threads |",
    );
    line(page, "|---|---|---|---|---|---|---|---|---|");
    for row in &results.rows {
        for length in &row.lengths {
            line(
                page,
                format!(
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                    row.cell,
                    row.system,
                    length.events,
                    length.runs,
                    spread(length.cpu_s_per_m),
                    spread(length.cpu_total_s_per_m),
                    spread(length.wall_s),
                    number(length.rss_peak_mib.map(|rss| rss.median), 0),
                    length.threads
                ),
            );
        }
    }
}

fn marginal_line(page: &mut String, results: &Results, target: &Target) {
    let marginal = |system| of(results, target.cell, system).and_then(|row| row.cpu_s_per_m_marginal);
    let median = |system| marginal(system).map(|spread| spread.median);
    let Some(kappa) = of(results, target.cell, System::Kappa) else { return };
    let ratio = times(median(System::KafkaStreams), median(System::Kappa));
    let floor = kappa.median("times_floor");
    line(
        page,
        format!(
            "| {} | {} | {} | {}{} | ≥ {} | {} | {} | {}{} | ≤ {} | {} |",
            target.cell,
            spread(marginal(System::Kappa)),
            spread(marginal(System::KafkaStreams)),
            number(ratio, 1),
            mark(ratio.map(|ratio| ratio >= target.marginal_times)),
            target.marginal_times,
            number(median(System::Pipe), 2),
            number(kappa.median("floor_cpu_s_per_m"), 2),
            number(floor, 2),
            mark(floor.map(|times| times <= target.times_floor)),
            target.times_floor,
            spread(kappa.figures.get("cpu_total_s_per_m_marginal").copied()),
        ),
    );
}

fn whole_line(page: &mut String, results: &Results, target: &Target) {
    let Some(kappa) = of(results, target.cell, System::Kappa) else { return };
    let streams = of(results, target.cell, System::KafkaStreams);
    let total = |row: &Row| row.figures.get("cpu_total_s_per_m").copied();
    let theirs = streams.and_then(total);
    let ratio = times(theirs.map(|spread| spread.median), total(kappa).map(|spread| spread.median));
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    line(
        page,
        format!(
            "| {} | {} | {} | {}{} | {} | {} | {} | {} | {} | {} |",
            target.cell,
            spread(total(kappa)),
            spread(theirs),
            number(ratio, 1),
            mark(ratio.zip(target.whole_times).map(|(ratio, aim)| ratio >= aim)),
            target.whole_times.map_or_else(|| "–".to_owned(), |aim| format!("≥ {aim}")),
            number(median(kappa.wall_s), 1),
            number(streams.and_then(|row| median(row.wall_s)), 1),
            number(median(kappa.rss_peak_mib), 0),
            number(streams.and_then(|row| median(row.rss_peak_mib)), 0),
            number(kappa.median("threads"), 0),
        ),
    );
}

fn value(row: &Row, figure: &Figure) -> Option<Spread> {
    if figure.name == "cpu_s_per_m" { row.cpu_s_per_m } else { row.figures.get(figure.name).copied() }
}

fn figures(page: &mut String, results: &Results) {
    line(page, "\n## Restore, replay, memory, latency, recovery\n");
    line(page, "| figure | kappa | Kafka Streams | aim |");
    line(page, "|---|---|---|---|");
    for figure in &targets::FIGURES {
        let Some(ours) = of(results, figure.cell, System::Kappa).and_then(|row| value(row, figure)) else { continue };
        let theirs = of(results, figure.cell, System::KafkaStreams).and_then(|row| value(row, figure));
        let met = figure.bound.is_met(ours.median, theirs.map(|spread| spread.median));
        line(
            page,
            format!(
                "| {} | {}{} | {} | {} |",
                figure.words,
                with_range(ours, figure.places),
                mark(met),
                theirs.map_or_else(|| "–".to_owned(), |spread| with_range(spread, figure.places)),
                figure.bound.words(),
            ),
        );
    }
}

fn with_range(spread: Spread, places: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.places$} ({min:.places$}–{max:.places$})")
}

fn many_keys(page: &mut String, results: &Results) {
    let Some(row) = of(results, "memory", System::Kappa) else { return };
    let Some(budget) = row.median("many_keys_budget_mib") else { return };
    let bound = Bound::AtMost(budget + targets::BEYOND_BUDGET_MIB);
    for (name, words) in [("rss_many_keys_run_mib", "runs"), ("rss_many_keys_restore_mib", "restores")] {
        if let Some(rss) = row.median(name) {
            line(
                page,
                format!(
                    "| … resident at most while it {words}, MiB | {rss:.0}{} | – | {} |",
                    mark(bound.is_met(rss, None)),
                    bound.words()
                ),
            );
        }
    }
}

fn curves(page: &mut String, results: &Results, charts: &[&str]) {
    let Some(row) = of(results, "growth", System::Kappa) else { return };
    line(page, "\n## How costs grow\n");
    line(
        page,
        format!(
            "`count-local`; all else stays as one thing grows. CPU-s of the whole process, start included. Flat is: the greatest cost \
         within {} of the least.\n",
            targets::FLAT_WITHIN
        ),
    );
    for (series, greatest) in greatest_over_least(&row.points) {
        let flat = mark(Some(greatest <= targets::FLAT_WITHIN));
        line(page, format!("### {series}: greatest over least {greatest:.2}{flat}\n"));
        line(page, format!("| {series} | CPU-s/M | peak MiB | records |"));
        line(page, "|---|---|---|---|");
        for point in row.points.iter().filter(|point| point.series == series) {
            let further = |name| number(point.further.get(name).copied(), 0);
            line(
                page,
                format!("| {} | {} | {} | {} |", point.x, point.y, further("rss_peak_mib"), further("input_records")),
            );
        }
        let name = charts::growth_file(&series);
        if charts.contains(&name.as_str()) {
            line(page, format!("\n![{series}](charts/{name})"));
        }
        if let Some((_, reason)) = REASONS.iter().find(|(named, _)| *named == series) {
            line(page, format!("\n{reason}"));
        }
        page.push('\n');
    }
}

/// Why a curve is not flat by its nature.
const REASONS: [(&str, &str); 2] = [
    (
        "record bytes",
        "Every byte is read, decompressed and decoded, so a record a hundred times as long costs more by its bytes.",
    ),
    (
        "keys",
        "With 10⁴ keys a commit sums several records of a key up into one change. With 10⁶ and 10⁷ every record has a key of its \
         own, never seen before: each is looked up, written to the changelog and put out by itself. Between these two nothing \
         but the size of the state differs.",
    ),
];

fn when(page: &mut String, results: &Results) {
    line(page, "\n## When\n");
    line(page, "| cell | system | taken | load average | runs | machine, where it was another |");
    line(page, "|---|---|---|---|---|---|");
    for row in &results.rows {
        let failed = if row.failures.is_empty() { "" } else { " (some failed)" };
        let mut load = String::new();
        let _ = match row.load_average {
            Some(spread) => write!(load, "{spread}"),
            None => write!(load, "–"),
        };
        let machine = row.machine.as_ref().filter(|machine| **machine != results.machine);
        let machine = machine.map_or_else(String::new, super::machine::Machine::words);
        let Row { cell, system, taken, runs, .. } = row;
        line(page, format!("| {cell} | {system} | {taken} | {load} | {runs}{failed} | {machine} |"));
    }
    for row in results.rows.iter().filter(|row| !row.failures.is_empty()) {
        for failure in &row.failures {
            line(page, format!("\n{} {}: FAILED: {}", row.cell, row.system, kind_of(failure)));
        }
    }
}

/// What kind of failure it was: its first line, without the paths of the machine that it happened on.
fn kind_of(failure: &str) -> String {
    let first = failure.lines().next().unwrap_or_default();
    let words = first.split_whitespace().map(|word| if word.contains('/') { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::row::Point;

    fn exactly(figure: f64) -> Spread {
        Spread { median: figure, min: figure, max: figure }
    }

    fn results() -> Results {
        let mut results = Results::new("4 partitions".to_owned(), None);
        let mut kappa = Row { cpu_s_per_m_marginal: Some(exactly(1.25)), ..Row::new("q0-json", System::Kappa) };
        kappa.figure("times_floor", [1.4]);
        kappa.figure("floor_cpu_s_per_m", [0.893]);
        kappa.figure("cpu_total_s_per_m", [1.5]);
        kappa.figure("cpu_total_s_per_m_marginal", [1.31]);
        let mut streams = Row { cpu_s_per_m_marginal: Some(exactly(5.0)), ..Row::new("q0-json", System::KafkaStreams) };
        streams.figure("cpu_total_s_per_m", [4.5]);
        let mut latency = Row::new("latency", System::Kappa);
        latency.figure("p99_ms_commit_100", [129.0]);
        latency.figure("p99_ms_commit_20", [51.0]);
        let mut growth = Row::new("growth", System::Kappa);
        for (x, y) in [(1.0, 1.0), (4.0, 1.6)] {
            let further = std::collections::BTreeMap::new();
            growth.points.push(Point { series: "partitions".to_owned(), x, y: exactly(y), further });
        }
        results.rows = vec![kappa, streams, latency, growth];
        results
    }

    #[test]
    fn a_row_of_another_machine_says_so() {
        let mut results = results();
        assert!(!markdown(&results, &[]).contains("Linux other"));
        let other = results.machine.clone().with_kernel("other");
        results.rows[0].machine = Some(other);
        let page = markdown(&results, &[]);
        let told = |start: &str| page.lines().any(|line| line.starts_with(start) && line.ends_with("Linux other |"));
        assert!(told("| q0-json | kappa |") && !told("| q0-json | kafka-streams |"), "{page}");
    }

    #[test]
    fn a_failure_is_told_without_the_paths_of_a_machine() {
        let mut results = results();
        results.rows[0].failures.push("/a/b/bench ended with exit status: 1:\nin /c/d/e.rs".to_owned());
        let page = markdown(&results, &[]);
        assert!(page.contains("q0-json kappa: FAILED: … ended with exit status: 1:\n"), "{page}");
        assert!(!page.contains("/a/b") && !page.contains("/c/d"), "{page}");
    }

    /// 5 / 1.25 = 4 times, aim 2.8; 1.4 × the floor, aim 1.35; whole processes 4.5 / 1.5 = 3 times, aim 4.
    #[test]
    fn aims_are_judged() {
        let page = markdown(&results(), &["growth-partitions.svg"]);
        for wanted in [
            "| q0-json | 1.25 (1.25–1.25) | 5.00 (5.00–5.00) | 4.0 ✓ | ≥ 2.8 | – | 0.89 | 1.40 ✗ | ≤ 1.35 | 1.31 (1.31–1.31) |",
            "| q0-json | 1.50 (1.50–1.50) | 4.50 (4.50–4.50) | 3.0 ✗ | ≥ 4 |",
            "129 (129–129) ✓ | – | ≤ 130 |",
            "51 (51–51) ✗ | – | ≤ 50 |",
            "### partitions: greatest over least 1.60 ✗",
            "![partitions](charts/growth-partitions.svg)",
        ] {
            assert!(page.contains(wanted), "{wanted}\nis not in\n{page}");
        }
        assert!(!page.contains("q2-json"), "what was not measured is left out");
    }
}
