use std::{collections::BTreeSet, env, fs, panic, path::Path};

use evenkeel_kernels::{Cancelled, Uninterrupted};

use super::*;
use crate::grpc::Method;

/// Writes the digests again if `EVENKEEL_WRITE_GENERATED` is set: those of the plainest instruction set on one thread.
#[test]
fn every_instruction_set_gives_the_golden_digests() {
    if env::var_os("EVENKEEL_WRITE_GENERATED").is_some() {
        write();
        return;
    }
    let golden: Vec<&str> = GOLDEN.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    let names: Vec<String> = cases().iter().map(|case| case.name()).collect();
    assert_eq!(golden, names, "`just digests` writes them again");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "no two cases have one name");

    let places = Places::all();
    let outcome = run(&places, None, &Uninterrupted).expect("nobody stops it");
    let shown: Vec<String> = outcome.differences.iter().take(10).map(ToString::to_string).collect();
    assert_eq!(shown, [""; 0], "{} of {} results differ", outcome.differences.len(), outcome.compared);
    let places = places.instruction_sets.len() * places.threads.len();
    assert!(outcome.compared > 2 * names.len() * places, "{} results of {} cases", outcome.compared, names.len());
}

fn write() {
    let _forced = Forced::begin();
    simd::force(InstructionSet::Baseline);
    let pool = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
    let place = Place { set: None, pool: &pool };
    let lines = cases().into_iter().map(|case| {
        let mut everywhere = Everywhere::new(&[place], &Uninterrupted, false);
        case.compute(&mut everywhere).expect("nobody stops it");
        let (_, digests) = everywhere.into_digests().next().expect("there is one place");
        let digests = digests.expect("it is right");
        let (_, digest) = &digests[0];
        assert!(digests.iter().all(|(_, other)| other == digest), "{}: {digests:?}", case.name());
        format!("{digest} {}\n", case.name())
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/self_check/golden.txt");
    fs::write(path, lines.collect::<String>()).expect("the source folder is writable");
}

/// The streams of tensors are computed by the kernels of their unary calls, in parts; the unary calls of measuring by those of their
/// streams.
#[test]
fn every_operation_of_the_service_is_computed() {
    let names: BTreeSet<String> =
        cases().iter().map(|case| case.name().split(' ').take(1).collect::<String>()).collect();
    let unary = Method::ALL.into_iter().take(Method::TENSOR_OPS).map(Method::name);
    let is_other_form = |name: &str| name.ends_with("Stream") || name.ends_with("Unary");
    let expected: BTreeSet<String> = unary.filter(|name| !is_other_form(name)).map(str::to_owned).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_wrong_bit_is_found_in_every_result_and_named() {
    let places = Places::in_use(0);
    let run = |fault| run(&places, Some(fault), &Uninterrupted).expect("nobody stops it");
    let all = run("");
    assert_eq!(all.differences.len(), all.compared);

    let one = run("Dropout alpha float16");
    let found = one.differences.iter().map(|found| (found.result.as_str(), found.way, found.threads));
    let [single, several] = places.threads;
    let of = |threads| ["apart", "in place", "in parts"].map(|way| ("Dropout alpha float16", way, threads));
    let expected = [single, several].into_iter().flat_map(of);
    assert!(found.eq(expected), "{:?}", one.differences);
    let first = &one.differences[0];
    let said = first.to_string();
    // Other tests may have forced another set than the one in use before.
    let set = instruction_set::name(first.instruction_set);
    let words = format!("Dropout alpha float16, apart, {set} on 1 threads: digest ");
    assert!(said.starts_with(&words) && said.contains(", expected "), "{said}");
}

struct At<F>(F);

impl<F: Fn() -> Result<(), Cancelled> + Sync> Checkpoint for At<F> {
    fn check(&self) -> Result<(), Cancelled> {
        self.0()
    }
}

#[test]
fn it_can_be_stopped() {
    let stopped = run(&Places::in_use(0), None, &At(|| Err(Cancelled)));
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
}

#[test]
fn an_operation_that_panics_is_a_difference() {
    let outcome = run(&Places::in_use(0), None, &At(|| panic::resume_unwind(Box::new("as if it were wrong"))));
    let outcome = outcome.expect("it goes on");
    let difference = outcome.differences.first().expect("the first operation panics");
    assert_eq!(difference.cause, Cause::Failed("panicked: as if it were wrong".to_owned()));
    assert_eq!(outcome.differences.len(), outcome.compared, "each of them asks");
}
