//! The settings in `deploy/` and the Dockerfile are valid and agree with the program.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use evenkeel::config::DEFAULT_DRAIN_TIMEOUT;

use crate::process::{run, stderr};

/// How long it may take to send the last traces once the calls have ended.
const LAST_TRACES: Duration = Duration::from_secs(5);

/// The words of a file, without its comments.
fn words(path: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let said = text.lines().map(|line| line.split("# ").next().unwrap_or_default());
    let words = said.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"={},[]".contains(c)));
    words.map(|word| word.trim_end_matches(':').to_owned()).filter(|word| !word.is_empty()).collect()
}

/// The environment variables that a file sets: `NAME: value`, `NAME=value`, or `name: NAME, value: value`.
fn variables(words: &[String]) -> Vec<(&str, &str)> {
    let mut variables = Vec::new();
    for (at, name) in words.iter().enumerate().filter(|(_, word)| word.starts_with("EVENKEEL_")) {
        let value = words[at + 1..].iter().find(|word| *word != "value");
        variables.push((name.as_str(), value.unwrap_or_else(|| panic!("{name} has no value")).as_str()));
    }
    variables
}

#[test]
fn what_is_deployed_is_taken_can_be_scraped_and_has_the_time_to_stop() {
    let image = words("Dockerfile");
    for (path, grace) in
        [("deploy/compose.yaml", "stop_grace_period"), ("deploy/kubernetes.yaml", "terminationGracePeriodSeconds")]
    {
        let words = words(path);
        let variables = [variables(&image), variables(&words)].concat();
        let output = run(&["config"], &variables);
        assert_eq!(output.status.code(), Some(0), "{path}: {variables:?}: {}", stderr(&output));

        let variable = |name| variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| *value);
        for (name, port) in [("EVENKEEL_LISTEN", 50051), ("EVENKEEL_METRICS_LISTEN", 9464)] {
            let address: SocketAddr = variable(name).expect(name).parse().expect("an address");
            assert!(address.ip().is_unspecified(), "{path}: {name}: a container's loopback is reached by nobody");
            assert_eq!(address.port(), port, "{path}");
            let is_open = words.windows(2).any(|pair| pair[0] == "containerPort" && pair[1] == port.to_string())
                || words.iter().any(|word| *word == format!("127.0.0.1:{port}:{port}"));
            assert!(is_open, "{path}: nobody reaches {port}");
        }

        let at = words.iter().position(|word| word == grace).expect(grace);
        let seconds = words[at + 1].trim_end_matches('s').parse().expect("seconds");
        assert!(Duration::from_secs(seconds) > DEFAULT_DRAIN_TIMEOUT + LAST_TRACES, "{path}: {seconds} s");
    }
}
