//! The commands of the README and of `docs/connect.md` do what is shown there.

use std::{fs, path::Path};

use evenkeel::config::ServerConfig;

use super::{
    client::{Answer, BOTH, JSON},
    start,
};
use http_body_util::{Full, combinators::BoxBody};

/// A command of the page, and the line below it, if that is its output.
fn commands(page: &str) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix("$ curl -H 'content-type: application/json' -d '") else { continue };
        let (text, path) = rest.split_once("' localhost:50051/").expect("the address follows the text");
        let output = lines.next_if(|line| !line.starts_with(['$', '`'])).map(str::to_owned);
        found.push((text.to_owned(), path.to_owned(), output));
    }
    found
}

#[tokio::test]
async fn the_commands_of_the_page_are_answered() {
    let read = |path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there");
    let server = start(ServerConfig::on_free_port()).await;
    let mut commands = commands(&read("README.md"));
    assert_eq!(commands.len(), 1, "the README has a first call");
    commands.extend(self::commands(&read("docs/connect.md")));
    let methods: Vec<&str> = commands.iter().filter_map(|(_, path, _)| path.rsplit('/').next()).collect();
    for method in
        ["Normalize", "NormalizeBackward", "Dropout", "DropoutBackward", "ClipGradients", "GetServerInfo", "Check"]
    {
        assert!(methods.contains(&method), "the page has no {method}");
    }
    let (mut outputs, mut errors) = (0, 0);
    for version in BOTH {
        for (text, path, output) in &commands {
            let body = BoxBody::new(Full::new(text.clone().into()));
            let answer = Answer::of(version.send(&server, path, &[("content-type", JSON)], body).await).await;
            errors += usize::from(answer.http == 400);
            assert!(answer.http == 200 || answer.http == 400 && text.contains("thresold"), "{text}: {answer:?}");
            if let Some(output) = output {
                assert_eq!(String::from_utf8_lossy(&answer.body), *output, "{text}");
                outputs += 1;
            }
        }
    }
    assert!(outputs >= 4 && errors == 2, "{outputs} {errors}");
}
