//! Calls to a server whose answers the test sends.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use evenkeel_load::{
    Connection, Ended, Kind, Lost, Outcome, Pace, Record, Reference, Request, Schedule, Shape, Until, Worker,
};
use evenkeel_testing::{
    stub::{Held, Stub},
    until::{until_some_here, within},
};
use tokio::net::TcpStream;

/// The calls that have ended, in their order.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Ended>>>);

impl Record for Seen {
    fn ended(&mut self, call: Ended) -> ControlFlow<()> {
        self.0.lock().expect("no test panics with it").push(call);
        ControlFlow::Continue(())
    }
}

impl Seen {
    fn outcomes(&self) -> Vec<Outcome> {
        self.0.lock().expect("no test panics with it").iter().map(|call| call.outcome.clone()).collect()
    }
}

/// Makes calls on one connection, and answers them on another thread. The server is there until the calls have ended, if the answers
/// return it.
async fn run(
    request: Request,
    (pace, concurrency): (Arc<Pace>, usize),
    compares_bytes: bool,
    answer: impl FnOnce(Stub) -> Option<Stub> + Send + 'static,
) -> (Seen, Result<(), Lost>) {
    let stub = Stub::start();
    let socket = TcpStream::connect(stub.address).await.expect("it listens");
    let answers = thread::spawn(move || answer(stub));
    let reference = Reference::first(compares_bytes);
    let mut connection = Connection::open(socket, Arc::new(request), reference).await.expect("it speaks HTTP/2");
    let seen = Seen::default();
    let mut worker = Worker::new(pace, concurrency, seen.clone());
    let ran = within("the calls end", connection.run(&mut worker)).await;
    drop(answers.join().expect("all calls were answered"));
    (seen, ran)
}

fn request() -> Request {
    Request::new("/a.B/C", "localhost", Bytes::from_static(b"\0\0\0\0\x01a"), Kind::Message)
}

fn closed(calls: u64) -> Arc<Pace> {
    Arc::new(Pace::closed(Until::Calls(calls)))
}

/// The server stops answering until all calls of the schedule are due. Each of them has waited since it was due, though only one
/// was on its way.
#[tokio::test]
async fn a_stall_is_in_the_latency_of_every_call_that_was_due() {
    const CALLS: u64 = 20;
    let schedule = Schedule::new(Shape::Const { rate: 1000.0 }, None, None).expect("it has one rate");
    let pace = Arc::new(Pace::open(schedule.clone(), Until::Calls(CALLS)));
    let (asked, released) = (Arc::clone(&pace), Arc::new(Mutex::new(None)));
    let release = Arc::clone(&released);
    let (seen, ran) = run(request(), (Arc::clone(&pace), 1), false, move |stub| {
        let first = stub.call();
        let all_due = || (asked.untaken(Instant::now()) == CALLS - 1).then_some(());
        until_some_here("all calls are due", all_due);
        *release.lock().expect("no other thread has it") = Some(Instant::now());
        first.answer(b"x");
        (1..CALLS).for_each(|_| stub.call().answer(b"x"));
        Some(stub)
    })
    .await;
    ran.expect("the connection lives");
    let released = released.lock().expect("the thread has ended").expect("the first call was answered");
    let seen = seen.0.lock().expect("the load has ended");
    assert_eq!(seen.len() as u64, CALLS);
    for (index, call) in (0..).zip(seen.iter()) {
        assert_eq!(call.outcome, Outcome::Ok);
        assert_eq!(call.due, pace.began() + schedule.due(index).expect("it is due"));
        assert!(call.due < released && call.ended >= released, "call {index} was not part of the stall");
        // Only the first was on its way; from their beginnings, the others would not show the stall.
        assert_eq!(call.started < released, index == 0, "call {index}");
    }
    // When the second was begun, all others waited.
    assert!(pace.behind() >= CALLS - 2);
    assert_eq!(pace.untaken(Instant::now()), 0);
}

#[tokio::test]
async fn calls_are_told_apart_by_their_status() {
    let (seen, ran) = run(request(), (closed(4), 1), false, |stub| {
        stub.call().answer(b"x");
        stub.call().fail("8", "too%20much");
        stub.call().fail("99", "");
        drop(stub.call());
        Some(stub)
    })
    .await;
    ran.expect("the connection lives");
    let failed = |code, message: &str| Outcome::Failed { code, message: message.to_owned() };
    let [first, second, third, fourth] = &seen.outcomes()[..] else { panic!("{seen:?}") };
    assert_eq!([first, second, third], [&Outcome::Ok, &failed(8, "too much"), &failed(99, "")]);
    assert!(matches!(fourth, Outcome::Failed { message, .. } if message.contains("reset")), "{fourth:?}");
}

#[tokio::test]
async fn answers_are_compared_with_the_first_one() {
    for (compares_bytes, second, third) in [(true, b"ax", b"bx"), (false, b"bx", b"cx")] {
        let (seen, ran) = run(request(), (closed(4), 1), compares_bytes, move |stub| {
            stub.call().answer(b"ax");
            stub.call().answer(second);
            stub.call().answer(third);
            stub.call().answer(b"abc");
            Some(stub)
        })
        .await;
        ran.expect("the connection lives");
        let outcomes = seen.outcomes();
        let wrong = |outcome: &Outcome| matches!(outcome, Outcome::Wrong(_));
        assert_eq!(outcomes.iter().map(wrong).collect::<Vec<_>>(), [false, false, compares_bytes, true]);
        assert_eq!(outcomes[3], Outcome::Wrong("an answer has 8 bytes, and the first one 7".to_owned()));
    }
}

/// As many calls as there may be are in flight, and no more.
#[tokio::test]
async fn a_closed_loop_keeps_its_calls_in_flight() {
    let (seen, ran) = run(request(), (closed(10), 3), false, |stub| {
        let mut held: Vec<Held> = (0..3).map(|_| stub.call()).collect();
        for begun in 3..13 {
            assert!(stub.call_now().is_none(), "there is a call too many");
            assert_eq!(held[0].path, "/a.B/C");
            held.remove(0).answer(b"x");
            if begun < 10 {
                held.push(stub.call());
            }
        }
        Some(stub)
    })
    .await;
    ran.expect("the connection lives");
    assert_eq!(seen.outcomes(), vec![Outcome::Ok; 10]);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    let request = request().timeout(Duration::from_millis(20));
    let (held, ends) = std::sync::mpsc::channel();
    let (seen, ran) = run(request, (closed(1), 1), false, move |stub| {
        // The call is held until the load has ended.
        held.send(stub.call()).expect("the test waits for it");
        Some(stub)
    })
    .await;
    ran.expect("the connection lives");
    drop(ends);
    let [Outcome::Failed { code: 4, .. }] = seen.outcomes()[..] else { panic!("{seen:?}") };
    let seen = seen.0.lock().expect("the load has ended");
    assert!(seen[0].ended - seen[0].started >= Duration::from_millis(20));
}

#[tokio::test]
async fn calls_on_a_connection_that_ends_have_failed() {
    let (seen, ran) = run(request(), (closed(100), 2), false, |stub| {
        stub.call().answer(b"x");
        // The server ends, with the calls that it holds.
        let held = [stub.call(), stub.call()];
        drop(stub);
        drop(held);
        None
    })
    .await;
    ran.expect_err("the connection has ended");
    let outcomes = seen.outcomes();
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
    assert_eq!(outcomes[0], Outcome::Ok);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::Failed { .. })), "{outcomes:?}");
}
