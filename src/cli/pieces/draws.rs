//! Dropout in pieces: each begins at its own draw of the stream.

use super::{Region, TARGET};

/// How a tensor is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Draws {
    shape: Vec<usize>,
    size: usize,
    channels: Channels,
    limit: usize,
}

/// Where the channels are, each of which has one draw in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channels {
    /// There are none: each element has a draw of its own.
    Elements,
    /// They are on this axis, counted from the first.
    On(usize),
    /// The tensor has no axis that they could be on. The server refuses it.
    Nowhere,
}

/// A piece of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct DrawPiece {
    pub(in crate::cli) region: Region,
    pub(in crate::cli) shape: Vec<usize>,
    /// The tensor's draw that is the piece's first.
    pub(in crate::cli) first: usize,
    /// The number of its draws that no piece before it has.
    pub(in crate::cli) draws: usize,
    /// The axis of the piece's channels, if that is not the axis of the tensor's.
    pub(in crate::cli) channel_axis: Option<i32>,
}

impl Draws {
    /// `channel_axis`: that of the kinds that drop channels.
    pub(in crate::cli) fn new(shape: &[usize], size: usize, channel_axis: Option<i32>, limit: usize) -> Self {
        let rank = shape.len();
        let channels = match channel_axis {
            None => Channels::Elements,
            Some(axis) => {
                let from_start = i64::from(axis) + if axis < 0 { rank as i64 } else { 0 };
                let axis = usize::try_from(from_start).ok().filter(|axis| (1..rank).contains(axis));
                axis.map_or(Channels::Nowhere, Channels::On)
            }
        };
        Self { shape: shape.to_vec(), size, channels, limit }
    }

    /// How many draws the tensor takes.
    pub(in crate::cli) fn count(&self) -> usize {
        self.mask_shape().iter().product()
    }

    /// The shape of its mask: one element for each draw.
    pub(in crate::cli) fn mask_shape(&self) -> Vec<usize> {
        match self.channels {
            Channels::Elements | Channels::Nowhere => self.shape.clone(),
            Channels::On(axis) => vec![self.shape[0], self.shape[axis]],
        }
    }

    /// Whether all pieces are within the limit. A tensor without an axis for the channels is one piece.
    pub(in crate::cli) fn fit(&self) -> bool {
        self.channels != Channels::Nowhere || self.shape.iter().product::<usize>() * self.size <= self.limit
    }

    pub(in crate::cli) fn pieces(&self) -> Vec<DrawPiece> {
        let all = self.shape.iter().product::<usize>() * self.size;
        let budget = TARGET.min(self.limit);
        let (repeats, of_draw) = match self.channels {
            Channels::On(axis) if all > budget => {
                (self.shape[1..axis].iter().product(), self.shape[axis + 1..].iter().product())
            }
            Channels::Elements if all > budget => (1, 1),
            Channels::Elements | Channels::On(_) | Channels::Nowhere => {
                let (region, shape, draws) = (Region::run(0, all), self.shape.clone(), self.count());
                return vec![DrawPiece { region, shape, first: 0, draws, channel_axis: None }];
            }
        };
        if repeats == 1 { self.runs(of_draw, budget) } else { self.repeated(repeats, of_draw, budget) }
    }

    /// Pieces of a tensor in which the draws follow one another, each of `of_draw` elements.
    fn runs(&self, of_draw: usize, budget: usize) -> Vec<DrawPiece> {
        let draws = self.count();
        let of_elements = self.channels == Channels::Elements;
        let bytes = of_draw * self.size;
        if bytes <= budget {
            let step = budget / bytes;
            let piece = |first: usize| {
                let count = step.min(draws - first);
                let shape = if of_elements { vec![count] } else { vec![count, 1, of_draw] };
                let region = Region::run(first * bytes, count * bytes);
                DrawPiece { region, shape, first, draws: count, channel_axis: (!of_elements).then_some(1) }
            };
            return (0..draws).step_by(step).map(piece).collect();
        }
        // A channel is longer than a message and is cut: the same draw decides for each of its parts.
        (0..draws).flat_map(|draw| self.parts_of_channel(draw * bytes, draw, of_draw, budget, true)).collect()
    }

    /// Parts of a channel whose draw is `draw`, and whose bytes begin at `start`. `is_new`: no piece before has the
    /// draw.
    fn parts_of_channel(
        &self,
        start: usize,
        draw: usize,
        of_draw: usize,
        budget: usize,
        is_new: bool,
    ) -> impl Iterator<Item = DrawPiece> + use<> {
        let size = self.size;
        let step = (budget / size).max(1);
        (0..of_draw).step_by(step).map(move |first| {
            let count = step.min(of_draw - first);
            DrawPiece {
                region: Region::run(start + first * size, count * size),
                shape: vec![1, 1, count],
                first: draw,
                draws: usize::from(is_new && first == 0),
                channel_axis: Some(1),
            }
        })
    }

    /// Pieces of a tensor with axes between those of samples and channels: each sample has the row of all channels
    /// `repeats` times.
    fn repeated(&self, repeats: usize, of_draw: usize, budget: usize) -> Vec<DrawPiece> {
        let [samples, channels] = self.mask_shape()[..] else { unreachable!("channels are drawn for each sample") };
        let row = channels * of_draw * self.size;
        let sample = repeats * row;
        let mut pieces = Vec::new();
        if sample <= budget {
            let step = budget / sample;
            for first in (0..samples).step_by(step) {
                let count = step.min(samples - first);
                pieces.push(DrawPiece {
                    region: Region::run(first * sample, count * sample),
                    shape: vec![count, repeats, channels, of_draw],
                    first: first * channels,
                    draws: count * channels,
                    channel_axis: Some(2),
                });
            }
            return pieces;
        }
        for index in 0..samples {
            let (start, draw) = (index * sample, index * channels);
            if row <= budget {
                for first in (0..repeats).step_by(budget / row) {
                    let count = (budget / row).min(repeats - first);
                    pieces.push(DrawPiece {
                        region: Region::run(start + first * row, count * row),
                        shape: vec![1, count, channels, of_draw],
                        first: draw,
                        draws: if first == 0 { channels } else { 0 },
                        channel_axis: Some(2),
                    });
                }
                continue;
            }
            for (repeat, channel) in (0..repeats).flat_map(|repeat| (0..channels).map(move |channel| (repeat, channel)))
            {
                let start = start + repeat * row + channel * of_draw * self.size;
                pieces.extend(self.parts_of_channel(start, draw + channel, of_draw, budget, repeat == 0));
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_piece_and_every_draw_is_counted_once() {
        for (shape, channel_axis, limit, count) in [
            (&[10, 7][..], None, 1 << 20, 1),
            (&[10, 7], None, 100, 3),
            (&[10, 7], None, 4, 70),
            (&[6, 5, 4], Some(1), 100, 5),
            (&[2, 3, 50], Some(1), 100, 12),
            (&[2, 3, 0], Some(1), 100, 1),
            (&[2, 3], Some(1), 8, 3),
            (&[9], Some(1), 8, 1),
            (&[], None, 100, 1),
            (&[4, 5, 6], Some(2), 250, 2),
            (&[4, 5, 6], Some(-1), 50, 12),
            (&[2, 5, 6, 3], Some(2), 100, 2 * 5),
            (&[2, 5, 6, 3], Some(-2), 8, 2 * 5 * 6 * 2),
            (&[2, 1, 6, 3], Some(2), 100, 2),
            (&[2, 3, 4], Some(3), 8, 1),
        ] {
            let draws = Draws::new(shape, 4, channel_axis, limit);
            let pieces = draws.pieces();
            assert_eq!(pieces.len(), count, "{shape:?} {limit}");
            // The draw of each element, by the definition.
            let draw_of = |element: usize| match draws.channels {
                Channels::Elements => element,
                Channels::Nowhere => 0,
                Channels::On(axis) => {
                    let inner: usize = shape[axis + 1..].iter().product();
                    element / shape[1..].iter().product::<usize>() * shape[axis] + element / inner % shape[axis]
                }
            };
            let mut end = 0;
            for DrawPiece { region, shape: of_piece, first, channel_axis, .. } in &pieces {
                assert_eq!((region.start, region.count), (end, 1));
                assert_eq!(region.run, of_piece.iter().product::<usize>() * 4);
                if let Some(axis) = channel_axis {
                    // The same definition in the piece leads to the same draws.
                    let axis = *axis as usize;
                    let inner: usize = of_piece[axis + 1..].iter().product();
                    for element in 0..region.run / 4 {
                        let sample = element / of_piece[1..].iter().product::<usize>();
                        let draw = first + sample * of_piece[axis] + element / inner % of_piece[axis];
                        assert_eq!(draw, draw_of(end / 4 + element), "{shape:?} {limit} {of_piece:?}");
                    }
                } else if draws.channels == Channels::Elements {
                    assert_eq!(*first, end / 4);
                }
                end += region.run;
            }
            assert_eq!(end, shape.iter().product::<usize>() * 4);
            assert_eq!(pieces.iter().map(|piece| piece.draws).sum::<usize>(), draws.count());
        }
    }
}
