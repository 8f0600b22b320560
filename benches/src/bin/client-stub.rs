//! The Rust client beside tonic's generated client with prost's tensors and the shortest correct code of a user, in turns: layer
//! normalization of rows of 1024 float32, from array to array. Prints a line of JSON for each size; `ratio` is the time of
//! the stub by that of the client.
//!
//! `EVENKEEL_ADDRESS` names the server, which must take messages of more than 64 MiB; `clients/bench.sh` starts one.
//! `EVENKEEL_BENCH_SCALE` is a factor for the number of rounds, such as 0.1.

use std::{env, error::Error, io::Write, time::Instant};

use bytes::Bytes;
use evenkeel_client::{Client, NormKind, ndarray::Array2};
use evenkeel_proto::v1::{
    DataType, NormKind as WireKind, NormalizeRequest, Tensor, tensor_ops_service_client::TensorOpsServiceClient,
};
use serde_json::json;
use tonic::transport::Channel;

const ROW: usize = 1024;
const SIZES: [usize; 4] = [4 << 10, 256 << 10, 4 << 20, 64 << 20];
/// The largest message, in bytes, that client and stub take: a tensor of the largest size and its shape fit.
const MOST: usize = 128 << 20;
/// What is moved for a size, within the bounds on rounds.
const BYTES: usize = 512 << 20;

type Stub = TensorOpsServiceClient<Channel>;

async fn by_client(client: &Client, x: &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>> {
    Ok(client.normalize(x).kind(NormKind::Layer).send().await?.output)
}

async fn by_stub(stub: &mut Stub, x: &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>> {
    let elements = x.as_slice().ok_or("the array is in row-major order")?;
    let input = Tensor {
        dtype: DataType::Float32.into(),
        shape: x.shape().iter().map(|&dim| dim as i64).collect(),
        data: Bytes::copy_from_slice(bytemuck::cast_slice(elements)),
        ..Tensor::default()
    };
    let request = NormalizeRequest { kind: WireKind::Layer.into(), input: Some(input), ..NormalizeRequest::default() };
    let output = stub.normalize(request).await?.into_inner().output.ok_or("an output")?;
    // The bytes of a message lie anywhere, so that an array of them is a copy.
    Ok(Array2::from_shape_vec(x.dim(), bytemuck::pod_collect_to_vec(&output.data))?)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

async fn compare(client: &Client, stub: &mut Stub, bytes: usize, scale: f64) -> Result<(), Box<dyn Error>> {
    let x = Array2::from_shape_fn((bytes / 4 / ROW, ROW), |(i, j)| ((31 * i + 7 * j) % 997) as f32 - 500.0);
    if by_client(client, &x).await? != by_stub(stub, &x).await? {
        return Err("client and stub differ".into());
    }
    let rounds = (scale * (BYTES / bytes).clamp(9, 300) as f64).max(1.0) as usize;
    let (mut of_client, mut of_stub) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        by_client(client, &x).await?;
        of_client.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        by_stub(stub, &x).await?;
        of_stub.push(began.elapsed().as_secs_f64());
    }
    let (client, stub) = (median(of_client), median(of_stub));
    let line = json!({"bytes": bytes, "client_seconds": client, "stub_seconds": stub, "ratio": stub / client});
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = format!("http://{}", env::var("EVENKEEL_ADDRESS").map_err(|_| "EVENKEEL_ADDRESS names no server")?);
    let scale = env::var("EVENKEEL_BENCH_SCALE").map_or(Ok(1.0), |scale| scale.parse())?;
    let client = Client::builder().max_message_bytes(MOST).connect(url.clone()).await?;
    let mut stub = TensorOpsServiceClient::connect(url).await?.max_decoding_message_size(MOST);
    for bytes in SIZES {
        compare(&client, &mut stub, bytes, scale).await?;
    }
    Ok(())
}
