//! The report as a page in one file, without scripts and without requests to anything.

use super::{report::Report, summary, svg};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --faint: #d8dee6; --a: #2563a8; --b: #c2571a; --c: #a01f3c }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dde4ee; --paper: #12161c; --faint: #333c48; --a: #6cb0f2; --b: #f0a05c; --c: #f07890 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink) }
line, polyline { fill: none; stroke-width: 1.5 }
.grid { stroke: var(--faint); stroke-width: 1 }
.left { text-anchor: end } .below { text-anchor: middle }
.median { stroke: var(--a) } .p99 { stroke: var(--b) } .slowest { stroke: var(--c) }
circle.median { fill: var(--a) } circle.p99 { fill: var(--b) } circle.slowest { fill: var(--c) }
.calls { fill: var(--a) } .failed { fill: var(--c); opacity: .25 }
table { border-collapse: collapse } td, th { padding: .15rem 1.5rem .15rem 0; text-align: left; vertical-align: top }
pre { overflow-x: auto }
";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let name = if report.name.is_empty() { "A load of evenkeel" } else { &report.name };
    let title = escape(name);
    let rows: String = report
        .options
        .iter()
        .map(|(name, value)| {
            format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value.to_string().trim_matches('"')))
        })
        .collect();
    let (over_time, histogram) = (svg::over_time(report), svg::histogram(report));
    let failed = if report.timeline.iter().any(|moment| moment.failed > 0) {
        " The bars are the part of calls that failed."
    } else {
        ""
    };
    let origin = if report.open_loop.is_some() {
        "Latencies count from the time at which a call was due."
    } else {
        "A call began as soon as another had ended."
    };
    let (text, date) = (escape(&summary::text(report)), escape(&report.date));
    format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{date}. {origin}</p>
<h2>Latency over time</h2>
<p>By the time at which calls were due.{failed}</p>
{over_time}
<h2>Calls by latency</h2>
{histogram}
<h2>Numbers</h2>
<pre>{text}</pre>
<h2>Options</h2>
<table>
{rows}</table>
</body>
</html>
"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
