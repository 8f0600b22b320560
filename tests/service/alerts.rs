//! The alerts of `deploy/prometheus` are those of `docs/operating.md`, word for word, and query only metrics that
//! exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::documented::{asks_for_what_is_there, code, families, family, operations};

/// Metric families that only describe the state of the server, and no fault: no alert queries them or tells the
/// operator to look at them.
const CALM: [&str; 13] = [
    "evenkeel_build_info",
    "evenkeel_buffers_kept_bytes",
    "evenkeel_calls_in_flight",
    "evenkeel_calls_unanswered",
    "evenkeel_compute_threads",
    "evenkeel_connections_accepted_total",
    "evenkeel_jobs_running",
    "evenkeel_operations_total",
    "evenkeel_received_bytes_total",
    "evenkeel_routes_total",
    "evenkeel_sent_bytes_total",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
];
/// Reasons of `evenkeel_refused_total` that need no alert: the caller asked for it, the server is stopping, or
/// `evenkeel_stalled_total` counts it as well.
const EXPECTED: [&str; 3] = ["NONFINITE_NORM", "SHUTTING_DOWN", "STALLED"];

/// An alert, as the rules and the documentation describe it.
#[derive(Debug, PartialEq, Eq)]
struct Alert {
    severity: String,
    query: String,
    /// How long the condition must hold, in minutes.
    minutes: u32,
    why: String,
    what_to_do: String,
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Yaml<'_> {
    let [document] = <[_; 1]>::try_from(Yaml::load_from_str(text).expect("it is YAML")).expect("one document");
    document
}

fn list<'a>(yaml: &'a Yaml<'_>, key: &str) -> &'a [Yaml<'a>] {
    yaml[key].as_vec().unwrap_or_else(|| panic!("no list {key} in {yaml:?}"))
}

fn string(yaml: &Yaml<'_>, key: &str) -> String {
    yaml[key].as_str().unwrap_or_else(|| panic!("no {key} in {yaml:?}")).to_owned()
}

/// The rules of the file of alerts, by name.
fn rules(file: &Yaml<'_>) -> BTreeMap<String, Alert> {
    let rules = list(file, "groups").iter().flat_map(|group| list(group, "rules"));
    let rules = rules.map(|rule| {
        let minutes = string(rule, "for").strip_suffix('m').and_then(|minutes| minutes.parse().ok());
        let alert = Alert {
            severity: string(&rule["labels"], "severity"),
            query: string(rule, "expr"),
            minutes: minutes.expect("so many minutes"),
            why: string(&rule["annotations"], "summary"),
            what_to_do: string(&rule["annotations"], "description"),
        };
        (string(rule, "alert"), alert)
    });
    unique(rules)
}

/// The rows of the documentation's table, by name.
fn documented(text: &str) -> BTreeMap<String, Alert> {
    let table = text.lines().skip_while(|line| !line.starts_with("| alert |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<String> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_owned()).collect();
        let [name, severity, when, why, what_to_do] = &cells[..] else { panic!("not five cells: {line}") };
        let query = code(when).next().expect("a query").replace("\\|", "|");
        let minutes = when
            .rsplit_once("` for ")
            .map_or(Ok(0), |(_, so_long)| so_long.trim_end_matches('s').trim_end_matches(" minute").parse());
        let alert = Alert {
            severity: severity.clone(),
            query,
            minutes: minutes.unwrap_or_else(|error| panic!("{when}: {error}")),
            why: why.replace('`', ""),
            what_to_do: what_to_do.replace('`', ""),
        };
        (code(name).next().expect("a name").to_owned(), alert)
    });
    unique(rows)
}

fn unique(alerts: impl Iterator<Item = (String, Alert)>) -> BTreeMap<String, Alert> {
    let mut all = BTreeMap::new();
    for (name, alert) in alerts {
        assert!(["critical", "warning", "info"].contains(&alert.severity.as_str()), "{name}: {}", alert.severity);
        assert!(all.insert(name.clone(), alert).is_none(), "{name} is there twice");
    }
    all
}

#[tokio::test]
async fn the_rules_for_prometheus_are_the_table_and_ask_for_what_is_served() {
    let text = read("alerts.yaml");
    let rules = rules(&yaml(&text));
    let documented = documented(&operations());
    assert!(rules.len() > 10, "{rules:?}");
    assert_eq!(rules, documented, "the rules, and the table");
    let families = families().await;
    for rule in rules.values() {
        asks_for_what_is_there(&rule.query, &families);
    }
}

/// Each metric, and each reason, is named in the query or in the advice of an alert, or is in one of the lists above.
#[tokio::test]
async fn every_metric_has_an_alert_or_is_looked_at_for_one() {
    let families = families().await;
    let documented = documented(&operations());
    let said: String = documented.values().flat_map(|alert| [&alert.query, " ", &alert.what_to_do, " "]).collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = said.split(|c| !is_name(c)).map(|word| family(word, &families)).collect();
    let silent = families.keys().map(String::as_str).filter(|name| !words.contains(name));
    assert_eq!(silent.collect::<BTreeSet<_>>(), CALM.into(), "no alert knows of these");
    let reasons = families["evenkeel_refused_total"].values("reason").filter(|reason| !words.contains(reason));
    assert_eq!(reasons.collect::<BTreeSet<_>>(), EXPECTED.into(), "no alert asks for these");
}

/// Each rule has such a test; promtool runs the tests, in `.ci/metrics`.
#[test]
fn every_rule_is_shown_to_fire_and_not_to() {
    let (rules_text, tests_text) = (read("alerts.yaml"), read("alerts.test.yaml"));
    let (rules, tests) = (rules(&yaml(&rules_text)), yaml(&tests_text));
    for name in rules.keys() {
        let firing = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
        let tests = list(&tests, "tests").iter().filter(|test| !test["input_series"].is_badvalue());
        let mut shown = tests.filter_map(|test| {
            let asked = list(test, "promql_expr_test").iter().filter(|asked| string(asked, "expr") == firing);
            let samples: Vec<&[Yaml<'_>]> = asked.map(|asked| list(asked, "exp_samples")).collect();
            (!samples.is_empty()).then(|| {
                let series = list(test, "input_series").iter().map(|series| string(series, "series"));
                (series.collect::<Vec<_>>(), samples)
            })
        });
        let (series, samples) = shown.next().unwrap_or_else(|| panic!("{name} has no test"));
        for instance in ["instance=\"ill\"", "instance=\"well\""] {
            assert!(series.iter().any(|series| series.contains(instance)), "{name}: there is no {instance}");
        }
        let [before, [fires]] = samples[..] else { panic!("{name}: not nothing at first, and one then") };
        assert!(before.is_empty() && string(fires, "labels").contains("instance=\"ill\""), "{name}: {fires:?}");
    }
}
