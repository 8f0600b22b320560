//! Which of the bytes that HTTP writes and flushes are sent when, and in how many writes.

use std::{collections::VecDeque, task::Waker};

use bytes::Buf as _;
use proptest::prelude::*;

use super::*;
use crate::{chunk::Chunk, handle::OpenRequest, metrics::Metrics, send_progress::SendProgress};

/// A socket that takes as many bytes of each write as it is told: `None` is not ready, and so is the end of the list.
#[derive(Default)]
struct Socket {
    takes: VecDeque<Option<usize>>,
    sent: Vec<Vec<u8>>,
    slices: usize,
    reads: usize,
    shut_down: bool,
}

impl Socket {
    fn taking(takes: impl IntoIterator<Item = Option<usize>>) -> Outbox<Self> {
        let connection = ConnectionHandle::new(Arc::<Metrics>::default());
        Outbox::new(Self { takes: takes.into_iter().collect(), ..Self::default() }, Arc::default(), connection)
    }

    /// A socket that takes all of each write, `times` times.
    fn open(times: usize) -> Outbox<Self> {
        Self::taking(vec![Some(usize::MAX); times])
    }
}

impl Keeps for Socket {
    fn http_waits(&mut self, _: &mut Context<'_>) -> Next {
        Next::Wait
    }

    fn http_ended(&mut self) {}
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reads += 1;
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
        self.slices += slices.len();
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

/// Writes and then flushes, as HTTP/2's library does.
fn write(io: &mut Outbox<Socket>, slices: &[&[u8]]) -> Poll<usize> {
    let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut cx = Context::from_waker(Waker::noop());
    let written = Pin::new(&mut *io).poll_write_vectored(&mut cx, &slices);
    assert!(matches!(Pin::new(io).poll_flush(&mut cx), Poll::Ready(Ok(()))));
    written.map(|result| result.expect("the socket does not fail"))
}

/// The same for a frame's head and the next `len` bytes of a chunk.
fn write_frame(io: &mut Outbox<Socket>, head: &[u8], chunk: &mut Chunk, len: usize) -> Poll<()> {
    let written = write(io, &[head, &chunk.chunk()[..len]]);
    written.map(|written| {
        assert_eq!(written, head.len() + len, "what is taken is taken as a whole");
        chunk.advance(len);
    })
}

fn wait(io: &mut Outbox<Socket>) -> Next {
    io.http_waits(&mut Context::from_waker(Waker::noop()))
}

/// A response of so many bytes.
fn chunk(io: &Outbox<Socket>, bytes: Vec<u8>) -> (Chunk, Arc<SendProgress>) {
    let progress = Arc::<SendProgress>::default();
    (Chunk::new(bytes.into(), &progress, Some(&io.offer)), progress)
}

#[test]
fn a_response_goes_out_in_one_write_and_is_not_copied() {
    for len in [256_usize, 1 << 16, 1 << 18, 1 << 20] {
        for frame in [1 << 14, 1 << 20] {
            let mut io = Socket::open(1);
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(len).collect();
            let (mut response, progress) = chunk(&io, bytes.clone());
            let mut all = b"headers".to_vec();
            assert_eq!(write(&mut io, &[b"headers"]), Poll::Ready(7));
            for piece in bytes.chunks(frame) {
                assert_eq!(write_frame(&mut io, b"head", &mut response, piece.len()), Poll::Ready(()));
                all.extend([b"head", piece].concat());
            }
            drop(response);
            assert_eq!(write(&mut io, &[b"trailers"]), Poll::Ready(8));
            all.extend(b"trailers");
            assert!(io.io.sent.is_empty() && progress.unwritten() == len, "{len} {frame}");
            assert_eq!(wait(&mut io), Next::Wait);
            assert!(io.io.sent == [all], "{len} {frame}");
            assert_eq!(io.io.slices, 2 * len.div_ceil(frame) + 1, "{len} {frame}");
            assert!(io.io.takes.is_empty() && progress.is_written(), "{len} {frame}");
        }
    }
}

#[test]
fn what_is_small_waits_while_other_requests_wait_for_their_response() {
    let mut io = Socket::open(2);
    let connection = Arc::clone(&io.connection);
    let mut requests = [(); 3].map(|()| OpenRequest::new(&connection));
    for (request, answer) in requests.iter_mut().zip([b"first".as_slice(), b"second", b"third"]) {
        assert!(io.io.sent.is_empty());
        assert_eq!(write(&mut io, &[answer, b"."]), Poll::Ready(answer.len() + 1));
        request.answered();
        assert_eq!(wait(&mut io), Next::Wait);
    }
    assert_eq!(io.io.sent, [b"first.second.third."], "nobody can add to it");
    let _request = OpenRequest::new(&connection);
    assert_eq!(write(&mut io, &[b"alone"]), Poll::Ready(5));
    assert_eq!(wait(&mut io), Next::Wait);
    assert_eq!(io.io.sent.len(), 1);
    assert_eq!(wait(&mut io), Next::Wait);
    assert_eq!(io.io.sent[1], b"alone", "nothing was added meanwhile");
}

#[test]
fn what_is_kept_does_not_wait_forever_or_when_it_is_much() {
    let mut io = Socket::open(2);
    let _request = OpenRequest::new(&io.connection);
    for _ in 0..=MAX_TURNS {
        assert!(io.io.sent.is_empty());
        assert_eq!(write(&mut io, &[b"x"]), Poll::Ready(1));
        assert_eq!(wait(&mut io), Next::Wait);
    }
    assert_eq!(io.io.sent, [vec![b'x'; usize::from(MAX_TURNS) + 1]]);
    let (mut response, _) = chunk(&io, vec![7; WORTH_A_WRITE]);
    assert_eq!(write_frame(&mut io, b"head", &mut response, WORTH_A_WRITE), Poll::Ready(()));
    assert_eq!(wait(&mut io), Next::Wait);
    assert_eq!(io.io.sent.len(), 2);
}

#[test]
fn no_more_is_kept_than_enough_while_the_socket_is_full() {
    const FRAME: usize = 1 << 14;
    let mut io = Socket::taking([]);
    let (mut response, progress) = chunk(&io, vec![7; 2 * HIGH_WATERMARK]);
    let mut kept = 0;
    while write_frame(&mut io, b"head", &mut response, FRAME).is_ready() {
        kept += FRAME;
        assert_eq!(wait(&mut io), Next::Wait);
    }
    assert!((HIGH_WATERMARK - 2 * FRAME..HIGH_WATERMARK + FRAME).contains(&kept), "{kept}");
    assert_eq!(progress.unwritten(), 2 * HIGH_WATERMARK);
    drop((io, response));
    assert!(progress.unwritten() == 0 && !progress.is_written(), "what is dropped is lost, and is not waited for");
}

/// The frames are answers to PINGs. The socket takes `taken` bytes at a time.
#[test]
fn small_frames_that_wait_take_hardly_more_memory_than_they_have_bytes() {
    for taken in [1, 1000, 100_000, 700_000, HIGH_WATERMARK - 1] {
        let mut io = Socket::taking([]);
        for _ in 0..5 {
            while write(&mut io, &[&[7; 17]]).is_ready() {}
            let allocated = io.kept.allocated();
            assert!(
                (HIGH_WATERMARK..HIGH_WATERMARK + (1 << 16)).contains(&allocated),
                "{allocated} after {taken} at a time"
            );
            io.io.takes.push_back(Some(taken));
            assert_eq!(wait(&mut io), Next::Wait);
            assert_eq!(io.io.sent.pop().map(|sent| sent.len()), Some(taken));
        }
    }
}

/// HTTP/2's library copies payloads that are smaller than these.
#[test]
fn small_payloads_that_wait_take_less_memory_beside_them_than_other_frames() {
    let mut io = Socket::taking([]);
    let (mut response, _) = chunk(&io, vec![7; 2 * HIGH_WATERMARK]);
    while write_frame(&mut io, b"head", &mut response, 256).is_ready() {}
    let allocated = io.kept.allocated();
    assert!(allocated < HIGH_WATERMARK, "{allocated}");
}

#[test]
fn what_is_large_is_written_before_more_is_read() {
    let mut io = Socket::open(1);
    let progress = Arc::<SendProgress>::default();
    progress.set_connection(&io.connection);
    let mut response = Chunk::new(vec![7; WORTH_A_WRITE].into(), &progress, Some(&io.offer));
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = ReadBuf::new(&mut []);
    assert!(Pin::new(&mut io).poll_read(&mut cx, &mut buf).is_pending());
    assert_eq!(io.io.reads, 0);
    assert_eq!(write_frame(&mut io, b"head", &mut response, WORTH_A_WRITE), Poll::Ready(()));
    assert_eq!(wait(&mut io), Next::AskAgain);
    assert_eq!(io.io.sent.len(), 1);
    assert!(Pin::new(&mut io).poll_read(&mut cx, &mut buf).is_pending());
    assert_eq!((io.io.reads, wait(&mut io)), (1, Next::Wait));
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
fn a_socket_that_takes_nothing_is_an_error_that_http_hears_of_once() {
    let mut io = Socket::taking([Some(0)]);
    let (mut response, progress) = chunk(&io, vec![7; 1000]);
    assert_eq!(write_frame(&mut io, b"lost", &mut response, 1000), Poll::Ready(()));
    assert_eq!(wait(&mut io), Next::AskAgain);
    assert!(progress.unwritten() == 0 && !progress.is_written());
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = Pin::new(&mut io).poll_read(&mut cx, &mut ReadBuf::new(&mut [])) else {
        panic!("it must fail")
    };
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(wait(&mut io), Next::Wait, "there is nothing to send");
}

proptest! {
    /// Whatever a socket takes of each write, the bytes arrive as they were written, and are counted as written then.
    #[test]
    fn the_order_of_bytes_is_kept(
        lens in prop::collection::vec((0_usize..200, prop_oneof![Just(0), 1_usize..2000]), 1..100),
        takes in prop::collection::vec(prop::option::of(1_usize..3000), 0..60),
        waits in 1_usize..50,
    ) {
        // In the end the socket takes everything.
        let mut io = Socket::taking(takes.into_iter().chain(vec![Some(usize::MAX); 1000]));
        let mut numbers = (0..u8::MAX).cycle();
        let (mut all, mut responses) = (Vec::new(), Vec::new());
        for (at, (head, len)) in lens.into_iter().enumerate() {
            let bytes: Vec<u8> = numbers.by_ref().take(head + len).collect();
            all.extend_from_slice(&bytes);
            let (mut response, progress) = chunk(&io, bytes[head..].to_vec());
            prop_assert!(write_frame(&mut io, &bytes[..head], &mut response, len).is_ready());
            responses.push(progress);
            if at % waits == 0 {
                prop_assert_eq!(wait(&mut io), Next::Wait);
            }
            let unwritten: usize = responses.iter().map(|response| response.unwritten()).sum();
            let sent: usize = io.io.sent.iter().map(Vec::len).sum();
            prop_assert!(sent + unwritten <= all.len());
            prop_assert!(io.kept.len() == all.len() - sent);
        }
        while !io.kept.is_empty() {
            prop_assert_eq!(wait(&mut io), Next::Wait);
        }
        prop_assert!(responses.iter().all(|response| response.is_written()));
        prop_assert_eq!(io.io.sent.concat(), all);
    }
}
