//! The manifests and tensors that `generate.py` wrote.

use std::{collections::BTreeMap, fs, path::PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// The vectors of one operation; `A`: its arguments under their wire names.
pub(crate) struct Vectors<A> {
    pub(crate) cases: Vec<Case<A>>,
    pub(crate) tensors: BTreeMap<String, Reference>,
}

impl<A: DeserializeOwned> Vectors<A> {
    /// Reads `STEM.json` and `STEM.safetensors`.
    pub(crate) fn read(stem: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let read = |extension: &str| {
            let path = folder.join(stem).with_extension(extension);
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let manifest: Manifest<A> = serde_json::from_slice(&read("json")).expect("the manifest is of this form");
        let file = read("safetensors");
        let file = SafeTensors::deserialize(&file).expect("the tensors are in order");
        let reference = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let shape = view.shape().iter().map(|&dim| i64::try_from(dim).expect("small")).collect();
            (name, Reference { dtype: view.dtype(), shape, data: view.data().to_vec() })
        };
        Self { cases: manifest.cases, tensors: file.tensors().into_iter().map(reference).collect() }
    }
}

/// A stored tensor.
pub(crate) struct Reference {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<i64>,
    pub(crate) data: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest<A> {
    #[serde(rename = "operation")]
    _operation: String,
    #[serde(rename = "made_with")]
    _made_with: BTreeMap<String, String>,
    cases: Vec<Case<A>>,
}

/// One call and its expected answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case<A> {
    pub(crate) name: String,
    pub(crate) arguments: A,
    /// Stored tensors by the request field they go to.
    pub(crate) tensors: BTreeMap<String, OneOrMany>,
    pub(crate) expect: Vec<Expectation>,
    /// The gRPC code, by its name, of a call that must be refused.
    pub(crate) status: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The expected value of one field of the answer.
#[derive(Deserialize)]
pub(crate) struct Expectation {
    pub(crate) field: String,
    /// `torch`: PyTorch's result in the dtype itself. Otherwise the float64 reference.
    pub(crate) from: Option<String>,
    #[serde(flatten)]
    pub(crate) expected: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Expected {
    Tensor {
        tensor: String,
        #[serde(flatten)]
        tolerance: Tolerance,
    },
    Number {
        value: Numbers,
        #[serde(default)]
        rtol: f64,
    },
}

/// How far an element may be off: by `ulp`, or by `atol` and `rtol` together. Without any of the three, the bytes must
/// be equal.
#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) struct Tolerance {
    /// In units in the last place.
    pub(crate) ulp: Option<u64>,
    /// Absolute; added to `rtol` times the expected element.
    pub(crate) atol: Option<f64>,
    pub(crate) rtol: Option<f64>,
    /// Whether -0.0 is another value than 0.0.
    #[serde(default)]
    pub(crate) signed_zeros: bool,
}

/// A double in protobuf's JSON, where infinities and NaN are strings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Double(pub(crate) f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Name(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Name(name) => name.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// A number or a list of numbers.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Numbers {
    One(Double),
    Many(Vec<Double>),
}

impl Numbers {
    pub(crate) fn to_vec(&self) -> Vec<f64> {
        match self {
            Self::One(number) => vec![number.0],
            Self::Many(numbers) => numbers.iter().map(|number| number.0).collect(),
        }
    }
}
