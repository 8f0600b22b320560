//! Clips gradients in files of raw float32, which may be larger than memory, by the norm over all of them: they are read to be
//! measured, and read again to be clipped. The results go to files beside them. Without names it makes files to try it with.
//!
//! ```text
//! cargo run --example clip_files -p evenkeel-client [URL [GRADIENT ...]]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, path::PathBuf};

use evenkeel_client::{Client, DType, TensorSource};
use tokio::fs::{self, File};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;
    let files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if !files.is_empty() {
        return clip(&client, &files).await;
    }
    let folder = env::temp_dir().join(format!("evenkeel-clip-files-{}", std::process::id()));
    fs::create_dir(&folder).await?;
    let files = [folder.join("weight"), folder.join("bias")];
    fs::write(&files[0], 3.0_f32.to_le_bytes().repeat(1_000_000)).await?;
    fs::write(&files[1], 4.0_f32.to_le_bytes().repeat(1_000_000)).await?;
    let result = clip(&client, &files).await;
    fs::remove_dir_all(&folder).await?;
    result
}

async fn clip(client: &Client, files: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut gradients = Vec::new();
    for path in files {
        let elements = usize::try_from(fs::metadata(path).await?.len())? / DType::F32.size();
        gradients.push((path.to_string_lossy(), TensorSource::new(DType::F32, [elements], move || File::open(path))));
    }
    let create = |index: usize| File::create(files[index].with_extension("clipped"));
    let call = client.clip_gradients_stream(gradients).by_norm(1.0);
    let clipped = call.send_each_in_two_passes(create).await?;
    println!("the norm was {}, and every element was multiplied by {}", clipped.total_norm, clipped.scale);
    Ok(())
}
