//! Requests with their answers, which come from another server that takes another way to them.

use std::net::SocketAddr;

use super::{
    catalogue::{Catalogue, Request},
    peer::{Ended, Peer, Taking},
    tally::Class,
};
use crate::Result;

/// A request and how it is answered, to the bit.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) request: Request,
    pub(super) class: Class,
    /// The answer's body, or nothing.
    answer: Vec<u8>,
    /// The status's message.
    message: String,
}

/// The catalogue with its answers.
#[derive(Debug)]
pub(super) struct Answered {
    small: Vec<Known>,
    middle: Vec<Known>,
    pub(super) large: Vec<Known>,
    wrong: Vec<Known>,
}

impl Answered {
    /// Asks every request once, one after the other.
    pub(super) async fn by(reference: SocketAddr) -> Result<Self> {
        let peer = Peer::connect(reference, Taking::Much).await?;
        let Catalogue { small, middle, large, wrong } = Catalogue::new();
        Ok(Self {
            small: Known::all(small, Class::Small, &peer).await?,
            middle: Known::all(middle, Class::Large, &peer).await?,
            large: Known::all(large, Class::Large, &peer).await?,
            wrong: Known::all(wrong, Class::Small, &peer).await?,
        })
    }

    pub(super) fn len(&self) -> usize {
        let Self { small, middle, large, wrong } = self;
        small.len() + middle.len() + large.len() + wrong.len()
    }

    /// Most are small, some are wrong, few are large.
    pub(super) fn pick(&self, dice: &mut Dice) -> &Known {
        let from = match dice.below(100) {
            0..75 => &self.small,
            75..92 => &self.middle,
            92..94 => &self.large,
            94.. => &self.wrong,
        };
        &from[dice.below(from.len())]
    }

    /// Changes a bit of an answer, so that the right one is wrong.
    pub(super) fn spoil(&mut self) {
        if let Some(byte) = self.small[0].answer.last_mut() {
            *byte ^= 1;
        }
    }
}

impl Known {
    async fn all(requests: Vec<Request>, class: Class, peer: &Peer) -> Result<Vec<Self>> {
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            let mut answer = Vec::new();
            let Ended { status, .. } = peer.call(&request, None, |bytes| answer.extend_from_slice(bytes)).await?;
            if status.code() != request.code {
                return Err(format!("{}: the reference says {status:?}", request.name).into());
            }
            all.push(Self { request, class, answer, message: status.message().to_owned() });
        }
        Ok(all)
    }

    /// Compares an answer piece by piece.
    pub(super) fn comparison(&self) -> Comparison<'_> {
        Comparison { rest: &self.answer, same: true }
    }

    /// Whether the status is the reference's.
    pub(super) fn ends_so(&self, ended: &Ended) -> bool {
        ended.status.code() == self.request.code && ended.status.message() == self.message
    }
}

/// What is still to come of an answer.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    rest: &'a [u8],
    same: bool,
}

impl Comparison<'_> {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.same = false,
        }
    }

    /// Whether what has come is the beginning of the right answer.
    pub(super) fn is_right_so_far(&self) -> bool {
        self.same
    }

    /// Whether it is the whole of it.
    pub(super) fn is_right(&self) -> bool {
        self.same && self.rest.is_empty()
    }
}

/// Chooses; the same seed chooses the same. SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % end as u64) as usize
    }
}
