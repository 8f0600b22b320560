//! Listening on a Unix domain socket.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
};

use evenkeel::{
    address::Address,
    config::ServerConfig,
    server::{Error, Running},
};
use evenkeel_client::Client;
use ndarray::array;

use crate::socket_folder::socket_folder;

fn at(path: &Path) -> ServerConfig {
    ServerConfig { listen: Address::Unix(path.to_owned()), ..ServerConfig::default() }
}

async fn serves(server: &Running) {
    let client = Client::connect(server.url()).await.expect("the socket is there");
    let dropped = client.dropout(array![1.0_f32, 2.0], 0.0, 1).send().await.expect("it serves");
    assert_eq!(dropped.kept, 2);
}

#[tokio::test]
async fn calls_are_answered_and_the_file_goes_with_the_server() {
    let folder = socket_folder();
    let path = folder.path().join("evenkeel.sock");
    let server = Running::start(at(&path)).await.expect("nothing is in its way");
    assert_eq!(server.url(), format!("unix:{}", path.display()));
    assert_eq!(server.local_addr(), None);
    assert_eq!(fs::metadata(&path).expect("it exists").permissions().mode() & 0o777, 0o600);
    serves(&server).await;
    server.shutdown_and_wait().await.expect("nothing is in flight");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced() {
    let folder = socket_folder();
    let path = folder.path().join("evenkeel.sock");
    drop(UnixListener::bind(&path).expect("nothing is in its way"));
    assert!(path.exists(), "the standard library leaves the file");
    let server = Running::start(at(&path)).await.expect("nobody listens");
    serves(&server).await;
    server.shutdown_and_wait().await.expect("nothing is in flight");
}

#[tokio::test]
async fn a_server_that_lives_keeps_its_socket() {
    let folder = socket_folder();
    let path = folder.path().join("evenkeel.sock");
    let server = Running::start(at(&path)).await.expect("nothing is in its way");
    let error = Running::start(at(&path)).await.expect_err("it is taken");
    assert!(matches!(&error, Error::Bind { addr: Address::Unix(taken), .. } if *taken == path), "{error:?}");
    serves(&server).await;
    server.shutdown_and_wait().await.expect("nothing is in flight");
}

#[tokio::test]
async fn other_files_are_not_touched() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("notes.txt");
    fs::write(&path, "keep me").expect("it can be written");
    let error = Running::start(at(&path)).await.expect_err("it is a file");
    assert!(error.to_string().contains(&format!("cannot listen on unix:{}", path.display())), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "keep me");
}

#[tokio::test]
async fn a_file_that_took_its_place_stays() {
    let folder = socket_folder();
    let path = folder.path().join("evenkeel.sock");
    let server = Running::start(at(&path)).await.expect("nothing is in its way");
    fs::remove_file(&path).expect("anybody may remove it");
    fs::write(&path, "somebody else's").expect("it can be written");
    server.shutdown_and_wait().await.expect("nothing is in flight");
    assert!(path.exists());
}
