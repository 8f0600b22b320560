//! Every example runs against a server and prints something.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::Tensor;
use ndarray::Array1;

use crate::{environment::without_environment, start};

/// Runs an example, which cargo builds beside the tests, against this many servers, and returns what it prints.
async fn run(example: &str, servers: usize) -> String {
    run_with(example, servers, &[]).await
}

/// The same with more arguments.
async fn run_with(example: &str, servers: usize, more: &[&Path]) -> String {
    let test = env::current_exe().expect("a test is a file");
    let binary: PathBuf = test.ancestors().nth(2).expect("target/debug").join("examples").join(example);
    let mut running = Vec::new();
    for _ in 0..servers {
        running.push(Running::start(ServerConfig::on_free_port()).await.expect("the server starts"));
    }
    let command = without_environment(&binary).args(running.iter().map(Running::url)).args(more).output();
    // The example has blocked this thread; the servers run on another, which the attribute of the test gives.
    let output = command.unwrap_or_else(|error| panic!("{}: {error}; `cargo test` builds it", binary.display()));
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    for server in running {
        server.shutdown_and_wait().await.expect("the server stops");
    }
    String::from_utf8(output.stdout).expect("an example prints text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for file in folder.read_dir().expect("there are examples") {
        let path = file.expect("a readable folder").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        // It answers lines of standard input; conformance/run.py gives it some.
        if name == "conformance" {
            continue;
        }
        let printed = run(name, 1).await;
        assert!(!printed.trim().is_empty(), "{name} prints nothing");
        count += 1;
    }
    assert!(count >= 8, "one for each call, one for files, and the README's");
}

/// The README shows this example, whose comment promises an output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_call_prints_what_it_says() {
    let source = include_str!("../../examples/first_call.rs");
    let promised = source.split_once("println!(\"{}\", y.output); // ").expect("it says what it prints").1;
    assert_eq!(run("first_call", 1).await.lines().next(), promised.lines().next());
}

/// An operation's example is the same program in every language, which prints the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operations_print_what_their_pages_show() {
    for (example, shown) in [
        ("normalize", include_str!("../../../../docs/operations/printed/normalize.txt")),
        ("dropout", include_str!("../../../../docs/operations/printed/dropout.txt")),
        ("clip_gradients", include_str!("../../../../docs/operations/printed/clip_gradients.txt")),
        ("merge", include_str!("../../../../docs/operations/printed/merge.txt")),
    ] {
        assert_eq!(run(example, 1).await, shown, "{example}");
    }
}

/// Gradients in parts on three servers are clipped as one server would clip them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_on_three_servers_make_the_whole() {
    let printed = run("sharded_clip", 3).await;
    assert!(printed.ends_with("every byte is the same: true\n"), "{printed}");
}

/// A step of batch normalization over samples on three servers is that of one server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_on_three_servers_make_the_batch() {
    let printed = run("sync_batch_norm", 3).await;
    assert!(printed.ends_with("every byte is the same: true\n"), "{printed}");
}

/// A file goes through dropout, and comes out as an array does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_streamed() {
    let (_server, client) = start().await.expect("the server starts");
    let x = Array1::from_iter((0..300_007_u32).map(|i| i as f32 * 0.5 - 99.0));
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    fs::write(&input, Tensor::from(&x).into_le_bytes()).expect("it is written");
    let printed = run_with("stream_file", 1, &[&input, &output]).await;

    let expected = client.dropout(x, 0.5, 42).send().await.expect("it is valid");
    assert_eq!(printed, format!("{} of 300007 elements kept\n", expected.kept));
    assert!(fs::read(&output).expect("it is there") == Tensor::from(expected.output).into_le_bytes());
}

/// Gradients in files are clipped as arrays are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_gradients_are_clipped() {
    let (_server, client) = start().await.expect("the server starts");
    let gradients = [100_003_u32, 7].map(|len| Array1::from_iter((0..len).map(|i| i as f32 * 0.5 - 99.0)));
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["weight", "bias"].map(|name| folder.path().join(name));
    for (path, gradient) in files.iter().zip(&gradients) {
        fs::write(path, Tensor::from(gradient).into_le_bytes()).expect("it is written");
    }
    run_with("clip_files", 1, &[&files[0], &files[1]]).await;

    let expected = client.clip_gradients(["weight", "bias"].into_iter().zip(gradients)).by_norm(1.0).send().await;
    for (path, expected) in files.iter().zip(expected.expect("it is valid").gradients) {
        let clipped = fs::read(path.with_extension("clipped")).expect("it is there");
        assert!(clipped == expected.tensor.into_le_bytes());
    }
}
