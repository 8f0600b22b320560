//! Compares the answers of a real server with those of PyTorch and NumPy. README.md says where the vectors come from.

mod calls;
mod compare;
mod manifest;
mod merged;

use evenkeel::{config::ServerConfig, server::Running};
use serde::de::DeserializeOwned;

use crate::{
    calls::{Answer, Call, Client, ClipArguments, DropoutArguments, NormalizeArguments, Stored, data_type},
    manifest::{Case, Expectation, Expected, Tolerance, Vectors},
    merged::Merged,
};

#[tokio::test]
async fn normalize() {
    check::<NormalizeArguments>("normalize", Size { cases: 729, expectations: 3328 }).await;
}

#[tokio::test]
async fn normalize_backward() {
    check::<NormalizeArguments>("normalize_backward", Size { cases: 701, expectations: 2193 }).await;
}

/// Against `SyncBatchNorm`, which is batch normalization of all samples.
#[tokio::test]
async fn normalize_samples_by_merged_statistics() {
    check::<Merged>("normalize", Size { cases: 106, expectations: 645 }).await;
}

#[tokio::test]
async fn normalize_samples_by_merged_statistics_backward() {
    check::<Merged>("normalize_backward", Size { cases: 90, expectations: 137 }).await;
}

#[tokio::test]
async fn dropout() {
    check::<DropoutArguments>("dropout", Size { cases: 258, expectations: 774 }).await;
}

#[tokio::test]
async fn dropout_backward() {
    check::<DropoutArguments>("dropout_backward", Size { cases: 131, expectations: 131 }).await;
}

#[tokio::test]
async fn clip_gradients() {
    check::<ClipArguments>("clip_gradients", Size { cases: 290, expectations: 1879 }).await;
}

/// The size of a manifest. It is repeated here so that lost vectors are a failure; new vectors change it here and in
/// README.md.
#[derive(Debug, PartialEq)]
struct Size {
    cases: usize,
    expectations: usize,
}

/// Sends every case of a manifest and reports all that fail.
async fn check<A: Call + DeserializeOwned>(stem: &str, size: Size) {
    let Vectors { mut cases, tensors } = Vectors::<A>::read(stem);
    cases.retain(|case| A::covers(case, &tensors));
    for case in &mut cases {
        case.expect.retain(|expectation| A::expects(&expectation.field));
    }
    let expectations = cases.iter().map(|case| case.expect.len()).sum();
    assert_eq!(
        Size { cases: cases.len(), expectations },
        size,
        "{stem}.json has other vectors than this test knows of"
    );
    for case in &cases {
        assert!(case.status.is_some() || !case.expect.is_empty(), "{}: nothing is expected", case.name);
    }
    let server = Running::start(ServerConfig::on_free_port()).await.expect("the server starts");
    let mut client = Client::connect(server.url()).await.expect("the server accepts");
    let mut failures = Vec::new();
    for case in &cases {
        let answer = A::call(case, &tensors, &mut client).await;
        failures.extend(judge(case, &tensors, answer).into_iter().map(|what| format!("{}: {what}", case.name)));
    }
    server.shutdown_and_wait().await.expect("the server stops");
    assert!(failures.is_empty(), "{} failures in {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Everything that is wrong with an answer.
fn judge<A>(case: &Case<A>, stored: &Stored, answer: Result<Answer, tonic::Status>) -> Vec<String> {
    let answer = match (answer, case.status.as_deref()) {
        (Ok(answer), None) => answer,
        (Ok(_), Some(code)) => return vec![format!("answered, but must fail with {code}")],
        (Err(status), Some("FAILED_PRECONDITION")) if status.code() == tonic::Code::FailedPrecondition => {
            return Vec::new();
        }
        (Err(status), _) => return vec![format!("refused: {status}")],
    };
    let wrong = case.expect.iter().filter_map(|expectation| {
        let from = expectation.from.as_deref().unwrap_or("reference");
        let what = meets(expectation, stored, &answer).err()?;
        Some(format!("{} ({from}): {what}", expectation.field))
    });
    let unexpected = answer
        .tensors
        .keys()
        .filter(|field| !case.expect.iter().any(|expectation| expectation.field == **field))
        .map(|field| format!("{field}: answered, but not expected"));
    wrong.chain(unexpected).collect()
}

fn meets(expectation: &Expectation, stored: &Stored, answer: &Answer) -> Result<(), String> {
    let field = expectation.field.as_str();
    match &expectation.expected {
        Expected::Number { value, rtol } => {
            let (got, expected) = (answer.numbers.get(field).ok_or("missing")?, value.to_vec());
            let same =
                got.len() == expected.len() && got.iter().zip(&expected).all(|(&a, &b)| compare::close(a, b, *rtol));
            same.then_some(()).ok_or_else(|| format!("is {got:?} and not {expected:?}, with rtol {rtol:e}"))
        }
        Expected::Tensor { tensor, tolerance } => tensor_meets(field, &stored[tensor], *tolerance, answer),
    }
}

fn tensor_meets(
    field: &str,
    expected: &manifest::Reference,
    tolerance: Tolerance,
    answer: &Answer,
) -> Result<(), String> {
    let data = match data_type(expected.dtype) {
        Some(dtype) => {
            let got = answer.tensors.get(field).ok_or("missing")?;
            if got.dtype() != dtype || got.shape != expected.shape {
                return Err(format!("is {:?} {:?} and not {dtype:?} {:?}", got.dtype(), got.shape, expected.shape));
            }
            &got.data
        }
        None => answer.bytes.get(field).ok_or("missing")?,
    };
    if data.len() != expected.data.len() {
        return Err(format!("has {} bytes and not {}", data.len(), expected.data.len()));
    }
    compare::compare(expected.dtype, data, &expected.data, tolerance).map_err(|mismatch| mismatch.to_string())
}
