//! Dropout in pieces: each begins at its own draw of the stream.

use super::{Region, TARGET};

/// How a tensor is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Draws {
    shape: Vec<usize>,
    size: usize,
    /// Whether one draw decides on a channel of a sample; else on an element.
    by_channel: bool,
    limit: usize,
}

/// A piece of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct DrawPiece {
    pub(in crate::cli) region: Region,
    pub(in crate::cli) shape: Vec<usize>,
    /// The tensor's draw that is the piece's first.
    pub(in crate::cli) first: usize,
    /// How many draws it has that no piece before it has had.
    pub(in crate::cli) draws: usize,
}

impl Draws {
    pub(in crate::cli) fn new(shape: &[usize], size: usize, by_channel: bool, limit: usize) -> Self {
        Self { shape: shape.to_vec(), size, by_channel, limit }
    }

    /// How many draws the tensor takes.
    pub(in crate::cli) fn count(&self) -> usize {
        if self.by_channel { self.shape.iter().take(2).product() } else { self.shape.iter().product() }
    }

    /// The shape of its mask: one element for each draw.
    pub(in crate::cli) fn mask_shape(&self) -> &[usize] {
        if self.by_channel { &self.shape[..self.shape.len().min(2)] } else { &self.shape }
    }

    pub(in crate::cli) fn pieces(&self) -> Vec<DrawPiece> {
        let all = self.shape.iter().product::<usize>() * self.size;
        let budget = TARGET.min(self.limit);
        // Also where there are no channels: the server says so.
        if all <= budget || self.by_channel && self.shape.len() < 2 {
            let (region, shape) = (Region::run(0, all), self.shape.clone());
            return vec![DrawPiece { region, shape, first: 0, draws: self.count() }];
        }
        let of_draw = if self.by_channel { self.shape[2..].iter().product() } else { 1 };
        let bytes = of_draw * self.size;
        let draws = self.count();
        if bytes <= budget {
            let step = budget / bytes;
            let piece = |first: usize| {
                let count = step.min(draws - first);
                let shape = if self.by_channel { vec![count, 1, of_draw] } else { vec![count] };
                DrawPiece { region: Region::run(first * bytes, count * bytes), shape, first, draws: count }
            };
            return (0..draws).step_by(step).map(piece).collect();
        }
        // One channel is more than a message: each part of it is decided by the same draw.
        let step = (budget / self.size).max(1);
        let of_channel = |channel: usize| {
            (0..of_draw).step_by(step).map(move |first| {
                let count = step.min(of_draw - first);
                DrawPiece {
                    region: Region::run(channel * bytes + first * self.size, count * self.size),
                    shape: vec![1, 1, count],
                    first: channel,
                    draws: usize::from(first == 0),
                }
            })
        };
        (0..draws).flat_map(of_channel).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_piece_and_every_draw_is_counted_once() {
        for (shape, by_channel, limit, count) in [
            (&[10, 7][..], false, 1 << 20, 1),
            (&[10, 7], false, 100, 3),
            (&[10, 7], false, 4, 70),
            (&[6, 5, 4], true, 100, 5),
            (&[2, 3, 50], true, 100, 12),
            (&[2, 3, 0], true, 100, 1),
            (&[2, 3], true, 8, 3),
            (&[9], true, 8, 1),
            (&[], false, 100, 1),
        ] {
            let draws = Draws::new(shape, 4, by_channel, limit);
            let pieces = draws.pieces();
            assert_eq!(pieces.len(), count, "{shape:?} {limit}");
            let mut end = 0;
            for DrawPiece { region, shape: of_piece, first, .. } in &pieces {
                assert_eq!((region.start, region.count), (end, 1));
                assert_eq!(region.run, of_piece.iter().product::<usize>() * 4);
                let of_draw = if by_channel { shape.iter().skip(2).product::<usize>().max(1) } else { 1 };
                assert_eq!(*first, if shape.len() < 2 && by_channel { 0 } else { end / 4 / of_draw });
                end += region.run;
            }
            assert_eq!(end, shape.iter().product::<usize>() * 4);
            assert_eq!(pieces.iter().map(|piece| piece.draws).sum::<usize>(), draws.count());
        }
    }
}
