//! Requests with their right responses, which come from a reference server that computes them along another path.

use std::net::SocketAddr;

use super::{
    catalogue::{Catalogue, Request},
    peer::{Ended, Peer, Taking},
    tally::Class,
};
use crate::Result;

/// A request and its right response, to the bit.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) request: Request,
    pub(super) class: Class,
    /// The body of the response; may be empty.
    answer: Vec<u8>,
    /// The status's message.
    message: String,
}

/// The catalogue with the right responses.
#[derive(Debug)]
pub(super) struct Answered {
    small: Vec<Known>,
    middle: Vec<Known>,
    pub(super) large: Vec<Known>,
    wrong: Vec<Known>,
}

impl Answered {
    /// Sends every request once to the reference server, one after the other.
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

    /// A request at random: most are small, some are wrong, few are large.
    pub(super) fn pick(&self, dice: &mut Dice) -> &Known {
        let from = match dice.below(100) {
            0..75 => &self.small,
            75..92 => &self.middle,
            92..94 => &self.large,
            94.. => &self.wrong,
        };
        &from[dice.below(from.len())]
    }

    /// Flips a bit of a right response, so that the comparison must fail.
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

    /// A comparison with a response that comes piece by piece.
    pub(super) fn comparison(&self) -> Comparison<'_> {
        Comparison { rest: &self.answer, same: true }
    }

    /// Whether a call ended with the status of the reference.
    pub(super) fn ends_so(&self, ended: &Ended) -> bool {
        ended.status.code() == self.request.code && ended.status.message() == self.message
    }
}

/// The state of a comparison.
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

    /// Whether the bytes so far are the beginning of the right response.
    pub(super) fn is_right_so_far(&self) -> bool {
        self.same
    }

    /// Whether the bytes so far are the whole right response.
    pub(super) fn is_right(&self) -> bool {
        self.same && self.rest.is_empty()
    }
}

/// A random number generator, SplitMix64: the same seed gives the same choices.
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
