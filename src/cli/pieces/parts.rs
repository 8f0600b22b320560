//! Normalizations of sets that are longer than a message: they are cut too, and need two passes. The first measures
//! statistics, which merge exactly; the second normalizes with them.

use std::ops::Range;

use super::{Piece, Pooling, Region, TARGET};

/// An axis of a tensor. The axis of the channels is two of them if there are groups: one of groups, and one of the channels of
/// a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    len: usize,
    pooled: bool,
}

/// The parts of a tensor: each is a run of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Parts {
    axes: Vec<Axis>,
    size: usize,
    /// The axis of the channels, or of the groups.
    channel_axis: Option<usize>,
    /// How many channels make a group; the axis of the channels of a group is the one after `channel_axis`.
    group: Option<usize>,
    /// The axis that is cut, and the indices of it in a part. A part has one index of each axis before it.
    cut: usize,
    step: usize,
}

/// A part, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct PartPiece {
    pub(in crate::cli) piece: Piece,
    /// The sets that it has elements of. Two parts have the same sets or none in common.
    pub(in crate::cli) sets: Range<usize>,
    /// The indices over the pooled axes that it has, for weights with an element for each of them.
    pub(in crate::cli) pooled: Range<usize>,
    /// The lengths of its pooled axes.
    pub(in crate::cli) pooled_shape: Vec<usize>,
}

impl Parts {
    /// Cuts a tensor, which has elements, of so many bytes each, into parts of at most `limit` bytes.
    pub(in crate::cli) fn new(pooling: &Pooling, size: usize, limit: usize) -> Self {
        let Pooling { shape, pooled, channel_axis, group, updates_running: _ } = pooling;
        let mut axes = Vec::with_capacity(shape.len() + 1);
        for (index, (&len, &pooled)) in shape.iter().zip(pooled).enumerate() {
            match group {
                Some(group) if *channel_axis == Some(index) => {
                    axes.push(Axis { len: len / group, pooled: false });
                    axes.push(Axis { len: *group, pooled: true });
                }
                _ => axes.push(Axis { len, pooled }),
            }
        }
        let budget = TARGET.min(limit).max(size);
        let inner = |axis: usize| axes[axis + 1..].iter().map(|axis| axis.len).product::<usize>() * size;
        let cut = (0..axes.len()).find(|&axis| inner(axis) <= budget).unwrap_or(0);
        let step = axes.get(cut).map_or(1, |axis| (budget / inner(cut).max(1)).clamp(1, axis.len.max(1)));
        Self { axes, size, channel_axis: *channel_axis, group: *group, cut, step }
    }

    /// The bytes of the largest part.
    pub(in crate::cli) fn largest(&self) -> usize {
        self.step * self.inner()
    }

    /// The bytes of one index of the axis that is cut.
    fn inner(&self) -> usize {
        self.axes.iter().skip(self.cut + 1).map(|axis| axis.len).product::<usize>() * self.size
    }

    /// How many sets a part has elements of, at most.
    pub(in crate::cli) fn sets_of_a_part(&self) -> usize {
        let behind = self.axes.iter().skip(self.cut + 1).filter(|axis| !axis.pooled).map(|axis| axis.len);
        let of_cut = self.axes.get(self.cut).filter(|axis| !axis.pooled).map_or(1, |_| self.step);
        of_cut * behind.product::<usize>()
    }

    /// The parts, in the order of their bytes.
    pub(in crate::cli) fn pieces(self) -> impl Iterator<Item = PartPiece> + Send {
        let len = self.axes.get(self.cut).map_or(1, |axis| axis.len);
        let repeats: usize = self.axes.iter().take(self.cut).map(|axis| axis.len).product();
        let steps = len.div_ceil(self.step);
        (0..repeats)
            .flat_map(move |repeat| (0..steps).map(move |step| (repeat, step)))
            .map(move |(repeat, step)| self.part(repeat, step * self.step..len.min((step + 1) * self.step), len))
    }

    /// `repeat` is the index over all axes before the one that is cut, outermost first.
    fn part(&self, repeat: usize, range: Range<usize>, len: usize) -> PartPiece {
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(self.axes.len());
        let mut left = repeat;
        for axis in self.axes[..self.cut].iter().rev() {
            ranges.push(left % axis.len..left % axis.len + 1);
            left /= axis.len;
        }
        ranges.reverse();
        let inner = self.inner();
        let region = Region::run((repeat * len + range.start) * inner, range.len() * inner);
        ranges.push(range);
        ranges.extend(self.axes.iter().skip(self.cut + 1).map(|axis| 0..axis.len));

        // One index of each axis before the cut, and all of each behind it: the indices over some of the axes are a range.
        let over = |pooled: bool| {
            self.axes.iter().zip(&ranges).filter(|(axis, _)| axis.pooled == pooled).fold(0..1, |over, (axis, range)| {
                if over.len() == 1 {
                    over.start * axis.len + range.start..over.start * axis.len + range.end
                } else {
                    over.start * axis.len..over.end * axis.len
                }
            })
        };
        let (sets, pooled) = (over(false), over(true));
        let pooled_shape = self.axes.iter().zip(&ranges).filter(|(axis, _)| axis.pooled).map(|(_, range)| range.len());
        let pooled_shape = pooled_shape.collect();
        let (channels, groups) = match (self.channel_axis, self.group) {
            (Some(axis), Some(group)) => {
                let (groups, of_group) = (&ranges[axis], &ranges[axis + 1]);
                let channels = groups.start * group + of_group.start..(groups.end - 1) * group + of_group.end;
                (channels, Some(groups.len()))
            }
            (Some(axis), None) => (ranges[axis].clone(), None),
            (None, _) => (0..0, None),
        };
        let mut shape: Vec<usize> = ranges.iter().map(Range::len).collect();
        if let (Some(axis), Some(_)) = (self.channel_axis, self.group) {
            let of_group = shape.remove(axis + 1);
            shape[axis] *= of_group;
        }
        PartPiece { piece: Piece { region, shape, channels, groups }, sets, pooled, pooled_shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The set of each element, and its index over the pooled axes, by their definition.
    fn places(pooling: &Pooling) -> Vec<(usize, usize, usize)> {
        let Pooling { shape, pooled, channel_axis, group, .. } = pooling;
        (0..shape.iter().product())
            .map(|element: usize| {
                let (mut set, mut place, mut channel) = (0, 0, 0);
                let mut inner: usize = shape.iter().product();
                for (axis, &len) in shape.iter().enumerate() {
                    inner /= len;
                    let index = element / inner % len;
                    if Some(axis) == *channel_axis {
                        channel = index;
                    }
                    match group {
                        Some(group) if Some(axis) == *channel_axis => {
                            set = set * (len / group) + index / group;
                            place = place * group + index % group;
                        }
                        _ if pooled[axis] => place = place * len + index,
                        _ => set = set * len + index,
                    }
                }
                (set, place, channel)
            })
            .collect()
    }

    #[test]
    fn every_element_is_in_one_part_with_its_set_its_weight_and_its_channel() {
        for (shape, pooled, channel_axis, group) in [
            (&[6, 4, 3, 5][..], &[0, 2, 3][..], Some(1), None), // batch
            (&[6, 5], &[0], Some(1), None),
            (&[3, 4, 5], &[0, 1], Some(2), None), // channels last
            (&[2, 3, 40], &[2], Some(1), None),   // instance
            (&[2, 6, 4, 3], &[1, 2, 3], Some(1), Some(2)),
            (&[2, 6, 10], &[1, 2], Some(1), Some(3)),
            (&[4, 50], &[1], None, None), // rows
            (&[50, 4], &[0], None, None), // columns
            (&[3, 2, 10, 7], &[1, 3], None, None),
            (&[60], &[0], None, None),
        ] {
            let pooling = Pooling {
                shape: shape.to_vec(),
                pooled: (0..shape.len()).map(|axis| pooled.contains(&axis)).collect(),
                channel_axis,
                group,
                updates_running: false,
            };
            let places = places(&pooling);
            for limit in [4, 8, 20, 24, 60, 100, 200] {
                let parts = Parts::new(&pooling, 4, limit);
                let (largest, most) = (parts.largest(), parts.sets_of_a_part());
                assert!(largest <= limit);
                let mut end = 0;
                let mut ranges: Vec<Range<usize>> = Vec::new();
                for PartPiece { piece, sets, pooled, pooled_shape } in parts.pieces() {
                    let Piece { region, shape: of_piece, channels, groups } = &piece;
                    let context = format!("{shape:?} {limit} {piece:?} {sets:?} {pooled:?}");
                    assert_eq!((region.start, region.count), (end, 1), "{context}");
                    assert!(region.run <= largest && sets.len() <= most, "{context}");
                    assert_eq!((of_piece.len(), of_piece.iter().product::<usize>() * 4), (shape.len(), region.run));
                    assert_eq!(pooled_shape.iter().product::<usize>(), pooled.len(), "{context}");
                    // The same definition within the part leads to the same sets, places and channels.
                    let own = Pooling {
                        shape: of_piece.clone(),
                        group: groups.map(|groups| of_piece[channel_axis.unwrap_or(0)] / groups),
                        ..pooling.clone()
                    };
                    for (element, (set, place, channel)) in self::places(&own).into_iter().enumerate() {
                        let expected = places[end / 4 + element];
                        let given = (sets.start + set, pooled.start + place, channels.start + channel);
                        let given = if channel_axis.is_none() { (given.0, given.1, 0) } else { given };
                        if group.is_none() {
                            assert_eq!(given, expected, "{context}");
                        } else {
                            assert_eq!((given.0, given.2), (expected.0, expected.2), "{context}");
                        }
                    }
                    let apart = |other: &Range<usize>| other.end <= sets.start || sets.end <= other.start;
                    assert!(ranges.iter().all(|other| *other == sets || apart(other)), "{context}");
                    ranges.push(sets);
                    end += region.run;
                }
                assert_eq!(end, places.len() * 4, "{shape:?} {limit}");
            }
        }
    }
}
