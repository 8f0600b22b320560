//! The transport under services that know nothing of gRPC, over real sockets.

mod burst;
#[cfg(target_os = "linux")]
mod keep_alive;
mod requests;
mod resets;
mod running;

/// The crate can carry any service: its dependencies include nothing of gRPC or of tensors.
#[test]
fn it_knows_no_grpc_and_no_tensors() {
    let manifest = include_str!("../../Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    for line in dependencies.expect("it has dependencies").lines() {
        let name = line.split(['.', ' ']).next().expect("a line has a beginning");
        assert!(!["tonic", "prost", "evenkeel", "ndarray"].iter().any(|other| name.starts_with(other)), "{line}");
    }
}
