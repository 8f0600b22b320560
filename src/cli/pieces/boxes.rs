//! Normalizations in pieces: elements that are pooled together stay together.

use std::ops::Range;

use super::{Region, TARGET, TooLarge};

/// The least bytes of a run in a piece of many: each is read and written by itself, which would take too long for
/// shorter ones.
const MIN_RUN: usize = 4096;

/// The axes that a normalization pools, in a tensor of a shape. If its arguments do not fit the shape, all axes are
/// pooled: nothing is cut, and the server reports the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Pooling {
    pub(in crate::cli) shape: Vec<usize>,
    /// Of each axis. The channel axis of groups is pooled, within a group.
    pub(in crate::cli) pooled: Vec<bool>,
    /// The axis that weight, bias and running statistics have an element for, if they have one for each channel.
    pub(in crate::cli) channel_axis: Option<usize>,
    /// How many channels make a group.
    pub(in crate::cli) group: Option<usize>,
    /// Whether running statistics are averaged over all that belongs to a channel.
    pub(in crate::cli) updates_running: bool,
}

/// The pieces of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Boxes {
    shape: Vec<usize>,
    size: usize,
    channel_axis: Option<usize>,
    group: Option<usize>,
    /// The axis that is cut, and the indices of it in a piece. A piece has one index of each axis before it, or
    /// (`gathers`) all.
    axis: usize,
    step: usize,
    gathers: bool,
}

/// A piece of a tensor: a tensor of the same rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Piece {
    pub(in crate::cli) region: Region,
    pub(in crate::cli) shape: Vec<usize>,
    /// Which channels it has.
    pub(in crate::cli) channels: Range<usize>,
    /// How many groups it has, if there are groups.
    pub(in crate::cli) groups: Option<usize>,
}

impl Boxes {
    /// Cuts a tensor of elements of so many bytes into pieces of about [`TARGET`] bytes and at most `limit`.
    pub(in crate::cli) fn new(pooling: &Pooling, size: usize, limit: usize) -> Result<Self, TooLarge> {
        let Pooling { shape, pooled, channel_axis, group, updates_running } = pooling;
        let whole = Self {
            shape: shape.clone(),
            size,
            channel_axis: *channel_axis,
            group: *group,
            axis: 0,
            step: shape.first().copied().unwrap_or(1),
            gathers: false,
        };
        let all = shape.iter().product::<usize>() * size;
        let target = TARGET.min(limit);
        if all <= target {
            return Ok(whole);
        }
        let may_cut = |axis: usize| match (channel_axis, group) {
            (Some(channels), Some(_)) if *channels == axis => true,
            (Some(channels), _) if *updates_running => *channels == axis && !pooled[axis],
            (_, _) => !pooled[axis],
        };
        // The least step of an axis: the channels of a group stay together.
        let least = |axis: usize| group.filter(|_| *channel_axis == Some(axis)).unwrap_or(1);
        let inner = |axis: usize| shape[axis + 1..].iter().product::<usize>() * size;
        let cut_at = |axis: usize, outer: usize, budget: usize| {
            let fit = budget / (outer * inner(axis)).max(1);
            fit.min(shape[axis]) / least(axis) * least(axis)
        };

        // The outermost axis whose elements are small enough, if nothing is pooled up to it.
        let cuttable = (0..shape.len()).take_while(|&axis| may_cut(axis)).count();
        let leading = (0..cuttable).find(|&axis| cut_at(axis, 1, target) > 0).or(cuttable.checked_sub(1));
        // A gathered piece needs pooled axes alone before the one that is cut: else its statistics would not be
        // contiguous.
        let gathered = pooled.iter().take_while(|&&pooled| pooled).count();
        let gathered = (0..shape.len()).find(|&axis| may_cut(axis)).filter(|&axis| axis > 0 && axis <= gathered);
        let mut best: Option<Self> = None;
        for (axis, gathers) in leading.map(|axis| (axis, false)).into_iter().chain(gathered.map(|axis| (axis, true))) {
            let outer = if gathers { shape[..axis].iter().product() } else { 1 };
            let most = cut_at(axis, outer, target).max(least(axis));
            // In equal pieces, rather than with a small one at the end.
            let step = shape[axis].div_ceil(shape[axis].div_ceil(most)).next_multiple_of(least(axis));
            let run = step * inner(axis);
            if outer * run <= limit && (!gathers || run >= MIN_RUN || step == shape[axis]) {
                best = Some(Self { axis, step, gathers, ..whole.clone() });
                break;
            }
        }
        match best {
            Some(best) => Ok(best),
            None if all <= limit => Ok(whole),
            None => Err(TooLarge(all)),
        }
    }

    /// The bytes of the largest piece.
    pub(in crate::cli) fn largest(&self) -> usize {
        self.outer() * self.step.min(self.shape.get(self.axis).copied().unwrap_or(1)) * self.inner()
    }

    /// The bytes of one index of the axis that is cut.
    fn inner(&self) -> usize {
        self.shape.iter().skip(self.axis + 1).product::<usize>() * self.size
    }

    /// The number of runs of a piece.
    fn outer(&self) -> usize {
        if self.gathers { self.shape[..self.axis].iter().product() } else { 1 }
    }

    /// The pieces, in the order of their statistics.
    pub(in crate::cli) fn pieces(self) -> impl Iterator<Item = Piece> + Send {
        let len = self.shape.get(self.axis).copied().unwrap_or(1);
        let repeats = if self.gathers { 1 } else { self.shape[..self.axis.min(self.shape.len())].iter().product() };
        let steps = if self.shape.contains(&0) { 1 } else { len.div_ceil(self.step.max(1)) };
        (0..repeats).flat_map(move |repeat| (0..steps).map(move |step| (repeat, step))).map(move |(repeat, step)| {
            let range = if steps == 1 { 0..len } else { step * self.step..len.min((step + 1) * self.step) };
            self.piece(repeat, range, len)
        })
    }

    fn piece(&self, repeat: usize, range: Range<usize>, len: usize) -> Piece {
        let mut shape = self.shape.clone();
        if !self.gathers {
            shape[..self.axis.min(self.shape.len())].fill(1);
        }
        if let Some(dim) = shape.get_mut(self.axis) {
            *dim = range.len();
        }
        let inner = self.inner();
        let region = Region {
            start: (repeat * len + range.start) * inner,
            run: range.len() * inner,
            stride: len * inner,
            count: self.outer(),
        };
        let channels = match self.channel_axis {
            // `repeat` is the index over all axes before the one that is cut, outermost first.
            Some(channels) if channels < self.axis && !self.gathers => {
                let behind: usize = self.shape[channels + 1..self.axis].iter().product();
                let channel = repeat / behind.max(1) % self.shape[channels].max(1);
                channel..channel + 1
            }
            Some(channels) if channels == self.axis => range,
            Some(channels) => 0..self.shape.get(channels).copied().unwrap_or(0),
            None => 0..0,
        };
        let groups = self.group.map(|group| channels.len() / group.max(1));
        Piece { region, shape, channels, groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooling(shape: &[usize], pooled: &[usize], channel_axis: Option<usize>) -> Pooling {
        Pooling {
            shape: shape.to_vec(),
            pooled: (0..shape.len()).map(|axis| pooled.contains(&axis)).collect(),
            channel_axis,
            group: None,
            updates_running: false,
        }
    }

    /// The pieces, after checks that they are within the limit and cover every byte once.
    #[track_caller]
    fn cut(pooling: &Pooling, size: usize, limit: usize) -> Vec<Piece> {
        let boxes = Boxes::new(pooling, size, limit).expect("it can be cut");
        let largest = boxes.largest();
        let pieces: Vec<Piece> = boxes.pieces().collect();
        assert!(largest <= limit);
        let mut runs = Vec::new();
        for piece in &pieces {
            assert_eq!(piece.region.len(), piece.shape.iter().product::<usize>() * size, "{piece:?}");
            assert!(piece.region.len() <= largest, "{piece:?}");
            let Region { start, run, stride, count } = piece.region;
            runs.extend((0..count).map(|index| (start + index * stride, run)));
            for (axis, is_pooled) in pooling.pooled.iter().enumerate() {
                let is_channel = pooling.group.is_some() && pooling.channel_axis == Some(axis);
                assert!(!is_pooled || is_channel || piece.shape[axis] == pooling.shape[axis], "{piece:?}");
            }
        }
        runs.sort_unstable();
        let end = runs.iter().fold(0, |end, &(start, run)| {
            assert_eq!(start, end, "{runs:?}");
            start + run
        });
        assert_eq!(end, pooling.shape.iter().product::<usize>() * size);
        pieces
    }

    const MIB: usize = 1 << 20;

    #[test]
    fn rows_are_cut_apart_and_never_through() {
        assert_eq!(cut(&pooling(&[8, 4], &[1], None), 4, MIB).len(), 1);
        assert_eq!(cut(&pooling(&[1 << 16, 64], &[1], None), 4, 64 * MIB).len(), 4);
        let pieces = cut(&pooling(&[2, 1 << 20, 3], &[2], None), 4, 64 * MIB);
        assert_eq!((pieces.len(), &pieces[0].shape[..1]), (8, &[1][..]));
        // A row that is longer than `TARGET` is one piece.
        assert_eq!(cut(&pooling(&[3, 4 * MIB], &[1], None), 4, 16 * MIB).len(), 3);
        assert_eq!(Boxes::new(&pooling(&[3, 4 * MIB], &[1], None), 4, 15 * MIB), Err(TooLarge(48 * MIB)));
        assert_eq!(cut(&pooling(&[4 * MIB], &[0], None), 4, 16 * MIB).len(), 1);
        assert_eq!(cut(&pooling(&[0, 7], &[1], None), 4, MIB).len(), 1);
        assert_eq!(cut(&pooling(&[], &[], None), 4, MIB).len(), 1);
    }

    #[test]
    fn channels_are_gathered() {
        let pieces = cut(&pooling(&[4, 64, 1 << 15], &[0, 2], Some(1)), 4, 8 * MIB);
        assert_eq!(pieces.len(), 8);
        assert_eq!((pieces[1].channels.clone(), pieces[1].shape.clone()), (8..16, vec![4, 8, 1 << 15]));
        assert_eq!(pieces[1].region.count, 4);
        // With the channels last, runs would be short: they are not gathered.
        assert_eq!(Boxes::new(&pooling(&[1 << 20, 64], &[0], Some(1)), 4, 8 * MIB), Err(TooLarge(256 * MIB)));
        assert_eq!(cut(&pooling(&[1 << 20, 64], &[0], Some(1)), 4, 256 * MIB).len(), 1);
    }

    #[test]
    fn channels_of_a_sample_are_told() {
        let pieces = cut(&pooling(&[2, 3, 1 << 20], &[2], Some(1)), 4, 4 * MIB);
        let channels: Vec<_> = pieces.iter().map(|piece| piece.channels.clone()).collect();
        assert_eq!(channels, [0..1, 1..2, 2..3, 0..1, 1..2, 2..3]);
        let rows = cut(&pooling(&[2, 3, 4, 1 << 20], &[3], Some(1)), 4, 4 * MIB);
        assert_eq!(rows.len(), 24);
        assert_eq!((rows[5].channels.clone(), rows[23].channels.clone()), (1..2, 2..3));
    }

    #[test]
    fn groups_stay_whole() {
        let groups = Pooling { group: Some(4), ..pooling(&[2, 12, 1 << 18], &[1, 2], Some(1)) };
        let pieces = cut(&groups, 4, 4 * MIB);
        assert_eq!(pieces.len(), 6);
        assert!(pieces.iter().all(|piece| piece.groups == Some(1) && piece.channels.len() == 4));
        let samples = Pooling { group: Some(4), ..pooling(&[64, 12, 1 << 14], &[1, 2], Some(1)) };
        assert!(cut(&samples, 4, 4 * MIB).iter().all(|piece| piece.groups == Some(3)));
        assert!(Boxes::new(&groups, 4, 4 * MIB - 1).is_err());
    }

    #[test]
    fn what_is_averaged_over_samples_is_not_cut_between_them() {
        let running = Pooling { updates_running: true, ..pooling(&[64, 3, 1 << 16], &[2], Some(1)) };
        assert!(cut(&running, 4, 64 * MIB).iter().all(|piece| piece.shape[0] == 64));
    }
}
