//! Reads answers, and compares them with the first one.

use std::sync::{Arc, OnceLock};

use evenkeel_frames::{Announced, PREFIX, Prefix};

/// What the answer of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that are the same in every answer.
    Message,
    /// Messages whose fields 14 and 15, if a message begins with one of these, are pieces of something longer, cut anywhere: the
    /// answers to streams of tensors.
    Pieces,
}

/// The parts of an answer: all that is not in pieces, field 14 and field 15.
const PARTS: usize = 3;
const OTHER: usize = 0;
/// The keys of fields of bytes, with the index of their part.
const PIECES: [(u8, usize); 2] = [(14 << 3 | 2, 1), (15 << 3 | 2, 2)];

/// The first answer of a load, with which all others are compared. Clones share it.
#[derive(Clone, Debug)]
pub struct Reference {
    first: Arc<OnceLock<First>>,
    /// Whether bytes are compared, and not only lengths.
    compares_bytes: bool,
}

#[derive(Debug)]
struct First {
    lengths: [usize; PARTS],
    /// Empty where only lengths are compared.
    bytes: [Vec<u8>; PARTS],
}

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    lengths: [usize; PARTS],
    /// Kept while there is no first answer to compare with.
    kept: Option<[Vec<u8>; PARTS]>,
    is_different: bool,
    /// `None`: the answer is one message.
    pieces: Option<Pieces>,
    /// The prefix of the one message, and its content when it has come.
    prefix: Prefix,
    announced: Option<Announced>,
}

/// The place in an answer of messages.
#[derive(Debug, Default)]
struct Pieces {
    prefix: Prefix,
    /// The bytes of the message that are still to come.
    missing: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// In a prefix.
    #[default]
    Prefix,
    /// Before the first byte of a message.
    Key,
    /// In the length of a field in pieces, which is not compared.
    Length(usize),
    /// In the content of a part.
    Content(usize),
}

impl Reference {
    /// The first answer will be the one that ends first. `compares_bytes`: all bytes of the others must be its, and not only
    /// their number.
    pub fn first(compares_bytes: bool) -> Self {
        Self { first: Arc::default(), compares_bytes }
    }

    /// Every answer must have as many bytes as this one, which is whole, with prefixes.
    ///
    /// # Errors
    /// It is no answer of this kind; the error says why.
    pub fn of_answer(kind: Kind, answer: &[u8]) -> Result<Self, String> {
        let reference = Self::first(false);
        let mut reader = reference.reader(kind);
        reader.take(answer, &reference);
        reader.end(&reference)?;
        Ok(reference)
    }

    pub(crate) fn reader(&self, kind: Kind) -> Reader {
        let keeps = self.compares_bytes && self.first.get().is_none();
        Reader {
            lengths: [0; PARTS],
            kept: keeps.then(Default::default),
            is_different: false,
            pieces: match kind {
                Kind::Message => None,
                Kind::Pieces => Some(Pieces::default()),
            },
            prefix: Prefix::new(),
            announced: None,
        }
    }
}

impl Reader {
    pub(crate) fn received(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Takes the next bytes of the answer.
    pub(crate) fn take(&mut self, mut bytes: &[u8], reference: &Reference) {
        let Some(mut pieces) = self.pieces.take() else {
            if self.announced.is_none() {
                let mut rest = bytes;
                self.announced = self.prefix.take(&mut rest);
            }
            return self.add(OTHER, bytes, reference);
        };
        while !bytes.is_empty() {
            match pieces.state {
                State::Prefix => {
                    if let Some(announced) = pieces.prefix.take(&mut bytes) {
                        pieces.missing = announced.len();
                        // An empty message counts as one byte, so that it is not overlooked.
                        if pieces.missing == 0 {
                            self.add(OTHER, &[0], reference);
                        } else {
                            pieces.state = State::Key;
                        }
                    }
                }
                State::Key => match PIECES.iter().find(|(key, _)| *key == bytes[0]) {
                    Some((_, part)) => {
                        pieces.state = State::Length(*part);
                        pieces.skip(&mut bytes);
                    }
                    None => pieces.state = State::Content(OTHER),
                },
                State::Length(part) => {
                    if bytes[0] < 128 {
                        pieces.state = State::Content(part);
                    }
                    pieces.skip(&mut bytes);
                }
                State::Content(part) => {
                    let (content, rest) = bytes.split_at(bytes.len().min(pieces.missing));
                    self.add(part, content, reference);
                    bytes = rest;
                    pieces.missing -= content.len();
                    if pieces.missing == 0 {
                        pieces.state = State::Prefix;
                    }
                }
            }
        }
        self.pieces = Some(pieces);
    }

    fn add(&mut self, part: usize, bytes: &[u8], reference: &Reference) {
        let from = self.lengths[part];
        self.lengths[part] += bytes.len();
        if let Some(kept) = &mut self.kept {
            kept[part].extend_from_slice(bytes);
        } else if reference.compares_bytes
            && !self.is_different
            && let Some(first) = reference.first.get()
        {
            self.is_different = first.bytes[part].get(from..self.lengths[part]) != Some(bytes);
        }
    }

    /// Compares the whole answer; the error says what differs.
    pub(crate) fn end(self, reference: &Reference) -> Result<(), String> {
        let received = self.received();
        match self.pieces {
            Some(pieces) if !matches!(pieces.state, State::Prefix) || !pieces.prefix.is_empty() => {
                return Err("an answer ends within a message".to_owned());
            }
            Some(_) if received == 0 => return Err("an answer has no message".to_owned()),
            None if self.announced.is_none_or(|announced| PREFIX + announced.len() != received) => {
                return Err("an answer is not one whole message".to_owned());
            }
            Some(_) | None => (),
        }
        let (lengths, mut kept) = (self.lengths, self.kept);
        let first = reference.first.get_or_init(|| First { lengths, bytes: kept.take().unwrap_or_default() });
        if first.lengths != lengths {
            let [answer, of_first] = [lengths, first.lengths].map(|lengths| lengths.iter().sum::<usize>());
            return Err(if answer == of_first {
                "an answer has other parts than the first one".to_owned()
            } else {
                format!("an answer has {answer} bytes, and the first one {of_first}")
            });
        }
        if self.is_different || kept.is_some_and(|kept| kept != first.bytes) {
            return Err("an answer has other bytes than the first one".to_owned());
        }
        Ok(())
    }
}

impl Pieces {
    /// Skips a byte of the message.
    fn skip(&mut self, bytes: &mut &[u8]) {
        *bytes = &bytes[1..];
        self.missing -= 1;
        if self.missing == 0 {
            self.state = State::Prefix;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages with prefixes.
    fn stream(messages: &[&[u8]]) -> Vec<u8> {
        let message = |message: &&[u8]| [&[0, 0, 0, 0, message.len() as u8], *message].concat();
        messages.iter().flat_map(message).collect()
    }

    fn read(reference: &Reference, kind: Kind, bytes: &[u8], cut: usize) -> Result<(), String> {
        let mut reader = reference.reader(kind);
        bytes.chunks(cut).for_each(|part| reader.take(part, reference));
        reader.end(reference)
    }

    #[test]
    fn pieces_may_be_cut_anywhere_and_must_be_the_same_together() {
        let reference = Reference::first(true);
        let first = stream(&[b"\x0A\x01a", b"\x7A\x03abc", b"\x72\x01m", b"\x7A\x02de", b"\x1A\x00"]);
        let alike = stream(&[b"\x0A\x01a", b"\x7A\x01a", b"\x7A\x04bcde", b"\x72\x01m", b"\x7A\x00", b"\x1A\x00"]);
        for cut in 1..first.len() {
            assert_eq!(read(&reference, Kind::Pieces, &first, cut), Ok(()), "{cut}");
            assert_eq!(read(&reference, Kind::Pieces, &alike, cut), Ok(()), "{cut}");
            for (messages, error) in [
                (&[&b"\x0A\x01a"[..], b"\x7A\x05abcdf", b"\x72\x01m", b"\x1A\x00"][..], "other bytes"),
                (&[b"\x0A\x01a", b"\x7A\x05abcde", b"\x72\x01n", b"\x1A\x00"], "other bytes"),
                (&[b"\x0A\x01b", b"\x7A\x05abcde", b"\x72\x01m", b"\x1A\x00"], "other bytes"),
                (&[b"\x0A\x01a", b"\x7A\x04abcd", b"\x72\x01m", b"\x1A\x00"], "10 bytes, and the first one 11"),
                (&[b"\x0A\x01a", b"\x7A\x04abcd", b"\x72\x02mm", b"\x1A\x00"], "other parts"),
            ] {
                let said = read(&reference, Kind::Pieces, &stream(messages), cut).expect_err(error);
                assert!(said.contains(error), "{said}");
            }
            let cut_off = read(&reference, Kind::Pieces, &first[..first.len() - 1], cut);
            assert_eq!(cut_off, Err("an answer ends within a message".to_owned()));
        }
    }

    #[test]
    fn two_answers_before_the_first_one_is_known_are_compared_too() {
        for (second, is_same) in [(&b"abc"[..], true), (b"abd", false)] {
            let reference = Reference::first(true);
            let [mut one, mut other] = [(); 2].map(|()| reference.reader(Kind::Message));
            one.take(&stream(&[b"abc"]), &reference);
            other.take(&stream(&[second]), &reference);
            assert_eq!((one.end(&reference).is_ok(), other.end(&reference).is_ok()), (true, is_same));
        }
    }

    #[test]
    fn lengths_alone_are_compared_without_keeping_bytes() {
        let of_answer = Reference::of_answer(Kind::Message, &stream(&[b"def"])).expect("it is whole");
        for reference in [Reference::first(false), of_answer] {
            assert_eq!(read(&reference, Kind::Message, &stream(&[b"abc"]), 2), Ok(()));
            assert_eq!(read(&reference, Kind::Message, &stream(&[b"xyz"]), 1), Ok(()));
            let error = read(&reference, Kind::Message, &stream(&[b"abcd"]), 3).expect_err("it is longer");
            assert_eq!(error, "an answer has 9 bytes, and the first one 8");
            assert!(reference.first.get().is_some_and(|first| first.bytes.iter().all(Vec::is_empty)));
        }
    }

    #[test]
    fn a_whole_answer_tells_the_lengths_of_others() {
        let whole = stream(&[b"\x0A\x01a", b"\x7A\x03abc", b"\x7A\x02de"]);
        let reference = Reference::of_answer(Kind::Pieces, &whole).expect("it is whole");
        let cut_elsewhere = stream(&[b"\x0A\x01a", b"\x7A\x04abcd", b"\x7A\x01e"]);
        assert_eq!(read(&reference, Kind::Pieces, &cut_elsewhere, 4), Ok(()));
        let error = read(&reference, Kind::Pieces, &stream(&[b"\x0A\x01a", b"\x7A\x04abcd"]), 4);
        assert!(error.is_err_and(|error| error.contains("first one 8")), "it is shorter");
        for wrong in [&whole[..3], &whole[..whole.len() - 1]] {
            Reference::of_answer(Kind::Pieces, wrong).expect_err("it is not whole");
        }
        Reference::of_answer(Kind::Message, &whole).expect_err("it is no message");
    }

    /// An answer that is well by its status must also be whole.
    #[test]
    fn an_answer_has_one_message_or_messages_to_its_end() {
        let whole = stream(&[b"abc"]);
        for cut in 1..=whole.len() {
            for wrong in [&b""[..], &whole[..3], &whole[..7], &stream(&[b"abc", b"abc"]), &stream(&[b"abc", b""])] {
                let error =
                    read(&Reference::first(true), Kind::Message, wrong, cut).expect_err("it is not one message");
                assert_eq!(error, "an answer is not one whole message", "{wrong:?}");
            }
        }
        let none = read(&Reference::first(true), Kind::Pieces, b"", 1);
        assert_eq!(none, Err("an answer has no message".to_owned()));
    }
}
