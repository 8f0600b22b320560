//! The `evenkeel` binary.

use std::{
    env, error,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    panic,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::CommandFactory as _;
use evenkeel::{
    cli::{
        self, Answer, Cli, Command,
        doctor::{DoctorArgs, Examination},
        health::HealthArgs,
        interrupt::{Interrupts, Stage},
        load::LoadArgs,
        text,
    },
    config::{Configs, Effective, ServeArgs, ServerConfig},
    descriptors,
    reload::Reload,
    server::{self, Server},
    shutdown::{self, Signals},
    streams::Blocking,
    telemetry::{self, Format, Level},
};
use mimalloc::MiMalloc;
use tokio::sync::{oneshot, watch};

/// Frames of a request are as large as the client makes them, and come and go with each call. The system's allocator
/// gives such memory back to the system and takes it again, so that every call touches its pages for the first time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `EX_USAGE` of sysexits.h: the command line or the configuration is wrong.
const EXIT_USAGE: u8 = 64;
/// `EX_SOFTWARE` of sysexits.h: this program, on this machine, does not compute what it promises.
const EXIT_SOFTWARE: u8 = 70;
/// How long the end of a command on files waits for threads that still read or write.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match Cli::parse_or_serve(env::args_os()) {
        Ok(Cli { command }) => match command {
            Command::Serve(arguments) => serve(*arguments),
            Command::Config(arguments) => print_config(*arguments),
            Command::Doctor(arguments) => doctor(*arguments),
            Command::Health(arguments) => health(arguments),
            Command::Normalize(arguments) => on_files(|stage| arguments.run(stage)),
            Command::Dropout(arguments) => on_files(|stage| arguments.run(stage)),
            Command::Clip(arguments) => on_files(|stage| arguments.run(stage)),
            Command::Payload(arguments) => on_files(|stage| arguments.run(stage)),
            Command::Load(arguments) => load(*arguments),
            Command::Completions(arguments) => printed(print(&arguments.script(Cli::command()))),
            Command::Man(arguments) => match arguments.page(Cli::command()) {
                Ok(page) => printed(print(&page)),
                Err(answer) => explain(&answer),
            },
        },
        Err(Answer { answer, logs_json: true }) => log_refusal(answer),
        Err(Answer { answer, logs_json: false }) => explain(&answer),
    }
}

fn serve(arguments: ServeArgs) -> ExitCode {
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
fn log_refusal(error: impl Display) -> ExitCode {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let (_, lines) = telemetry::Config::refusals().install();
    tracing::error!(error = text, "the server does not start");
    lines.finish();
    ExitCode::from(EXIT_USAGE)
}

fn print_config(arguments: ServeArgs) -> ExitCode {
    let effective = arguments.effective.clone();
    if let Err(error) = arguments.into_configs() {
        return fail(EXIT_USAGE, effective.explain(&error));
    }
    printed(print(effective.to_string().as_bytes()))
}

fn doctor(arguments: DoctorArgs) -> ExitCode {
    match arguments.examine() {
        Ok(Examination { text, is_well }) => {
            let shown = printed(print(text.as_bytes()));
            if is_well { shown } else { ExitCode::from(EXIT_SOFTWARE) }
        }
        Err(error) => fail(if error.is_usage() { EXIT_USAGE } else { 1 }, error),
    }
}

/// How long the end of the process waits for threads that look up a name, or do something else that blocks.
const BLOCKED: Duration = Duration::from_secs(1);

/// How many tasks a busy thread runs before it polls sockets and timers. The task of a connection that its client keeps
/// busy runs for a millisecond each time: with tokio's default of 61, a new connection and the end of a drain waited
/// too long.
const EVENT_INTERVAL: u32 = 16;

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

fn health(arguments: HealthArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    let answer = runtime.block_on(arguments.run());
    // A thread that still looks up a name may never end.
    runtime.shutdown_background();
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_usage() => fail(EXIT_USAGE, error),
        Err(error) => fail(1, error),
    }
}

/// Runs a command on files, on a runtime of several threads: the command may run a server of its own beside its client.
fn on_files<C>(command: impl FnOnce(Stage) -> C) -> ExitCode
where
    C: Future<Output = Result<(), cli::Error>> + Send + 'static,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::catch()?;
        let stage = Stage::default();
        // The command is a task of its own, so that a signal is seen while the command blocks its thread.
        let mut command = tokio::spawn(command(stage.clone()));
        let ended = tokio::select! {
            result = &mut command => match result {
                Ok(result) => result.map_err(|error| (if error.is_usage() { EXIT_USAGE } else { 1 }, error.to_string())),
                Err(error) => panic::resume_unwind(error.into_panic()),
            },
            code = interrupts.received() => Err((code, format!("interrupted: {}", stage.interrupt()))),
        };
        // The command is dropped at its next await or when the runtime ends, and removes its unfinished files.
        command.abort();
        let Err((code, error)) = ended else { return Ok::<_, io::Error>(Ok(())) };
        // The write blocks if standard error is not read: then another signal ends the command.
        let (told, is_told) = oneshot::channel();
        thread::spawn(move || {
            let _ = told.send(fail(code, error));
        });
        Ok(tokio::select! {
            Ok(code) = is_told => Err(code),
            code = interrupts.received() => Err(ExitCode::from(code)),
        })
    });
    // A thread that waits for a pipe may wait for ever.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(code)) => code,
        Err(error) => fail(1, error),
    }
}

/// Makes the calls of a load. The first signal ends it, and its report is written; another one ends the process.
fn load(arguments: LoadArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::catch()?;
        let (stop, stopped) = watch::channel(false);
        let mut load = tokio::spawn(arguments.run(stopped));
        let mut signal = None;
        let result = loop {
            tokio::select! {
                result = &mut load => break result.unwrap_or_else(|error| panic::resume_unwind(error.into_panic())),
                code = interrupts.received() => match signal {
                    None => {
                        signal = Some(code);
                        stop.send_replace(true);
                    }
                    Some(_) => return Ok(ExitCode::from(code)),
                },
            }
        };
        Ok::<_, io::Error>(match (result, signal) {
            (Ok(()), None) => ExitCode::SUCCESS,
            (Ok(()), Some(code)) => ExitCode::from(code),
            (Err(error), None) => fail(if error.is_usage() { EXIT_USAGE } else { 1 }, error),
            (Err(error), Some(code)) => fail(code, error),
        })
    });
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    ended.unwrap_or_else(|error| fail(1, error))
}

/// Prints what clap answers: help and version on standard output, errors on standard error.
fn explain(answer: &clap::Error) -> ExitCode {
    // Only a terminal gets colours.
    let is_plain = !answer.use_stderr() && !io::stdout().is_terminal();
    let shown = if is_plain { print(answer.render().to_string().as_bytes()) } else { answer.print() };
    if answer.use_stderr() {
        // The code is the same where nothing can be printed.
        return ExitCode::from(EXIT_USAGE);
    }
    printed(shown)
}

/// Prints to standard output, also if that is non-blocking.
fn print(bytes: &[u8]) -> io::Result<()> {
    Blocking(io::stdout()).write_all(bytes)
}

/// The exit code after something was printed. A reader of standard output that has closed it has read enough.
fn printed(result: io::Result<()>) -> ExitCode {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(1, format_args!("standard output: {error}")),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn fail(code: u8, error: impl Display) -> ExitCode {
    // `eprintln` would panic where standard error is closed or full, and so change the exit code.
    let line = format!("evenkeel: {}\n", text::message(&error.to_string()));
    let _ = Blocking(io::stderr()).write_all(line.as_bytes());
    ExitCode::from(code)
}
