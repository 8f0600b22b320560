//! Gradients in messages: small ones share one, large ones are cut between any two elements.

use super::Region;

/// A part of a tensor, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Part {
    /// The index of the tensor.
    pub(in crate::cli) tensor: usize,
    pub(in crate::cli) region: Region,
}

/// The bytes that a part of at most [`MAX_RANK`] dimensions needs in its message beside its elements, with room to
/// spare.
const OVERHEAD: usize = 96;
/// A tensor of more dimensions is sent as one of a single dimension.
pub(in crate::cli) const MAX_RANK: usize = 6;
/// The most parts in one message: more of them cost more time than another message does.
const MAX_PARTS: usize = 256;

/// The parts of `tensors`, given by their bytes and those of an element, for messages of at most `budget` bytes. Each
/// tensor has a part, also if it has no elements. `apart`: no message has parts of two tensors.
pub(in crate::cli) fn parcels(tensors: &[(usize, usize)], budget: usize, apart: bool) -> Vec<Vec<Part>> {
    let mut parcels: Vec<Vec<Part>> = Vec::new();
    let mut room = 0_usize;
    for (tensor, &(len, size)) in tensors.iter().enumerate() {
        if apart {
            room = 0;
        }
        let mut start = 0;
        loop {
            let is_full = room < OVERHEAD || parcels.last().is_none_or(|parcel| parcel.len() >= MAX_PARTS);
            let fits = room.saturating_sub(OVERHEAD) / size * size;
            // A tensor that fits in the next message is not cut for the rest of this one.
            if is_full || fits < (len - start).min(budget.saturating_sub(OVERHEAD) / size * size) {
                parcels.push(Vec::new());
                room = budget;
            }
            let run = (len - start).min((room.saturating_sub(OVERHEAD) / size).max(1) * size);
            if let Some(parcel) = parcels.last_mut() {
                parcel.push(Part { tensor, region: Region::run(start, run) });
            }
            room = room.saturating_sub(run + OVERHEAD);
            start += run;
            if start == len {
                break;
            }
        }
    }
    parcels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_one_part_of_whole_elements() {
        let tensors = [(40, 4), (0, 4), (1_000_000, 8), (6, 2), (100_000, 4)];
        for budget in [OVERHEAD + 8, 10_000, 1 << 20, 1 << 24] {
            for apart in [false, true] {
                let parcels = parcels(&tensors, budget, apart);
                let mut ends = [None; 5];
                for parcel in &parcels {
                    let bytes: usize = parcel.iter().map(|part| part.region.len() + OVERHEAD).sum();
                    assert!(bytes <= budget && !parcel.is_empty(), "{budget}: {parcel:?}");
                    assert!(!apart || parcel.iter().all(|part| part.tensor == parcel[0].tensor));
                    for Part { tensor, region } in parcel {
                        assert_eq!(region.start, ends[*tensor].unwrap_or(0));
                        assert!(region.run.is_multiple_of(tensors[*tensor].1));
                        ends[*tensor] = Some(region.start + region.run);
                    }
                }
                assert_eq!(ends, tensors.map(|(len, _)| Some(len)));
                assert_eq!(parcels.len() == 1, budget == 1 << 24 && !apart, "{budget}");
            }
        }
    }
}
