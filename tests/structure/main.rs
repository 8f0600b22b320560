//! The files of a crate know each other in one direction only, and no file is too long to be read at once.
//!
//! A file knows another if it names it in a `use` or in a path. A file may also use what its own ancestors have (`super`), which
//! name it as a part of theirs; every other circle fails, and is named.

mod graph;

use std::{fs, path::Path};

use graph::Graph;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The longest file, in lines.
const LONGEST: usize = 400;

const CRATES: [&str; 9] = [
    "src",
    "crates/client/src",
    "crates/exact/src",
    "crates/frames/src",
    "crates/kernels/src",
    "crates/load/src",
    "crates/proto/src",
    "crates/testing/src",
    "crates/transport/src",
];

#[test]
fn no_two_files_know_each_other() {
    let mut circles = Vec::new();
    for name in CRATES {
        // The files of the client name the types of its calls by the root, which would make a circle of most of them.
        let graph = Graph::of(&Path::new(ROOT).join(name), name != "crates/client/src");
        assert!(graph.files() > 1, "{name}");
        circles.extend(graph.circles().into_iter().map(|circle| format!("{name}: {}", circle.join(" -> "))));
    }
    assert_eq!(circles, [""; 0], "files that know each other in circles");
}

/// Every file that is written by hand.
#[test]
fn no_file_is_too_long() {
    let mut long = Vec::new();
    for name in CRATES.into_iter().chain([
        "tests",
        "crates/kernels/tests",
        "crates/client/tests",
        "crates/load/tests",
        "benches",
        "fuzz",
    ]) {
        graph::walk(&Path::new(ROOT).join(name), &mut |path| {
            let lines = fs::read_to_string(path).expect("it is text").lines().count();
            let path = path.strip_prefix(ROOT).expect("it is below").display().to_string();
            if lines > LONGEST && !path.contains("generated") {
                long.push(path);
            }
        });
    }
    long.sort();
    assert_eq!(long, [""; 0], "files above {LONGEST} lines");
}

/// The graph sees what it should: a circle of three files through a group of names, a path in the text, and `super`; and a circle of two
/// that know each other by names that their parent passes on,
/// or the root, whose name is empty.
#[test]
fn a_circle_is_found_and_named() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let graph = Graph::new([
        file("a", "use crate::{b::{c::Thing, Other}, error};"),
        file("b", "mod c; use crate::error::Error;"),
        file("b::c", "fn f() { crate::d::make() }"),
        file("d", "use super::a::Start;"),
        file("error", "// use crate::a; nobody is known in a comment"),
        file("e", "#[cfg(test)]\nmod tests { use crate::f; }"),
        file("f", "use crate::e::E;"),
        file("g", "mod h; mod i; pub(crate) use self::{h::H, i::{I, J as K}};"),
        file("g::h", "use super::K;"),
        file("g::i", "fn f() -> super::H {}"),
        file("g::j", "use super::H;"),
        file("", "mod k; mod l; pub use k::K; pub use crate::l::L;"),
        file("k", "use crate::L;"),
        file("l", "fn f() -> crate::K {}"),
    ]);
    assert_eq!(graph.circles(), [vec!["a", "b::c", "d"], vec!["g::h", "g::i"], vec!["k", "l"]]);
}
