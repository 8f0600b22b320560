//! The command that serves.

use std::{error, fmt::Display, io, path::PathBuf, process::ExitCode, thread, time::Duration};

use super::{
    EXIT_USAGE,
    terminal::{fail, print},
};
use crate::{
    config::{Configs, Effective, ServeArgs, ServerConfig},
    descriptors,
    reload::Reload,
    server::{self, Server},
    shutdown::{self, Signals},
    telemetry::{self, Format, Level},
};

/// How long the end of the process waits for threads that look up a name, or do something else that blocks.
const BLOCKED: Duration = Duration::from_secs(1);

/// How many tasks a busy thread runs before it polls sockets and timers. The task of a connection that its client keeps
/// busy runs for a millisecond each time: with tokio's default of 61, a new connection and the end of a drain waited
/// too long.
const EVENT_INTERVAL: u32 = 16;

pub(super) fn serve(arguments: ServeArgs) -> ExitCode {
    let (effective, file) = (arguments.effective.clone(), arguments.config.clone());
    // A log of JSON has no line that is not JSON.
    let is_json = arguments.log_format == Format::Json;
    let Configs { mut server, serving_threads, telemetry } = match arguments.into_configs() {
        Ok(configs) => configs,
        Err(error) if is_json => return log_refusal(effective.explain(&error)),
        Err(error) => return fail(EXIT_USAGE, effective.explain(&error)),
    };
    let (level, lines) = telemetry.install();
    let max_connections = &mut server.connections.max_connections;
    *max_connections = descriptors::fit(*max_connections);
    let served = run(server, serving_threads, (file, effective, level));
    if let (Err(error), true) = (&served, is_json) {
        tracing::error!(%error, "the server has ended");
    }
    let log_is_read = lines.finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        // Standard error is not read any more, and writing the error to it might never end.
        Err(_) if !log_is_read => ExitCode::FAILURE,
        Err(error) => {
            // The content of a file that a setting names is a part of the configuration.
            let is_config = matches!(error.downcast_ref(), Some(server::Error::Config(_)));
            let code = if is_config { EXIT_USAGE } else { 1 };
            if is_json { ExitCode::from(code) } else { fail(code, error) }
        }
    }
}

/// Writes to a log of JSON why the server does not start.
pub(super) fn log_refusal(error: impl Display) -> ExitCode {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let (_, lines) = telemetry::Config::refusals().install();
    tracing::error!(error = text, "the server does not start");
    lines.finish();
    ExitCode::from(EXIT_USAGE)
}

/// Serves until a signal. The last argument is for [`Reload`], which reads the file again at SIGHUP.
fn run(
    config: ServerConfig,
    serving_threads: usize,
    (file, effective, level): (Option<PathBuf>, Effective, Level),
) -> Result<(), Box<dyn error::Error>> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if serving_threads > 0 {
        runtime.worker_threads(serving_threads);
    }
    let runtime = runtime.event_interval(EVENT_INTERVAL).enable_all().build()?;
    let time_to_end = shutdown::time_to_end(&config);
    let served = runtime.block_on(async {
        let signals = Signals::catch()?;
        if let Some(reload) = Reload::catch(file, effective, level)? {
            tokio::spawn(reload.run());
        }
        let server = Server::bind(config).await?;
        announce(format!("listening on {}", server.address()))?;
        Ok(server
            .serve(async move {
                signals.received().await;
                if let Err(error) = shutdown::end_within(time_to_end) {
                    tracing::warn!(%error, "the time to stop cannot be watched");
                }
            })
            .await?)
    });
    runtime.shutdown_timeout(BLOCKED);
    served
}

/// Prints a line on a thread of its own: the write blocks if standard output is not read.
fn announce(line: String) -> io::Result<()> {
    let print = move || {
        if let Err(error) = print(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "standard output cannot be told where the server listens");
        }
    };
    thread::Builder::new().name("announce".to_owned()).spawn(print).map(drop)
}
