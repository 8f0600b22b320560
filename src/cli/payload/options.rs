//! What is in a request.

use clap::{Args, ValueEnum};
use evenkeel_client::DType;

/// The type of elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Dtype {
    /// IEEE 754 binary32.
    #[default]
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// IEEE 754 binary16.
    Float16,
    /// The upper half of a binary32.
    Bfloat16,
}

/// A tensor beside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Beside {
    /// The scale.
    Weight,
    /// The shift.
    Bias,
    /// The running mean and the running variance.
    Running,
}

/// The lengths of a tensor's dimensions, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Shape(Vec<usize>);

impl Shape {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "scalar" {
            return Ok(Self(Vec::new()));
        }
        let dims =
            text.split(',').map(|dim| dim.trim().parse::<usize>().ok().filter(|dim| i64::try_from(*dim).is_ok()));
        dims.collect::<Option<_>>().map(Self).ok_or_else(|| "expected lengths such as 64,1024, or `scalar`".to_owned())
    }
}

/// The content of a request.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Options {
    /// The shape of the tensor, such as `64,1024`, or `scalar`. Calls on gradients take several; without --shape each call has
    /// one tensor of 64,1024.
    #[arg(long, value_name = "N,...", value_parser = Shape::parse)]
    pub(in crate::cli) shape: Vec<Shape>,

    /// How many gradients of each --shape there are.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(in crate::cli) tensors: usize,

    /// The type of the elements.
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) dtype: Dtype,

    /// The seed of the elements, which are uniform in [-1, 1): the same seed gives the same bytes on every machine.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) seed: u64,

    /// A parameter of the request by its name in the contract, such as `kind=group`, `groups=8`, `axes=2,3`, `eps=1e-3`, `p=0.1`,
    /// `seed=42` or `mode=value`; may be given several times. Without it, `kind` is layer, `p` 0.1, `mode` norm and `threshold` 1.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(in crate::cli) set: Vec<String>,

    /// Tensors that a normalization has beside its input.
    #[arg(long, value_enum, value_name = "TENSOR", value_delimiter = ',')]
    pub(in crate::cli) with: Vec<Beside>,

    /// Send the elements as numbers (`float_data`), as people type them, and not as bytes.
    #[arg(long)]
    pub(in crate::cli) float_data: bool,

    /// DropoutStream and MeasureStatistics: ask for the gradient, or measure it as well.
    #[arg(long)]
    pub(in crate::cli) backward: bool,

    /// Streams of tensors: the bytes of elements in a message.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) chunk: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shape: Vec::new(),
            tensors: 1,
            dtype: Dtype::default(),
            seed: 0,
            set: Vec::new(),
            with: Vec::new(),
            float_data: false,
            backward: false,
            chunk: 65_536,
        }
    }
}

impl Options {
    /// The shapes that are asked for, of all gradients.
    pub(super) fn shapes(&self) -> Vec<Vec<usize>> {
        let given = if self.shape.is_empty() {
            vec![vec![64, 1024]]
        } else {
            self.shape.iter().map(|it| it.0.clone()).collect()
        };
        given.into_iter().flat_map(|shape| std::iter::repeat_n(shape, self.tensors)).collect()
    }
}

impl Dtype {
    /// The type as the client and the kernels name it.
    pub(super) fn of_client(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Float64 => DType::F64,
            Self::Float16 => DType::F16,
            Self::Bfloat16 => DType::Bf16,
        }
    }

    pub(super) fn of_kernels(self) -> evenkeel_kernels::DType {
        match self {
            Self::Float32 => evenkeel_kernels::DType::F32,
            Self::Float64 => evenkeel_kernels::DType::F64,
            Self::Float16 => evenkeel_kernels::DType::F16,
            Self::Bfloat16 => evenkeel_kernels::DType::Bf16,
        }
    }
}
