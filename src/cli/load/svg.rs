//! Plots of a load, as SVG within a page, which gives them their colours.

use std::fmt::{self, Write as _};

use super::{
    report::Report,
    scale::{digits, time},
};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 12.0;

/// A line of a plot: its name, its class and its points.
type Line = (&'static str, &'static str, Vec<(f64, f64)>);

/// The place of a number on an axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    least: f64,
    most: f64,
    is_logarithmic: bool,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(self, number: f64) -> f64 {
        let Self { least, most, is_logarithmic, from, to } = self;
        let part = if is_logarithmic {
            (number.max(least) / least).ln() / (most / least).ln()
        } else {
            (number - least) / (most - least)
        };
        from + part.clamp(0.0, 1.0) * (to - from)
    }

    fn latencies(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0_f64);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most == 0.0 {
            (least, most) = (1e3, 1e6);
        }
        // Whole powers of ten, and one at least.
        let (least, mut most) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
        if most <= least {
            most = least * 10.0;
        }
        Self { least, most, is_logarithmic: true, from: HEIGHT - BOTTOM, to: TOP }
    }

    fn across(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        Self { least: 0.0, most, is_logarithmic: false, from: LEFT, to: WIDTH - RIGHT }
    }
}

/// Latencies over the time of the load.
pub(super) fn over_time(report: &Report) -> String {
    let moments = &report.timeline;
    let most = moments.last().map_or(1.0, |moment| moment.seconds);
    let width = moments.first().map_or(1.0, |moment| moment.seconds);
    let line = |of: fn(&super::report::Moment) -> u64| {
        let with_calls = moments.iter().filter(|moment| moment.count > 0);
        with_calls.map(|moment| (moment.seconds - width / 2.0, of(moment) as f64)).collect::<Vec<_>>()
    };
    let lines: [Line; 3] = [
        ("slowest", "slowest", line(|moment| moment.slowest)),
        ("99 %", "p99", line(|moment| moment.p99)),
        ("median", "median", line(|moment| moment.median)),
    ];
    let x = Axis::across(most);
    let y = Axis::latencies(lines.iter().flat_map(|(_, _, points)| points.iter().map(|(_, latency)| *latency)));
    let mut bars = String::new();
    // The failed calls of an interval, as a part of all in it.
    for moment in moments.iter().filter(|moment| moment.failed > 0) {
        let part = moment.failed as f64 / (moment.failed + moment.count) as f64;
        let (left, right) = (x.at(moment.seconds - width), x.at(moment.seconds));
        let height = part * (HEIGHT - BOTTOM - TOP);
        bar(
            &mut bars,
            "failed",
            (left, right),
            height,
            &format!("{} of {} calls failed", moment.failed, moment.failed + moment.count),
        );
    }
    let labels = (0..=5)
        .map(|index| most / 5.0 * f64::from(index))
        .map(|second| (x.at(second), format!("{} s", digits(second))));
    plot("Latency over time", &bars, &lines, (x, y), labels)
}

/// The number of calls of each latency.
pub(super) fn histogram(report: &Report) -> String {
    let Some(latencies) = report.latencies.as_ref().filter(|latencies| latencies.count() > 0) else {
        return plot(
            "Latencies",
            "",
            &[],
            (Axis::across(1.0), Axis::latencies(std::iter::empty())),
            std::iter::empty(),
        );
    };
    const BARS: usize = 60;
    let recorded: Vec<(f64, u64)> =
        latencies.recorded().map(|(latency, count)| (latency.as_nanos() as f64, count)).collect();
    let x = Axis { from: LEFT, to: WIDTH - RIGHT, ..Axis::latencies(recorded.iter().map(|(latency, _)| *latency)) };
    let mut counts = [0_u64; BARS];
    for (latency, count) in recorded {
        let place = (x.at(latency) - LEFT) / (WIDTH - RIGHT - LEFT) * BARS as f64;
        counts[(place as usize).min(BARS - 1)] += count;
    }
    let most = counts.iter().max().copied().unwrap_or(1).max(1);
    let step = (WIDTH - RIGHT - LEFT) / BARS as f64;
    let mut bars = String::new();
    for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let left = LEFT + step * index as f64;
        let height = count as f64 / most as f64 * (HEIGHT - BOTTOM - TOP);
        bar(&mut bars, "calls", (left, left + step - 1.0), height, &format!("{count} calls"));
    }
    let y = Axis { least: 0.0, most: most as f64, is_logarithmic: false, from: HEIGHT - BOTTOM, to: TOP };
    plot(
        "Calls by latency",
        &bars,
        &[],
        (x, y),
        decades(x).map(|latency| (x.at(latency), time(latency as u64))).collect::<Vec<_>>(),
    )
}

fn decades(axis: Axis) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(axis.least), |decade| Some(decade * 10.0))
        .take_while(move |decade| *decade <= axis.most * 1.001)
}

fn bar(to: &mut String, class: &str, (left, right): (f64, f64), height: f64, title: &str) {
    let (top, width) = (HEIGHT - BOTTOM - height, (right - left).max(0.5));
    let written = write!(
        to,
        r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"><title>{title}</title></rect>"#
    );
    written.expect("a string takes everything");
}

fn plot(
    title: &str,
    bars: &str,
    lines: &[Line],
    (x, y): (Axis, Axis),
    labels: impl IntoIterator<Item = (f64, String)>,
) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, bars, lines, (x, y), labels).expect("a string takes everything");
    svg
}

fn draw(
    svg: &mut String,
    title: &str,
    bars: &str,
    lines: &[Line],
    (x, y): (Axis, Axis),
    labels: impl IntoIterator<Item = (f64, String)>,
) -> fmt::Result {
    write!(svg, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>"#)?;
    let ticks: Vec<(f64, String)> = if y.is_logarithmic {
        decades(y).map(|latency| (y.at(latency), time(latency as u64))).collect()
    } else {
        (0..=4).map(|index| y.most / 4.0 * f64::from(index)).map(|count| (y.at(count), digits(count))).collect()
    };
    for (height, label) in ticks {
        write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{height:.1}" y2="{height:.1}"/>"#, WIDTH - RIGHT)?;
        write!(svg, r#"<text class="left" x="{}" y="{:.1}">{label}</text>"#, LEFT - 8.0, height + 4.0)?;
    }
    for (place, label) in labels {
        write!(svg, r#"<text class="below" x="{place:.1}" y="{}">{label}</text>"#, HEIGHT - BOTTOM + 18.0)?;
    }
    svg.push_str(bars);
    for (index, (name, class, points)) in lines.iter().enumerate() {
        let path: Vec<String> =
            points.iter().map(|(at, latency)| format!("{:.1},{:.1}", x.at(*at), y.at(*latency))).collect();
        write!(svg, r#"<polyline class="{class}" points="{}"><title>{name}</title></polyline>"#, path.join(" "))?;
        // A point alone has no line.
        if let [(at, latency)] = points[..] {
            write!(svg, r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="2.5"/>"#, x.at(at), y.at(latency))?;
        }
        let left = LEFT + 90.0 * index as f64;
        let below = HEIGHT - 6.0;
        write!(
            svg,
            r#"<line class="{class}" x1="{left}" x2="{}" y1="{}" y2="{}"/>"#,
            left + 18.0,
            below - 4.0,
            below - 4.0
        )?;
        write!(svg, r#"<text x="{}" y="{below}">{name}</text>"#, left + 24.0)?;
    }
    svg.push_str("</svg>");
    Ok(())
}
