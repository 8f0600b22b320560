//! Every row of the table of bad input, `tests/bad-inputs.md`, names tests, and each of them exists.

use std::{fs, path::Path};

/// Whether a file has a test of this name that runs with all others: a function, or a row `name: ...,` of a macro that makes tests.
fn has_test(file: &str, name: &str) -> bool {
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let is_row = |line: &&str| line.ends_with(',') && line.split_once(": ").is_some_and(|(first, _)| first == name);
    if file.contains("macro_rules!") && lines.iter().any(is_row) {
        return true;
    }
    let is_it = |line: &str| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    // The attributes, and comments, are in the lines before.
    lines.iter().enumerate().filter(|(_, line)| is_it(line)).any(|(at, _)| {
        let before = lines[..at].iter().rev().take_while(|line| line.starts_with(['#', '/']) || line.ends_with(']'));
        let has = |attribute: &str| before.clone().any(|line| line.starts_with(attribute));
        (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    })
}

#[test]
fn a_test_that_is_ignored_is_none() {
    let file = |attributes: &str| format!("/// A comment.\n{attributes}\nasync fn name() {{\n}}\n");
    for attributes in ["#[test]", "#[tokio::test(flavor = \"multi_thread\")]"] {
        assert!(has_test(&file(attributes), "name"), "{attributes}");
        assert!(!has_test(&file(attributes), "nam"), "{attributes}");
    }
    for attributes in ["", "#[test]\n#[ignore = \"it takes long\"]", "#[ignore]\n#[tokio::test]"] {
        assert!(!has_test(&file(attributes), "name"), "{attributes}");
    }
}

#[test]
fn every_row_names_tests_that_there_are() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let table = fs::read_to_string(tests.join("bad-inputs.md")).expect("it is in the repository");
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut number = 0;
    for row in rows {
        number += 1;
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, _, named] = cells[..] else { panic!("not three cells: {row}") };
        assert_eq!(row, number.to_string(), "rows are numbered one after the other");
        for test in named.split(", ") {
            let test = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            let (path, name) =
                test.and_then(|test| test.split_once(": ")).unwrap_or_else(|| panic!("row {row}: {named}"));
            let file =
                fs::read_to_string(tests.join(path)).unwrap_or_else(|error| panic!("row {row}: {path}: {error}"));
            assert!(has_test(&file, name), "row {row}: {path} has no test {name}");
        }
    }
    assert_eq!(number, 69, "a row is missing, or is new");
}
