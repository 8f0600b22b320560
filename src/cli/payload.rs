//! `evenkeel payload`: writes the request of a call to a file, for ghz, grpcurl, `buf curl` and `evenkeel load`.

mod call;
mod json;
mod options;
mod parameters;
mod read;
mod requests;
mod tensors;
mod values;
mod write;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) use self::{call::Call, options::Options, read::read, requests::Payload};
use super::{document, error::Error, interrupt::Stage, report::print, tasks::blocking, text};

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// protobuf's JSON; several messages are an array, as `ghz --data-file` takes them.
    Json,
    /// protobuf's JSON, a message in each line, as `grpcurl -d @` and `buf curl -d @-` take several.
    JsonLines,
    /// The message as it is on the wire; several, each behind its length (a varint), as `ghz --binary-file` takes them.
    Binary,
}

/// The flags of `evenkeel payload`.
#[derive(Args, Clone, Debug)]
pub struct PayloadArgs {
    /// The call, such as `Normalize` or `evenkeel.v1.TensorOpsService/Normalize`.
    #[arg(value_name = "CALL", value_parser = Call::parse)]
    call: Call,

    #[command(flatten)]
    options: Options,

    /// How it is written. Default: `binary` if the name of --output ends with .bin or .binpb, else `json`.
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// The file to write, which is replaced if it exists; `-` is standard output.
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,

    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

impl Format {
    fn of(path: &std::path::Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("bin" | "binpb") => Self::Binary,
            Some("jsonl" | "ndjson") => Self::JsonLines,
            Some(_) | None => Self::Json,
        }
    }
}

impl PayloadArgs {
    /// Makes the request, writes it and says so.
    ///
    /// # Errors
    /// [`Error`]; then nothing is written.
    pub async fn run(self, stage: Stage) -> Result<(), Error> {
        let Self { call, options, format, output, quiet } = self;
        let format = format.unwrap_or_else(|| Format::of(&output));
        let to = output.clone();
        let (written, described) = blocking(move || {
            let payload = Payload::new(call, &options, format)?;
            let written = document::write(&to, |to| write::write(&payload, format, to))?;
            Ok((written, payload.describe()))
        })
        .await?;
        let Some(document) = written else { return Ok(()) };
        stage.places().await;
        let bytes = document.place()?;
        stage.is_done();
        if quiet {
            return Ok(());
        }
        let line = format!("wrote {}: {}, {bytes} bytes\n", text::path(&output), described);
        print(line).await
    }
}
