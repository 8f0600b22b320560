//! The types of elements: those that are computed with, and those that are only passed on.

use bytes::Bytes;
use evenkeel_client::DType;
use evenkeel_proto::v1 as pb;
use safetensors::Dtype;

/// The type in which the server computes; `None`: tensors of this type are passed on as they are.
pub(in crate::cli) fn computed(dtype: Dtype) -> Option<DType> {
    // The others are integers, booleans, complex numbers, floating-point numbers of eight bits and less, and all types
    // that a later version of the crate adds.
    COMPUTED.iter().find_map(|&(ours, theirs)| (theirs == dtype).then_some(ours))
}

const COMPUTED: [(DType, Dtype); 4] =
    [(DType::F32, Dtype::F32), (DType::F64, Dtype::F64), (DType::F16, Dtype::F16), (DType::Bf16, Dtype::BF16)];

/// The names of the others, where they have one outside of the format.
const NAMES: [(Dtype, &str); 15] = [
    (Dtype::BOOL, "bool"),
    (Dtype::U8, "uint8"),
    (Dtype::I8, "int8"),
    (Dtype::U16, "uint16"),
    (Dtype::I16, "int16"),
    (Dtype::U32, "uint32"),
    (Dtype::I32, "int32"),
    (Dtype::U64, "uint64"),
    (Dtype::I64, "int64"),
    (Dtype::C64, "complex64"),
    (Dtype::F8_E4M3, "float8_e4m3fn"),
    (Dtype::F8_E5M2, "float8_e5m2"),
    (Dtype::F8_E8M0, "float8_e8m0fnu"),
    (Dtype::F8_E4M3FNUZ, "float8_e4m3fnuz"),
    (Dtype::F8_E5M2FNUZ, "float8_e5m2fnuz"),
];

/// The type of elements as files name it.
pub(in crate::cli) fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::Bf16 => Dtype::BF16,
    }
}

/// The type on the wire.
pub(in crate::cli) fn wire(dtype: DType) -> pb::DataType {
    match dtype {
        DType::F32 => pb::DataType::Float32,
        DType::F64 => pb::DataType::Float64,
        DType::F16 => pb::DataType::Float16,
        DType::Bf16 => pb::DataType::Bfloat16,
    }
}

/// The type of a tensor that the server answers with.
pub(in crate::cli) fn from_wire(dtype: i32) -> Option<DType> {
    match pb::DataType::try_from(dtype).ok()? {
        pb::DataType::Unspecified => None,
        pb::DataType::Float32 => Some(DType::F32),
        pb::DataType::Float64 => Some(DType::F64),
        pb::DataType::Float16 => Some(DType::F16),
        pb::DataType::Bfloat16 => Some(DType::Bf16),
    }
}

/// The name in tables: NumPy's, or PyTorch's where NumPy has none.
pub(in crate::cli) fn name(dtype: Dtype) -> String {
    if let Some(dtype) = computed(dtype) {
        return dtype.to_string();
    }
    let name = NAMES.iter().find_map(|&(it, name)| (it == dtype).then_some(name));
    name.map_or_else(|| dtype.to_string(), str::to_owned)
}

/// A tensor as the server takes it, without a name: the server has no use for it, and it may be long.
pub(in crate::cli) fn message(dtype: DType, shape: &[usize], data: Bytes) -> pb::Tensor {
    let shape = shape.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect();
    pb::Tensor { dtype: wire(dtype).into(), shape, data, ..pb::Tensor::default() }
}
