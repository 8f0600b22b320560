//! The flags that the commands on files have in common, and what they lead to.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use evenkeel_client::Client;

use super::{
    error::Error,
    files::{self, Contents, Target},
    security::SecurityArgs,
};
use crate::{
    config::{DEFAULT_MAX_MESSAGE_BYTES, MAX_MAX_MESSAGE_BYTES, ServerConfig},
    server::Running,
};

/// What is read and written.
#[derive(Args, Clone, Debug)]
pub(super) struct FileArgs {
    /// The tensors: a .npy file (float16, float32, float64; C or Fortran order) or a .safetensors file (also bfloat16).
    #[arg(value_name = "INPUT")]
    pub(super) input: PathBuf,

    /// The result, .npy or .safetensors; a file that is there is replaced. Default: INPUT with the operation in front
    /// of its extension, such as digits.layer.npy, which must not be there yet. INPUT itself is never overwritten.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite the result if `--output` is not given.
    #[arg(long)]
    force: bool,

    /// Take only this tensor of a .safetensors file, and write only it; may be given several times. Default: all.
    #[arg(long, value_name = "NAME")]
    tensor: Vec<String>,
}

impl FileArgs {
    /// Reads the tensors, and finds out where the result may go.
    pub(super) fn open(&self, operation: &str) -> Result<(Contents, Target), Error> {
        let Self { input, output, force, tensor: only } = self;
        if let Some(twice) = only.iter().enumerate().find_map(|(at, name)| only[..at].contains(name).then_some(name)) {
            return Err(Error::usage("--tensor", format!("'{twice}' is given twice")));
        }
        let target = match output {
            Some(path) => Target::named("--output", path)?,
            None => Target::beside(input, operation, *force)?,
        };
        target.keep_off([input.as_path()])?;
        let contents = files::read("INPUT", input, only)?;
        target.expect(&contents)?;
        Ok((contents, target))
    }
}

/// Who computes.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// The server, such as `http://127.0.0.1:50051`. Default: one that the command starts inside itself, for as long
    /// as it runs.
    #[arg(long, value_name = "URL", env = "EVENKEEL_SERVER")]
    server: Option<String>,

    /// How long each call may take, such as `30s`. Default: for ever.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<humantime::Duration>,

    /// What the server of `--server` wants; the command's own has neither TLS nor tokens.
    #[command(flatten)]
    security: SecurityArgs,
}

/// A client, and the server behind it if it is the command's own.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    own: Option<Running>,
}

impl ServerArgs {
    /// Connects. `bytes`: the length of all files that are read.
    pub(super) async fn connect(&self, bytes: usize) -> Result<Session, Error> {
        let Self { server, timeout, security } = self;
        let max_message_bytes = message_limit(bytes);
        let mut builder = Client::builder().max_message_bytes(max_message_bytes);
        let (own, url) = match server {
            Some(url) => {
                builder = security.apply(builder)?;
                (None, security.url(url))
            }
            None => {
                let own = Running::start(ServerConfig { max_message_bytes, ..ServerConfig::on_free_port() }).await?;
                let url = own.url();
                (Some(own), url)
            }
        };
        if let Some(timeout) = timeout {
            builder = builder.timeout(Duration::from(*timeout));
        }
        let client = builder.connect(url).await.map_err(|error| Error::of_connection(security.explain(error)))?;
        Ok(Session { client, own })
    }
}

impl Session {
    /// Hangs up, and stops a server of the command's own.
    pub(super) async fn close(self) -> Result<(), Error> {
        let Self { client, own } = self;
        drop(client);
        match own {
            Some(own) => Ok(own.shutdown_and_wait().await?),
            None => Ok(()),
        }
    }
}

/// The largest message that files of so many bytes can lead to: their tensors, names and shapes, and the statistics
/// of each element of a float16 tensor in two float32. Never less than the default, for the descriptions of errors.
fn message_limit(bytes: usize) -> usize {
    const TIMES: usize = 6;
    bytes.saturating_mul(TIMES).clamp(DEFAULT_MAX_MESSAGE_BYTES, MAX_MAX_MESSAGE_BYTES)
}
