//! The charts: plain SVG, drawn by hand so that they need nothing.

use super::results::Results;
use super::row::{Point, Row};
use super::{System, targets};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 12.0;
const ROW: f64 = 60.0;
const TOP: f64 = 50.0;
const HEIGHT: f64 = 300.0;
const BOTTOM: f64 = 50.0;

/// Every chart there are figures for, with its file's name.
pub(super) fn all(results: &Results) -> Vec<(String, String)> {
    let mut charts = vec![("cells.svg".to_owned(), cells(results))];
    if let Some(row) = results.rows.iter().find(|row| row.cell == "growth" && row.system == System::Kappa) {
        let mut series: Vec<&str> = row.points.iter().map(|point| point.series.as_str()).collect();
        series.dedup();
        for name in series {
            let points: Vec<&Point> = row.points.iter().filter(|point| point.series == name).collect();
            charts.push((growth_file(name), growth(name, &points)));
        }
    }
    charts
}

/// The file of a growth chart.
pub(super) fn growth_file(series: &str) -> String {
    format!("growth-{}.svg", series.replace(' ', "-"))
}

fn open(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\">{title}</text>\n"
    )
}

fn color(system: System) -> &'static str {
    match system {
        System::Kappa => "#1b7f5c",
        System::KafkaStreams => "#c1553b",
        System::Pipe => "#8a8f98",
    }
}

/// Marginal costs as bars; the floor is a line across kappa's.
fn cells(results: &Results) -> String {
    let rows_of = |cell: &'static str| results.rows.iter().filter(move |row| row.cell == cell);
    let cost = |row: &Row| row.cpu_s_per_m_marginal.map(|spread| spread.median);
    let cells: Vec<&str> = targets::CELLS
        .iter()
        .map(|target| target.cell)
        .filter(|cell| rows_of(cell).any(|row| cost(row).is_some()))
        .collect();
    let greatest = cells.iter().flat_map(|cell| rows_of(cell)).filter_map(cost).fold(0.1, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / greatest;
    let mut svg = open("CPU seconds that a further million records costs", TOP + ROW * cells.len() as f64 + 30.0);
    for (at, cell) in cells.iter().enumerate() {
        let top = TOP + ROW * at as f64;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{cell}</text>", LEFT - 8.0, top + 24.0);
        for row in rows_of(cell) {
            let Some(cost) = cost(row) else { continue };
            let y = top + BAR * 1.2 * row.system as u8 as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\">{cost:.2} {}</text>",
                cost * scale,
                color(row.system),
                LEFT + cost * scale + 4.0,
                y + BAR - 2.0,
                row.system,
            );
            if let Some(floor) = row.median("floor_cpu_s_per_m").filter(|_| row.system == System::Kappa) {
                let x = LEFT + floor * scale;
                let _ = writeln!(
                    svg,
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"black\" stroke-width=\"2\"/>",
                    y - 2.0,
                    y + BAR + 2.0
                );
            }
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\" font-size=\"10\">black line: the floor</text>",
        TOP + ROW * cells.len() as f64 + 18.0
    );
    svg + "</svg>\n"
}

/// Cost over what grows, which goes by powers; bars of minimum and maximum.
fn growth(series: &str, points: &[&Point]) -> String {
    let mut svg = open(&format!("CPU seconds per million records by {series}"), HEIGHT);
    let (low, high) =
        points.iter().fold((f64::MAX, 1.0_f64), |(low, high), point| (low.min(point.x), high.max(point.x)));
    let greatest = points.iter().map(|point| point.y.max).fold(0.1, f64::max) * 1.1;
    let span = (high / low).ln().max(f64::EPSILON);
    let x = |value: f64| LEFT + (value / low).ln() / span * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / greatest * (HEIGHT - BOTTOM - TOP);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#444\"/>",
        bottom = HEIGHT - BOTTOM,
        right = WIDTH - RIGHT
    );
    for tick in [0.0, greatest / 2.0, greatest] {
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.2}</text>", LEFT - 8.0, y(tick) + 4.0);
    }
    let path: Vec<String> = points.iter().map(|point| format!("{:.1} {:.1}", x(point.x), y(point.y.median))).collect();
    let _ = writeln!(
        svg,
        "<path d=\"M{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
        path.join("L"),
        color(System::Kappa)
    );
    for point in points {
        let at = x(point.x);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#444\"/>\
             <circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y(point.y.min),
            y(point.y.max),
            y(point.y.median),
            color(System::Kappa),
            HEIGHT - BOTTOM + 18.0,
            point.x
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Spread;
    use std::collections::BTreeMap;

    /// From 1 to 100 by powers: 10 lies in the middle of the 550 points between the margins, 150 + 275 = 425.
    #[test]
    fn growth_goes_by_powers() {
        let y = Spread { median: 1.0, min: 1.0, max: 1.0 };
        let points: Vec<Point> =
            [1.0, 10.0, 100.0].map(|x| Point { series: "keys".to_owned(), x, y, further: BTreeMap::new() }).to_vec();
        let svg = growth("keys", &points.iter().collect::<Vec<_>>());
        for x in ["cx=\"150.0\"", "cx=\"425.0\"", "cx=\"700.0\""] {
            assert!(svg.contains(x), "{x} is not in {svg}");
        }
        assert!(svg.ends_with("</svg>\n"));
    }

    /// 10 is the greatest and so 550 points long; 2.5 is 137.5.
    #[test]
    fn bars_are_as_long_as_costs() {
        let mut results = Results::new(String::new(), None);
        for (system, median) in [(System::Kappa, 2.5), (System::KafkaStreams, 10.0)] {
            let cost = Some(Spread { median, min: median, max: median });
            results.rows.push(Row { cpu_s_per_m_marginal: cost, ..Row::new("q0-bin", system) });
        }
        let svg = cells(&results);
        assert!(svg.contains("width=\"137.5\"") && svg.contains("width=\"550.0\""), "{svg}");
    }
}
