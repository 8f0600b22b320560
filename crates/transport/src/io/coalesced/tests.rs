//! What a driver that writes, flushes and reads gets sent, and in how many writes.

use std::{collections::VecDeque, task::Waker};

use proptest::prelude::*;

use super::*;

/// A socket that takes as many bytes of each write as it is told: `None` is not ready, and so is the end of the list.
#[derive(Default)]
struct Socket {
    takes: VecDeque<Option<usize>>,
    sent: Vec<Vec<u8>>,
    shut_down: bool,
}

impl Socket {
    fn taking(takes: impl IntoIterator<Item = Option<usize>>) -> CoalescedWrites<Self> {
        CoalescedWrites::new(Self { takes: takes.into_iter().collect(), ..Self::default() })
    }

    /// That takes everything, `times` times.
    fn open(times: usize) -> CoalescedWrites<Self> {
        Self::taking(vec![Some(usize::MAX); times])
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(Some(most)) = self.takes.pop_front() else { return Poll::Pending };
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        let len = bytes.len();
        self.sent.push(bytes);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

fn write(io: &mut CoalescedWrites<Socket>, slices: &[&[u8]]) -> Poll<usize> {
    let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(io).poll_write_vectored(&mut cx, &slices).map(|result| result.expect("the socket does not fail"))
}

fn flush(io: &mut CoalescedWrites<Socket>) {
    let flushed = Pin::new(io).poll_flush(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(flushed, Poll::Ready(Ok(()))));
}

fn read(io: &mut CoalescedWrites<Socket>) {
    let mut buf = ReadBuf::new(&mut []);
    assert!(Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf).is_pending());
}

#[test]
fn what_is_written_between_reads_goes_out_in_one_write() {
    let mut io = Socket::open(1);
    for answer in [b"first".as_slice(), b"second", b"third"] {
        assert_eq!(write(&mut io, &[answer, b"."]), Poll::Ready(answer.len() + 1));
        flush(&mut io);
        assert!(io.io.sent.is_empty());
        read(&mut io);
    }
    // Nothing was written since the last read.
    read(&mut io);
    assert_eq!(io.io.sent, [b"first.second.third."]);
}

#[test]
fn a_driver_that_always_writes_does_not_wait_forever() {
    let mut io = Socket::open(1);
    for _ in 0..=TURNS {
        assert!(io.io.sent.is_empty());
        assert_eq!(write(&mut io, &[b"x"]), Poll::Ready(1));
        read(&mut io);
    }
    assert_eq!(io.io.sent, [vec![b'x'; usize::from(TURNS) + 1]]);
}

#[test]
fn a_large_write_takes_what_was_kept_along() {
    let mut io = Socket::open(2);
    let large = vec![7; SMALL + 1];
    assert_eq!(write(&mut io, &[b"trailers"]), Poll::Ready(8));
    assert_eq!(write(&mut io, &[b"header", &large]), Poll::Ready(6 + large.len()));
    assert_eq!(io.io.sent, [[b"trailersheader".as_slice(), &large].concat()]);
    // Alone, it is passed on.
    assert_eq!(write(&mut io, &[&large]), Poll::Ready(large.len()));
    assert_eq!(io.io.sent[1], large);
}

#[test]
fn no_more_is_kept_than_enough_while_the_socket_is_full() {
    let mut io = Socket::taking([]);
    let small = vec![7; SMALL];
    let mut kept = 0;
    while let Poll::Ready(len) = write(&mut io, &[&small]) {
        kept += len;
        read(&mut io);
    }
    assert_eq!(kept, ENOUGH);
}

#[test]
fn shutting_down_sends_what_is_kept() {
    let mut io = Socket::open(1);
    assert_eq!(write(&mut io, &[b"goaway"]), Poll::Ready(6));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(Pin::new(&mut io).poll_shutdown(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!(io.io.sent, [b"goaway"]);
    assert!(io.io.shut_down);
}

#[test]
fn a_socket_that_takes_nothing_is_an_error() {
    let mut io = Socket::taking([Some(0)]);
    assert_eq!(write(&mut io, &[b"lost"]), Poll::Ready(4));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = Pin::new(&mut io).poll_shutdown(&mut cx) else { panic!("it must fail") };
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

proptest! {
    /// Whatever a socket takes of each write, the bytes arrive as they were written.
    #[test]
    fn the_order_of_bytes_is_kept(
        lens in prop::collection::vec((0_usize..200, prop_oneof![0_usize..200, SMALL - 2..SMALL + 3]), 1..20),
        takes in prop::collection::vec(prop::option::of(1_usize..3 * SMALL), 0..40),
    ) {
        // In the end the socket takes everything.
        let mut io = Socket::taking(takes.into_iter().chain(vec![Some(usize::MAX); 1000]));
        let mut numbers = (0..u8::MAX).cycle();
        let mut all = Vec::new();
        for (first, second) in lens {
            let bytes: Vec<u8> = numbers.by_ref().take(first + second).collect();
            all.extend_from_slice(&bytes);
            let (mut at, mut split) = (0, first);
            while at < bytes.len() {
                if let Poll::Ready(len) = write(&mut io, &[&bytes[at..split.max(at)], &bytes[split.max(at)..]]) {
                    prop_assert_ne!(len, 0);
                    at += len;
                    split = split.max(at);
                }
                read(&mut io);
            }
        }
        while !io.kept.is_empty() {
            read(&mut io);
        }
        prop_assert_eq!(io.io.sent.concat(), all);
    }
}
