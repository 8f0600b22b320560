//! Takes what is received apart into frames. Data is passed on as it comes; the payloads of other frames are short and kept
//! until they are whole, those of headers with their continuations.

use crate::{
    ended::Lost,
    frame::{self, HEADER, Header},
};

/// The most bytes of a frame that is kept.
const LONGEST: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Incoming {
    header: Vec<u8>,
    /// The frame that is being received, and the bytes of it that are missing.
    frame: Option<(Header, usize)>,
    payload: Vec<u8>,
    /// Headers whose end is in another frame.
    unfinished: Option<(Header, Vec<u8>)>,
}

/// A part of what was received.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// The next bytes of data.
    Data(Header, &'a [u8]),
    /// The end of a frame of data.
    End(Header),
    /// Another frame; a block of headers is whole.
    Frame(Header, Vec<u8>),
}

impl Incoming {
    /// The next part of these bytes, which are then behind it; `None`: there is no more.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Event<'a>>, Lost> {
        loop {
            let Some((header, missing)) = &mut self.frame else {
                let taken = bytes.len().min(HEADER - self.header.len());
                self.header.extend_from_slice(&bytes[..taken]);
                *bytes = &bytes[taken..];
                let Ok(header) = <&[u8; HEADER]>::try_from(&self.header[..]) else { return Ok(None) };
                let header = Header::parse(header);
                self.header.clear();
                self.expect(header)?;
                self.frame = Some((header, header.len));
                continue;
            };
            let header = *header;
            let (here, rest) = bytes.split_at(bytes.len().min(*missing));
            *missing -= here.len();
            let is_whole = *missing == 0;
            if header.kind == frame::DATA {
                if !here.is_empty() {
                    *bytes = rest;
                    return Ok(Some(Event::Data(header, here)));
                }
                if !is_whole {
                    return Ok(None);
                }
                self.frame = None;
                return Ok(Some(Event::End(header)));
            }
            self.payload.extend_from_slice(here);
            *bytes = rest;
            if !is_whole {
                return Ok(None);
            }
            self.frame = None;
            let payload = std::mem::take(&mut self.payload);
            if let Some((header, payload)) = self.headers(header, payload) {
                return Ok(Some(Event::Frame(header, payload)));
            }
        }
    }

    fn expect(&self, header: Header) -> Result<(), Lost> {
        let is_padded = matches!(header.kind, frame::DATA | frame::HEADERS) && header.flags & frame::PADDED != 0;
        let is_prior = header.kind == frame::HEADERS && header.flags & frame::PRIORITY != 0;
        let is_long = header.kind != frame::DATA && header.len > LONGEST;
        let is_broken = self.unfinished.is_some() != (header.kind == frame::CONTINUATION);
        match (is_padded || is_prior, is_long || is_broken) {
            (true, _) => Err(Lost("the server pads frames or gives them a priority, which is not expected".to_owned())),
            (_, true) => Err(Lost("the server does not speak HTTP/2, or breaks its rules".to_owned())),
            _ => Ok(()),
        }
    }

    /// The frame, if its headers are whole.
    fn headers(&mut self, header: Header, payload: Vec<u8>) -> Option<(Header, Vec<u8>)> {
        let is_last = header.flags & frame::END_HEADERS != 0;
        match header.kind {
            frame::HEADERS if !is_last => {
                self.unfinished = Some((header, payload));
                None
            }
            frame::CONTINUATION => {
                let (first, mut all) = self.unfinished.take()?;
                all.extend_from_slice(&payload);
                if is_last || all.len() > LONGEST {
                    return Some((first, all));
                }
                self.unfinished = Some((first, all));
                None
            }
            _ => Some((header, payload)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, frame::HEADERS, frame::END_STREAM, 1, b"ab");
        frame::write(&mut bytes, frame::CONTINUATION, frame::END_HEADERS, 1, b"c");
        frame::write(&mut bytes, frame::DATA, 0, 3, b"data");
        frame::write(&mut bytes, frame::DATA, frame::END_STREAM, 3, b"");
        frame::write(&mut bytes, frame::SETTINGS, frame::ACK, 0, b"");
        for cut in 1..=bytes.len() {
            let (mut incoming, mut data, mut seen) = (Incoming::default(), Vec::new(), Vec::new());
            for mut part in bytes.chunks(cut) {
                while let Some(event) = incoming.next(&mut part).expect("they are frames") {
                    match event {
                        Event::Data(_, bytes) => data.extend_from_slice(bytes),
                        Event::End(header) => seen.push((header.kind, header.flags, Vec::new())),
                        Event::Frame(header, payload) => seen.push((header.kind, header.flags, payload)),
                    }
                }
            }
            assert_eq!(data, b"data");
            let expected = [
                (frame::HEADERS, frame::END_STREAM, b"abc".to_vec()),
                (frame::DATA, 0, Vec::new()),
                (frame::DATA, frame::END_STREAM, Vec::new()),
                (frame::SETTINGS, frame::ACK, Vec::new()),
            ];
            assert_eq!(seen, expected, "{cut}");
        }
    }

    #[test]
    fn what_is_no_http_2_is_refused() {
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\x00\x00\x01\x09\x04\x00\x00\x00\x01a"] {
            let mut rest = bytes;
            assert!(Incoming::default().next(&mut rest).is_err(), "{bytes:?}");
        }
    }
}
