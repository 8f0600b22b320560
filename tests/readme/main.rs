//! The README and the pages that it leads to, held to what happens.
//!
//! The commands on files are run and their output compared. The snippets must be the files that other tests run: the
//! Rust one in `crates/client/tests/client/examples.rs`, the Python ones in `clients/python/check.sh` and `checks/python/run.sh`. The typed call is
//! made with the JSON that is printed. A command that no test knows of fails.

mod blocks;
mod settings;

use std::{error::Error, fs, path::Path};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_proto::v1::{NormKind, NormalizeRequest, Tensor, tensor_ops_service_client::TensorOpsServiceClient};
use evenkeel_testing::environment::without_environment;
use serde_json::Value;

use blocks::{Block, Shell};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The beginnings of commands that are checked elsewhere, and the places of those checks.
const ELSEWHERE: [(&str, &str); 11] = [
    ("cargo run --release", "tests/service/process.rs: the first line"),
    ("cargo test", ".ci/run"),
    ("cargo run --release -p evenkeel-client", "crates/client/tests/client/examples.rs"),
    ("curl ", "tests/service/connect/documented.rs, docs/operations/run.sh"),
    ("printf ", "docs/operations/run.sh"),
    ("grpcurl ", "the typed call, below; .ci/readme runs it with grpcurl itself"),
    ("pip install grpcio-tools", "checks/python/run.sh"),
    ("python -m grpc_tools.protoc", "checks/python/run.sh"),
    ("docker build", "deploy/prove.sh"),
    ("docker run", "deploy/prove.sh"),
    ("just load", ".ci/run"),
];

/// The index of the operations, and a page for each, whose programs `docs/operations/snippets.py` copies from the clients.
const OPERATIONS: [&str; 5] = [
    "docs/operations.md",
    "docs/operations/clip_gradients.md",
    "docs/operations/dropout.md",
    "docs/operations/merge.md",
    "docs/operations/normalize.md",
];

/// The pages that show commands or programs: the README, and those that it leads to.
fn pages() -> String {
    ["README.md", "docs/cli.md", "docs/calls.md"].map(read).join("\n")
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file from its first line that begins with `first` on.
fn body(path: &str, first: &str) -> String {
    let text = read(path);
    let start = text.find(&format!("\n{first}")).unwrap_or_else(|| panic!("{path} has no line {first}"));
    text[start + 1..].trim_end().to_owned()
}

#[test]
fn the_snippets_are_the_files_that_are_run() {
    let pages = pages();
    let blocks = Block::all(&pages);
    let with =
        |language| blocks.iter().filter(move |block| block.language == language).map(|block| block.text.trim_end());
    assert!(with("rust").eq([body("crates/client/examples/first_call.rs", "use evenkeel_client")]));
    let mut python = with("python");
    assert_eq!(python.next(), Some(&*body("clients/python/examples/first_call.py", "import os")));
    assert_eq!(python.next(), Some(&*body("checks/python/first_call.py", "import grpc")));
    let mask = python.next().expect("the line that makes a mask");
    assert!(mask.starts_with("keep = np.random.Philox(key=seed)") && python.next().is_none());
}

#[test]
fn commands_on_files_print_what_is_shown() -> Result<(), Box<dyn Error>> {
    let pages = pages() + "\n" + &OPERATIONS.map(read).join("\n");
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("tests/data");
    fs::create_dir_all(&data)?;
    for file in fs::read_dir(Path::new(ROOT).join("tests/data"))? {
        let file = file?;
        fs::copy(file.path(), data.join(file.file_name()))?;
    }
    let mut run = 0;
    for Shell { command, output } in Shell::all(&Block::all(&pages)) {
        if let Some(arguments) = command.strip_prefix("evenkeel ") {
            // The folder of the repository, and so its copy, may have an output of a command that was run by hand.
            let written = output.lines().find_map(|line| line.strip_prefix("wrote ")).ok_or("nothing is written")?;
            let _ = fs::remove_file(folder.path().join(written));
            let got = without_environment(env!("CARGO_BIN_EXE_evenkeel"))
                .args(arguments.split_whitespace())
                .current_dir(folder.path())
                .output()?;
            assert_eq!(String::from_utf8(got.stdout)?, output, "{command}\n{}", String::from_utf8_lossy(&got.stderr));
            assert!(got.status.success() && folder.path().join(written).exists(), "{command}");
            run += 1;
        } else {
            let known = ELSEWHERE.iter().any(|(begin, _)| command.starts_with(begin));
            assert!(known, "no test knows of `{command}`");
        }
    }
    assert!(run >= 3, "the README shows normalize, dropout and clip");
    Ok(())
}

#[test]
fn a_server_accepts_the_example_of_a_configuration_file() -> Result<(), Box<dyn Error>> {
    let page = read("docs/operating.md");
    let blocks = Block::all(&page);
    let [example] = blocks.iter().filter(|block| block.language == "toml").collect::<Vec<_>>()[..] else {
        return Err("the page has one example".into());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("evenkeel.toml");
    fs::write(&file, example.text)?;
    let got = without_environment(env!("CARGO_BIN_EXE_evenkeel")).arg("config").arg("--config").arg(&file).output()?;
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    Ok(())
}

/// The JSON of the grpcurl call, by its own field names, and the answer that is printed below it.
#[tokio::test]
async fn the_typed_call_is_answered_as_shown() -> Result<(), Box<dyn Error>> {
    let calls = read("docs/calls.md");
    let shells = Shell::all(&Block::all(&calls));
    let call = shells.iter().find(|shell| shell.command.starts_with("grpcurl ")).ok_or("no grpcurl call")?;
    let request: Value = serde_json::from_str(call.command.split('\'').nth(1).ok_or("no JSON in quotes")?)?;
    let shown: Value = serde_json::from_str(&call.output)?;

    let numbers = |value: &Value| -> Option<Vec<f64>> {
        value.as_array()?.iter().map(|x| x.as_f64().or_else(|| x.as_str()?.parse().ok())).collect()
    };
    let input = &request["input"];
    let message = NormalizeRequest {
        kind: request["kind"].as_str().and_then(NormKind::from_str_name).ok_or("no such kind")?.into(),
        input: Some(Tensor {
            shape: numbers(&input["shape"]).ok_or("no shape")?.into_iter().map(|dim| dim as i64).collect(),
            float_data: numbers(&input["float_data"]).ok_or("no numbers")?.into_iter().map(|x| x as f32).collect(),
            ..Tensor::default()
        }),
        ..NormalizeRequest::default()
    };
    let server = Running::start(ServerConfig::on_free_port()).await?;
    let mut client = TensorOpsServiceClient::connect(server.url()).await?;
    let answer = client.normalize(message).await?.into_inner();
    let output = answer.output.ok_or("no output")?;
    let as_f64 = |x: f32| x.to_string().parse::<f64>();
    let got: Vec<f64> = output.float_data.into_iter().map(as_f64).collect::<Result<_, _>>()?;
    assert_eq!(numbers(&shown["output"]["floatData"]), Some(got));
    assert_eq!(numbers(&shown["axes"]), Some(answer.axes.into_iter().map(f64::from).collect()));
    drop(client);
    server.shutdown_and_wait().await?;
    Ok(())
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/calls.md",
        "docs/cli.md",
        "docs/clients.md",
        "docs/connect.md",
        "docs/numerics.md",
        "docs/operating.md",
        "docs/settings.md",
    ]
    .into_iter()
    .chain(OPERATIONS)
    {
        // Every second part is a program, which may have the same signs.
        let text = read(page).split("```").step_by(2).collect::<String>();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            links += 1;
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(page).parent().expect("it is in a folder");
            let file = if file.is_empty() { page.to_owned() } else { folder.join(file).display().to_string() };
            assert!(Path::new(ROOT).join(&file).exists(), "{page}: {target}");
            let sections = || read(&file).lines().filter(|line| line.starts_with('#')).map(anchor).collect::<Vec<_>>();
            assert!(section.is_empty() || sections().iter().any(|it| it == section), "{page}: {target}");
        }
    }
    assert!(links > 20, "{links}");
}

/// The anchor of a heading, as links name it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
