//! The committed code and descriptor set must be those that the proto generates.
//!
//! After a change to the proto, `EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel-proto --test drift` writes them
//! again. The compiler is protox, in pure Rust; no protoc is involved.

use std::{env, fs, path::Path};

use prost::Message as _;

const PROTO_ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
const GENERATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/generated");
const FILES: [&str; 2] = ["evenkeel.v1.rs", "evenkeel.v1.binpb"];

fn generate(out: &Path) {
    let set = protox::Compiler::new([PROTO_ROOT])
        .expect("the proto root is a folder")
        .include_source_info(true)
        .include_imports(true)
        .open_file("evenkeel/v1/tensor_ops.proto")
        .unwrap_or_else(|error| panic!("the proto does not compile: {error:?}"))
        .file_descriptor_set();
    fs::write(out.join(FILES[1]), set.encode_to_vec()).expect("the output folder is writable");
    tonic_prost_build::configure().bytes(".").out_dir(out).compile_fds(set).expect("the proto generates");
}

#[test]
fn generated_code_matches_the_proto() {
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
            "{file} is not what the proto generates; run \
             `EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel-proto --test drift`"
        );
    }
}

/// Generated code of every language has its package: adding it later would break the programs that use that code.
#[test]
fn every_language_has_its_package() {
    let set = prost_types::FileDescriptorSet::decode(evenkeel_proto::FILE_DESCRIPTOR_SET).expect("it is a descriptor");
    let file = set.file.iter().find(|file| file.package() == "evenkeel.v1").expect("the contract is in it");
    let options = file.options.as_ref().expect("it has options");
    let packages = [
        options.go_package(),
        options.java_package(),
        options.csharp_namespace(),
        options.php_namespace(),
        options.ruby_package(),
        options.swift_prefix(),
    ];
    let expected = [
        "evenkeel.dev/go/evenkeel/v1;evenkeelv1",
        "dev.evenkeel.v1",
        "Evenkeel.V1",
        r"Evenkeel\V1",
        "Evenkeel::V1",
        "EvenkeelV1",
    ];
    assert_eq!(packages, expected);
    assert!(options.java_multiple_files());
}
