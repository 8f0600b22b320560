//! The metrics that the server has are those that `docs/operating.md` lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use evenkeel::server::Running;

use crate::{expiry::secured, metrics::http};

/// Labels whose values the table lists, in the last cell of the family's row.
const LISTED: [&str; 6] = ["reason", "route", "bound", "why", "way", "files"];

/// A family: its type, and its labels with their values.
#[derive(Debug, Default)]
pub(crate) struct Family {
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Family {
    /// The values that a label has.
    pub(crate) fn values(&self, label: &str) -> impl Iterator<Item = &str> {
        self.labels.get(label).into_iter().flatten().map(String::as_str)
    }
}

/// The families that the server has, by name.
pub(crate) type Families = BTreeMap<String, Family>;

/// A row of the table: its type, its labels, and its last cell.
#[derive(Debug)]
struct Row {
    kind: String,
    labels: BTreeSet<String>,
    words: String,
}

/// The family of a series' name, or of one that a query has.
pub(crate) fn family<'a>(name: &'a str, families: &Families) -> &'a str {
    let is_histogram = |name: &&str| families.get(*name).is_some_and(|family| family.kind == "histogram");
    let mut shorter = ["_bucket", "_sum", "_count"].into_iter().filter_map(|suffix| name.strip_suffix(suffix));
    shorter.find(is_histogram).unwrap_or(name)
}

fn served(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = family(name, &families).to_owned();
            let family = families.get_mut(&name).unwrap_or_else(|| panic!("{name} has no type"));
            for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once('=').expect("a label");
                family.labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    families
}

/// The texts between backticks.
pub(crate) fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of the table of families, by name.
fn documented(text: &str) -> BTreeMap<String, Row> {
    let table = text.lines().skip_while(|line| !line.starts_with("| family |")).skip(2);
    let mut rows = BTreeMap::new();
    let mut labels = BTreeSet::new();
    for line in table.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [names, kind, of, words] = cells[..] else { panic!("not four cells: {line}") };
        if !of.starts_with("the same") {
            labels = BTreeSet::new();
        }
        let all: BTreeSet<String> = labels.iter().cloned().chain(code(of).map(str::to_owned)).collect();
        labels = all.clone();
        for name in code(names) {
            let row = Row { kind: kind.to_owned(), labels: all.clone(), words: words.to_owned() };
            assert!(rows.insert(name.to_owned(), row).is_none(), "{name} is there twice");
        }
    }
    rows
}

/// `docs/operating.md`.
pub(crate) fn operations() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    fs::read_to_string(path).expect("it is in the repository")
}

/// The families of a server that is configured to have every family.
pub(crate) async fn families() -> Families {
    let (_folder, config) = secured();
    let server = Running::start(config).await.expect("it starts");
    let answer = http(&server, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("headers end");
    served(body)
}

/// Panics if a query in the text names a family, or a value of a label, that the server does not have.
#[track_caller]
pub(crate) fn asks_for_what_is_there(text: &str, families: &Families) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c));
    let asked = words.filter(|word| ["evenkeel_", "grpc_server_", "process_"].iter().any(|of| word.starts_with(of)));
    for name in asked.filter(|word| !word.ends_with('_')) {
        assert!(families.contains_key(family(name, families)), "{name} is in the text and not served");
    }
    let selectors = text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    for (label, value) in selectors.flat_map(|labels| labels.split(", ")).filter_map(|label| label.split_once('=')) {
        if label == "job" {
            continue; // which Prometheus adds
        }
        let known = families.values().filter_map(|family| family.labels.get(label)).flatten();
        let known: BTreeSet<&str> = known.map(String::as_str).collect();
        for value in value.trim_start_matches('~').trim_matches('"').split('|').map(|it| it.trim_end_matches('\\')) {
            assert!(known.contains(value), "no {label} is {value}");
        }
    }
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let (text, families) = (operations(), families().await);
    let rows = documented(&text);

    let [in_code, in_docs] = [families.keys().collect::<BTreeSet<_>>(), rows.keys().collect()];
    assert_eq!(in_code, in_docs, "families that are served, and those of the table");
    for (name, Family { kind, labels }) in &families {
        let row = &rows[name];
        if row.kind.is_empty() {
            assert!(name.starts_with("process_"), "{name} has no type");
        } else {
            assert_eq!(&row.kind, kind, "{name}");
        }
        let names: BTreeSet<&String> = labels.keys().filter(|label| *label != "le").collect();
        assert_eq!(names, row.labels.iter().collect(), "the labels of {name}");
        for value in LISTED.iter().filter_map(|label| labels.get(*label)).flatten() {
            assert!(code(&row.words).any(|word| word == value), "{name}: nothing is said of {value}");
        }
    }
    asks_for_what_is_there(&text, &families);
}
