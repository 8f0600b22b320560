//! The properties of the kinds of normalization: a row for each kind, and the only place that distinguishes them.

use crate::DType;

/// Which elements are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// Per channel. `torch.nn.functional.batch_norm`.
    Batch,
    /// Over the trailing axes. `torch.nn.functional.layer_norm`.
    Layer,
    /// As `Layer`, by the root of the mean square. `torch.nn.functional.rms_norm`.
    Rms,
    /// Per sample and channel. `torch.nn.functional.instance_norm`.
    Instance,
    /// Per sample and group of channels. `torch.nn.functional.group_norm`.
    Group,
    /// Over axis 1, by the norm. `torch.nn.functional.normalize`.
    L2,
}

/// The properties of a kind.
struct Traits {
    name: &'static str,
    /// The axes that are pooled if none are given, for a tensor of this rank with this axis of the channels.
    default_axes: fn(usize, Option<usize>) -> Vec<usize>,
    least_rank: usize,
    parameters: Parameters,
    has_running_statistics: bool,
    is_centred: bool,
    /// Whether elements are divided by the norm, the root of a sum; otherwise by the root of a mean.
    divides_by_norm: bool,
    /// The unit of a set, such as "channel", for the error that refuses a set of one value, which has no spread; `None`
    /// if such a set is allowed.
    pooled_for_each: Option<&'static str>,
    default_eps: fn(DType) -> f64,
}

/// The things for which weight and bias have one number each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameters {
    /// Each place of the pooled axes.
    Places,
    /// Each channel.
    Channels,
    /// None: there is neither weight nor bias.
    None,
}

impl NormKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Batch, Self::Layer, Self::Rms, Self::Instance, Self::Group, Self::L2];

    fn traits(self) -> Traits {
        match self {
            Self::Batch => Traits {
                name: "batch",
                default_axes: |rank, channels| (0..rank).filter(|&axis| Some(axis) != channels).collect(),
                least_rank: 0,
                parameters: Parameters::Channels,
                has_running_statistics: true,
                is_centred: true,
                divides_by_norm: false,
                pooled_for_each: Some("channel"),
                default_eps: |_| 1e-5,
            },
            Self::Layer => Traits {
                name: "layer",
                default_axes: |rank, _| last_or_all_but_first(rank),
                least_rank: 1,
                parameters: Parameters::Places,
                has_running_statistics: false,
                is_centred: true,
                divides_by_norm: false,
                pooled_for_each: None,
                default_eps: |_| 1e-5,
            },
            Self::Rms => Traits {
                name: "rms",
                is_centred: false,
                default_eps: |dtype| match dtype {
                    DType::F64 => f64::EPSILON,
                    DType::F32 | DType::F16 | DType::Bf16 => f64::from(f32::EPSILON),
                },
                ..Self::Layer.traits()
            },
            Self::Instance => Traits {
                name: "instance",
                default_axes: |rank, channels| (1..rank).filter(|&axis| Some(axis) != channels).collect(),
                least_rank: 3,
                pooled_for_each: Some("sample and channel"),
                ..Self::Batch.traits()
            },
            Self::Group => Traits {
                name: "group",
                default_axes: |rank, _| (1..rank).collect(),
                has_running_statistics: false,
                pooled_for_each: Some("group"),
                ..Self::Batch.traits()
            },
            Self::L2 => Traits {
                name: "l2",
                default_axes: |rank, _| (rank.min(2).saturating_sub(1)..rank.min(2)).collect(),
                parameters: Parameters::None,
                is_centred: false,
                divides_by_norm: true,
                default_eps: |_| 1e-12,
                ..Self::Layer.traits()
            },
        }
    }

    /// The name in lower case.
    pub fn name(self) -> &'static str {
        self.traits().name
    }

    /// The axes that are pooled if none are given, for a tensor of this rank. `channel_axis`: that of the channels, for
    /// a kind that [has](Self::has_channels) them.
    pub fn default_axes(self, rank: usize, channel_axis: Option<usize>) -> Vec<usize> {
        (self.traits().default_axes)(rank, channel_axis)
    }

    /// Whether it has channels; weight and bias then have one number for each of them.
    pub fn has_channels(self) -> bool {
        self.traits().parameters == Parameters::Channels
    }

    /// Whether it has weight and bias.
    pub fn has_affine(self) -> bool {
        self.traits().parameters != Parameters::None
    }

    /// Whether running statistics can take the place of the input's own.
    pub fn has_running_statistics(self) -> bool {
        self.traits().has_running_statistics
    }

    /// Whether the mean is subtracted.
    pub fn is_centred(self) -> bool {
        self.traits().is_centred
    }

    /// Whether elements are divided by the norm of their set, or by eps if that is larger; otherwise by the root of a
    /// mean plus eps.
    pub fn divides_by_norm(self) -> bool {
        self.traits().divides_by_norm
    }

    /// The least rank of a tensor.
    pub(super) fn least_rank(self) -> usize {
        self.traits().least_rank
    }

    /// The unit of a set, such as "channel", if a set of one value is refused.
    pub(super) fn pooled_for_each(self) -> Option<&'static str> {
        self.traits().pooled_for_each
    }

    pub(super) fn default_eps(self, dtype: DType) -> f64 {
        (self.traits().default_eps)(dtype)
    }

    /// The name in the wire contract, without the prefix.
    pub(super) fn wire_name(self) -> String {
        self.name().to_uppercase()
    }
}

/// The last axis of text, (N, L, D), and all but the first of images.
fn last_or_all_but_first(rank: usize) -> Vec<usize> {
    let first = if rank <= 3 { rank.saturating_sub(1) } else { 1 };
    (first..rank).collect()
}

/// The kinds for which `holds` is true, as in a sentence: "BATCH, INSTANCE and GROUP".
pub(super) fn those(holds: fn(NormKind) -> bool) -> String {
    let names: Vec<String> = NormKind::ALL.into_iter().filter(|&kind| holds(kind)).map(NormKind::wire_name).collect();
    match &names[..] {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        names => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_and_its_name() {
        for (place, kind) in NormKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(kind.name(), format!("{kind:?}").to_lowercase());
        }
    }

    #[test]
    fn a_sentence_names_them() {
        assert_eq!(those(NormKind::has_running_statistics), "BATCH and INSTANCE");
        assert_eq!(those(NormKind::has_channels), "BATCH, INSTANCE and GROUP");
        assert_eq!(those(|kind| kind == NormKind::Group), "GROUP");
    }
}
