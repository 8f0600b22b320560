//! Any text becomes the message of a request or is refused, in no more memory than the call may hold. The message's own text becomes
//! the same message again; and the text of a message that prost has encoded becomes the same text again.

#![no_main]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    str,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use arbitrary::{Arbitrary, Result, Unstructured};
use evenkeel::JsonTrial;
use evenkeel_fuzz::messages::{METHODS, call};
use evenkeel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// The most bytes that a call holds.
const MOST: usize = 64 << 10;
/// The bytes that are not reserved: the list of a message's fields, the path to a value, and an error with its details.
const UNCOUNTED: usize = 16 << 10;

/// Counts the bytes that are allocated, and the most that there were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` allocates beside those that are there already.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let done = work();
    (done, PEAK.load(Ordering::Relaxed) - before)
}

#[derive(Debug)]
struct Case {
    method: &'static str,
    text: Vec<u8>,
    /// Whether the text is that of a message which prost has encoded.
    is_own: bool,
    /// The bytes that the call may hold.
    bytes: usize,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes = u.int_in_range(0..=MOST)?;
        if u.ratio(1, 2)? {
            return Ok(Self { method: *u.choose(&METHODS)?, bytes, text: u.bytes(u.len())?.to_vec(), is_own: false });
        }
        let (method, message) = call(u)?;
        let mut text = trial().write(&path(method), &message).expect("prost has encoded it").to_vec();
        let edits = if u.ratio(1, 2)? { u.int_in_range(1..=4)? } else { 0 };
        for _ in 0..edits {
            let place = u.int_in_range(0..=text.len())?;
            match u.int_in_range(0..=2)? {
                0 => text.insert(place, *u.choose(b"{}[]\",:\\-+.eE0123456789nulltruefalse @_=/ \xFF")?),
                1 => text.truncate(place),
                _ => drop(text.get(place).is_some().then(|| text.remove(place))),
            }
        }
        Ok(Self { method, bytes, text, is_own: edits == 0 })
    }
}

fn trial() -> &'static JsonTrial {
    static TRIAL: OnceLock<JsonTrial> = OnceLock::new();
    TRIAL.get_or_init(|| JsonTrial::new().expect("the contract is right"))
}

fn path(method: &str) -> String {
    format!("/evenkeel.v1.TensorOpsService/{method}")
}

/// Decodes the message of a request, as the server does.
fn decode(method: &str, message: &[u8]) {
    fn of<M: Message + Default>(message: &[u8]) {
        M::decode(message).expect("it is a message");
    }
    match method {
        "Normalize" => of::<pb::NormalizeRequest>(message),
        "NormalizeBackward" => of::<pb::NormalizeBackwardRequest>(message),
        "Dropout" => of::<pb::DropoutRequest>(message),
        "DropoutBackward" => of::<pb::DropoutBackwardRequest>(message),
        "ClipGradients" => of::<pb::ClipGradientsRequest>(message),
        "MeasureGradients" => of::<pb::MeasureGradientsRequest>(message),
        "MeasureStatistics" => of::<pb::MeasureStatisticsRequest>(message),
        other => panic!("{other} has no message"),
    }
}

fuzz_target!(|case: Case| {
    let Case { method, text, is_own, bytes } = &case;
    let path = path(method);
    // The first trial makes the descriptors, which no call pays for.
    let trial = trial();
    let (read, peak) = peak_of(|| trial.read(&path, text, *bytes));
    assert!(peak <= bytes + UNCOUNTED, "{peak} bytes were allocated, and {bytes} reserved");
    let message = match read.or_else(|_| trial.read(&path, text, usize::MAX)) {
        Ok(message) => message,
        Err(status) => {
            assert!(!is_own, "{status:?}");
            assert_eq!(status.code() as i32, 3, "{status:?}");
            return;
        }
    };
    let own = trial.write(&path, &message).expect("it is a message");
    let again = trial.read(&path, &own, usize::MAX).expect("it is a text of the server's own");
    assert!(message == again, "{:?} and {:?}", str::from_utf8(text), str::from_utf8(&own));
    decode(method, &message);
    assert!(!*is_own || own == text, "{:?} and {:?}", str::from_utf8(text), str::from_utf8(&own));
});
