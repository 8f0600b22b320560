//! Drops elements of a file of raw float32 that may be larger than memory: they are sent while they are read, and the result
//! is written while it arrives. Without names of files it makes a file to try it with.
//!
//! ```text
//! cargo run --example stream_file -p evenkeel-client [URL [INPUT OUTPUT]]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, path::Path};

use evenkeel_client::{Client, DType, TensorReader};
use tokio::fs::{self, File};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;
    if let Some((input, output)) = arguments.next().zip(arguments.next()) {
        return thin(&client, input.as_ref(), output.as_ref()).await;
    }
    let folder = env::temp_dir().join(format!("evenkeel-stream-file-{}", std::process::id()));
    fs::create_dir(&folder).await?;
    let (input, output) = (folder.join("input"), folder.join("output"));
    fs::write(&input, 1.0_f32.to_le_bytes().repeat(1_000_003)).await?;
    let result = thin(&client, &input, &output).await;
    fs::remove_dir_all(&folder).await?;
    result
}

async fn thin(client: &Client, input: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    let file = File::open(input).await?;
    let elements = usize::try_from(file.metadata().await?.len())? / DType::F32.size();
    let tensor = TensorReader::new(DType::F32, [elements], file);
    let dropped = client.dropout_stream(tensor, 0.5, 42).send(File::create(output).await?).await?;
    println!("{} of {elements} elements kept", dropped.kept);
    Ok(())
}
