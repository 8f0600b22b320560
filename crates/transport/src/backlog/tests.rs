use std::{future::poll_fn, task::Waker};

use tokio::task::{JoinSet, yield_now};

use super::*;

fn poll(turn: &mut ReadTurn) -> Poll<Option<usize>> {
    turn.poll(&mut Context::from_waker(Waker::noop()))
}

/// A backlog in which so many requests wait.
fn backlog(requests: usize) -> (Arc<Backlog>, Vec<Unbegun>) {
    let backlog = Backlog::new();
    let unbegun = (0..requests).map(|_| backlog.add()).collect();
    (backlog, unbegun)
}

#[test]
fn few_requests_hold_up_no_connection() {
    let (backlog, unbegun) = backlog(LOW_WATERMARK - 1);
    assert_eq!(poll(&mut ReadTurn::new(&backlog)), Poll::Ready(None));
    drop(unbegun);
}

#[test]
fn some_requests_make_connections_read_a_little() {
    let (backlog, _unbegun) = backlog(LOW_WATERMARK);
    let mut turn = ReadTurn::new(&backlog);
    assert_eq!(poll(&mut turn), Poll::Ready(Some(BYTES_AT_ONCE)));
    turn.read(REQUESTS_IN_TURN - 1);
    assert_eq!(backlog.begun.load(SeqCst), 1, "its turn goes on");
    turn.read(1);
    assert_eq!(backlog.begun.load(SeqCst), 0);
    assert_eq!(poll(&mut turn), Poll::Ready(Some(BYTES_AT_ONCE)), "there is room for another turn");
    turn.is_at_end();
    assert_eq!(backlog.begun.load(SeqCst), 0, "a connection that has nothing to read has no turn");
}

#[test]
fn many_requests_make_connections_wait_until_one_is_begun() {
    let (backlog, mut unbegun) = backlog(HIGH_WATERMARK);
    let mut turns: Vec<_> = (0..2).map(|_| ReadTurn::new(&backlog)).collect();
    assert!(turns.iter_mut().all(|turn| poll(turn).is_pending()));
    unbegun.pop();
    assert_eq!(poll(&mut turns[0]), Poll::Ready(Some(BYTES_AT_ONCE)));
    assert!(poll(&mut turns[1]).is_pending(), "the first one may open {REQUESTS_IN_TURN} requests");
    turns[0].read(REQUESTS_IN_TURN);
    assert_eq!(poll(&mut turns[1]), Poll::Ready(Some(BYTES_AT_ONCE)));
}

/// The connection ends while it waits for the turn, or while it has the turn.
#[test]
fn a_connection_that_ends_leaves_its_turn_to_the_next() {
    for ends_in_its_turn in [false, true] {
        let (backlog, mut unbegun) = backlog(HIGH_WATERMARK);
        let (mut ends, mut next) = (ReadTurn::new(&backlog), ReadTurn::new(&backlog));
        assert!(poll(&mut ends).is_pending() && poll(&mut next).is_pending());
        unbegun.pop();
        if ends_in_its_turn {
            assert!(poll(&mut ends).is_ready());
        }
        assert!(poll(&mut next).is_pending());
        drop(ends);
        assert!(poll(&mut next).is_ready(), "{ends_in_its_turn}");
    }
}

/// A connection whose client does not read stops reading with more to read.
#[test]
fn a_turn_ends_when_the_task_waits() {
    let (backlog, mut unbegun) = backlog(HIGH_WATERMARK);
    let (mut blocked, mut next) = (ReadTurn::new(&backlog), ReadTurn::new(&backlog));
    assert!(poll(&mut blocked).is_pending());
    unbegun.pop();
    assert!(poll(&mut blocked).is_ready());
    blocked.read(1);
    assert!(poll(&mut next).is_pending());
    blocked.task_waits();
    assert!(poll(&mut next).is_ready());
}

#[test]
fn a_place_is_kept_while_the_connection_wants_to_read() {
    let (backlog, mut unbegun) = backlog(HIGH_WATERMARK);
    let mut turns: Vec<_> = (0..2).map(|_| ReadTurn::new(&backlog)).collect();
    for _ in 0..3 {
        for turn in &mut turns {
            assert!(poll(turn).is_pending());
            turn.task_waits();
        }
    }
    unbegun.pop();
    assert!(poll(&mut turns[1]).is_pending());
    assert!(poll(&mut turns[0]).is_ready(), "it was the first to ask");
}

/// The connection stops trying to read before it was given a turn, or after.
#[test]
fn a_connection_that_does_not_want_to_read_leaves_its_place_to_the_next() {
    for given in [false, true] {
        let (backlog, mut unbegun) = backlog(HIGH_WATERMARK);
        let (mut blocked, mut next) = (ReadTurn::new(&backlog), ReadTurn::new(&backlog));
        for turn in [&mut blocked, &mut next] {
            assert!(poll(turn).is_pending());
            turn.task_waits();
        }
        if given {
            unbegun.pop();
            blocked.task_waits();
        } else {
            blocked.task_waits();
            unbegun.pop();
        }
        assert!(poll(&mut next).is_ready(), "{given}");
        drop(next);
        assert!(poll(&mut blocked).is_ready(), "it may ask again");
    }
}

#[test]
fn a_connection_that_has_left_needs_no_turn_and_keeps_none() {
    for in_turn in [false, true] {
        let (backlog, mut unbegun) = backlog(HIGH_WATERMARK);
        let (mut left, mut next) = (ReadTurn::new(&backlog), ReadTurn::new(&backlog));
        assert!(poll(&mut left).is_pending() && poll(&mut next).is_pending());
        unbegun.pop();
        assert!(!in_turn || poll(&mut left).is_ready());
        left.leave();
        assert_eq!(poll(&mut left), Poll::Ready(None));
        assert!(poll(&mut next).is_ready(), "{in_turn}");
    }
}

/// A thousand connections with 256 requests each, in 30 bytes or in 200: some hundred wait at once, and all are served.
#[tokio::test]
async fn all_requests_are_served_and_few_wait_at_once() {
    const CONNECTIONS: usize = 1000;
    const REQUESTS: usize = 256;
    for size in [30, 200] {
        let backlog = Backlog::new();
        let (most, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (mut turn, mut left) = (ReadTurn::new(&backlog), REQUESTS);
            let (backlog, most, served) = (Arc::clone(&backlog), Arc::clone(&most), Arc::clone(&served));
            connections.spawn(poll_fn(move |cx| {
                while left > 0 {
                    let bytes = ready!(turn.poll(cx));
                    let read = bytes.map_or(left, |bytes| (bytes / size).max(1).min(left));
                    for _ in 0..read {
                        let (unbegun, served) = (backlog.add(), Arc::clone(&served));
                        tokio::spawn(async move {
                            drop(unbegun);
                            served.fetch_add(1, SeqCst);
                        });
                    }
                    most.fetch_max(backlog.unbegun.load(SeqCst), SeqCst);
                    turn.read(read);
                    left -= read;
                }
                turn.is_at_end();
                Poll::Ready(())
            }));
        }
        while connections.join_next().await.is_some() {}
        while served.load(SeqCst) < CONNECTIONS * REQUESTS {
            yield_now().await;
        }
        let most = most.load(SeqCst);
        assert!(most < 4 * HIGH_WATERMARK, "{most} waited at once");
        let counts = [&backlog.unbegun, &backlog.waiting, &backlog.begun].map(|count| count.load(SeqCst));
        assert_eq!(counts, [0; 3]);
    }
}
