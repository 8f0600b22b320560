//! The committed messages of the suite and their descriptors must be those that its protos generate.
//!
//! After a change to them, `EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel-connectconformance --test drift` writes them again. The
//! compiler is protox, in pure Rust.

use std::{env, fs, path::Path};

use prost::Message as _;

const PROTO_ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
const GENERATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/generated");
const PROTOS: [&str; 2] = ["connectrpc/conformance/v1/service.proto", "connectrpc/conformance/v1/server_compat.proto"];
const FILES: [&str; 2] = ["connectrpc.conformance.v1.rs", "descriptors.binpb"];

fn generate(out: &Path) {
    let set =
        protox::compile(PROTOS, [PROTO_ROOT]).unwrap_or_else(|error| panic!("the protos do not compile: {error:?}"));
    fs::write(out.join(FILES[1]), set.encode_to_vec()).expect("the output folder is writable");
    let mut config = prost_build::Config::new();
    config.enable_type_names().disable_comments(["."]).out_dir(out).compile_fds(set).expect("the protos generate");
}

#[test]
fn generated_code_matches_the_protos() {
    let fresh = tempfile::tempdir().expect("a temporary folder");
    generate(fresh.path());
    for file in FILES {
        let new = fs::read(fresh.path().join(file)).expect("generated");
        let committed = Path::new(GENERATED).join(file);
        if env::var_os("EVENKEEL_WRITE_GENERATED").is_some() {
            fs::write(&committed, &new).expect("the source folder is writable");
        }
        assert!(
            fs::read(&committed).is_ok_and(|old| old == new),
            "{file} is not what the protos generate; run \
             `EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel-connectconformance --test drift`"
        );
    }
}
