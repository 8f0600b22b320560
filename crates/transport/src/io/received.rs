//! Reads from the frames of an HTTP/2 client, as they pass, the windows that it grants and the number of requests that it begins.
//! While many requests wait for their service, a connection reads only a few in its turn.

use std::{
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{
    forward::forward_writes,
    passing::{HEAD, Passing, payload_len},
    shared::{Keeps, Next},
    socket::forward_socket,
};
use crate::{backlog::ReadTurn, handle::ConnectionHandle, send_window::SendWindow};

/// The length of the client's preface. HTTP/2's library compares its bytes, and closes the connection if they are others.
const PREFACE: usize = 24;
const SETTING: usize = 6;
const INCREMENT: usize = 4;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A stream that notes whether its client has begun to speak HTTP/2, what the client grants, and how many requests it begins.
#[derive(Debug)]
pub(crate) struct ReceivedFrames<T> {
    io: T,
    connection: Arc<ConnectionHandle>,
    turn: ReadTurn,
    scanner: Scanner,
}

impl<T> ReceivedFrames<T> {
    pub(crate) fn new(io: T, connection: Arc<ConnectionHandle>, turn: ReadTurn) -> Self {
        connection.window().begin();
        Self { io, connection, turn, scanner: Scanner::new() }
    }
}

/// Finds the frames that grant windows, and counts those that begin requests. It follows the lengths of frames and checks
/// nothing: HTTP/2's library finds wrong frames and ends the connection.
#[derive(Debug, Default)]
struct Scanner {
    /// The head, setting or increment that is read as a whole.
    passing: Passing,
    state: State,
    has_begun: bool,
    /// The frames that begin requests, since they were last asked for. Trailers look alike and count as well.
    requests: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Head,
    /// So many settings follow.
    Settings(usize),
    WindowUpdate,
}

impl Scanner {
    /// A scanner of bytes that begin with the preface.
    fn new() -> Self {
        let mut scanner = Self::default();
        scanner.passing.skip = PREFACE;
        scanner
    }

    fn scan(&mut self, mut bytes: &[u8], window: &SendWindow) {
        loop {
            let len = match self.state {
                State::Head => HEAD,
                State::Settings(_) => SETTING,
                State::WindowUpdate => INCREMENT,
            };
            let Some(part) = self.passing.next(&mut bytes, len) else { return };
            self.state = self.part(part, window);
        }
    }

    /// Takes in a head, setting or increment that is complete. Returns which of them is read next.
    fn part(&mut self, part: [u8; HEAD], window: &SendWindow) -> State {
        match self.state {
            State::Head => {
                self.has_begun = true;
                let len = payload_len(part);
                let stream = u32::from_be_bytes([part[5], part[6], part[7], part[8]]) & (u32::MAX >> 1);
                match (part[3], stream) {
                    (SETTINGS, 0) if part[4] & ACK == 0 && len > 0 && len.is_multiple_of(SETTING) => {
                        State::Settings(len / SETTING)
                    }
                    (WINDOW_UPDATE, 0) if len == INCREMENT => State::WindowUpdate,
                    (kind, _) => {
                        self.requests += usize::from(kind == HEADERS);
                        self.passing.skip = len;
                        State::Head
                    }
                }
            }
            State::Settings(left) => {
                if u16::from_be_bytes([part[0], part[1]]) == INITIAL_WINDOW_SIZE {
                    window.set_initial(u32::from_be_bytes([part[2], part[3], part[4], part[5]]));
                }
                if left > 1 { State::Settings(left - 1) } else { State::Head }
            }
            State::WindowUpdate => {
                window.grant(u32::from_be_bytes([part[0], part[1], part[2], part[3]]) & (u32::MAX >> 1));
                State::Head
            }
        }
    }
}

/// Reads `most` bytes at most.
fn poll_read_most<T: AsyncRead>(
    io: Pin<&mut T>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<()>> {
    let most = most.min(buf.remaining());
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
    let read = io.poll_read(cx, &mut part);
    let len = part.filled().len();
    buf.advance(len);
    read
}

forward_socket!(ReceivedFrames, this => this.io);

/// The stream keeps no bytes that are written, and reads in turn with those of other connections.
impl<T> Keeps for ReceivedFrames<T> {
    fn http_waits(&mut self, _: &mut Context<'_>) -> Next {
        self.turn.task_waits();
        Next::Wait
    }

    fn http_ended(&mut self) {
        self.turn.leave();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ReceivedFrames<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, connection, turn, scanner } = &mut *self;
        let before = buf.filled().len();
        let read = match ready!(turn.poll(cx)) {
            None => Pin::new(io).poll_read(cx, buf),
            // The rest of a frame opens no request.
            Some(bytes) => poll_read_most(Pin::new(io), cx, buf, scanner.passing.skip.saturating_add(bytes)),
        };
        scanner.scan(&buf.filled()[before..], connection.window());
        match read {
            Poll::Ready(_) => turn.read(mem::take(&mut scanner.requests)),
            Poll::Pending => turn.is_at_end(),
        }
        if scanner.has_begun && !connection.preface().has_come() {
            connection.preface().came();
        }
        read
    }
}

forward_writes!(ReceivedFrames, this => this.io);

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn setting(id: u16, value: u32) -> Vec<u8> {
        [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
    }

    /// The windows of streams and of the connection, found by bisection.
    fn windows(window: &SendWindow) -> (usize, usize) {
        let largest = |fits: &dyn Fn(usize) -> bool| {
            let (mut low, mut high) = (0, 1 << 33);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                *if fits(middle) { &mut low } else { &mut high } = middle;
            }
            low
        };
        let connection = largest(&|bytes| {
            window.give(bytes);
            let fits = window.covers(0);
            window.take_back(bytes);
            fits
        });
        (largest(&|bytes| window.covers(bytes)), connection)
    }

    #[test]
    fn windows_are_read_wherever_the_bytes_are_cut() {
        let settings = [setting(3, 100), setting(INITIAL_WINDOW_SIZE, 1 << 20), setting(5, 1 << 15)].concat();
        let looks_like_one = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 99]);
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &settings),
            frame(SETTINGS, ACK, 0, &[]),
            frame(WINDOW_UPDATE, 0, 0, &[0x80, 0, 0, 1]),
            frame(WINDOW_UPDATE, 0, 1, &[0, 1, 0, 0]),
            frame(0, 0, 1, &looks_like_one),
            frame(SETTINGS, 0, 0, &[]),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
            frame(6, 0, 0, &[0; 8]),
        ]
        .concat();
        let expected = (1 << 20, 65_535 + 1 + 256);
        for cut in 0..bytes.len() {
            let (mut scanner, window) = (Scanner::new(), SendWindow::default());
            window.begin();
            scanner.scan(&bytes[..cut], &window);
            assert_eq!(scanner.has_begun, cut >= PREFACE + HEAD, "{cut}");
            scanner.scan(&bytes[cut..], &window);
            assert_eq!(windows(&window), expected, "{cut}");
        }
        let (mut scanner, window) = (Scanner::new(), SendWindow::default());
        window.begin();
        bytes.iter().for_each(|byte| scanner.scan(&[*byte], &window));
        assert_eq!(windows(&window), expected);
        scanner.scan(&frame(SETTINGS, 0, 0, &[setting(4, 7), setting(4, 5)].concat()), &window);
        assert_eq!(windows(&window).0, 5, "the last one counts");
    }
}
