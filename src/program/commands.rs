//! The commands beside `serve`: their runtimes, and their exit codes.

use std::{io, panic, process::ExitCode, thread, time::Duration};

use tokio::sync::{oneshot, watch};

use super::{
    EXIT_SOFTWARE, EXIT_USAGE,
    terminal::{fail, print, printed},
};
use crate::{
    cli::{
        self,
        doctor::{DoctorArgs, Examination},
        health::HealthArgs,
        interrupt::{Interrupts, Stage},
        load::LoadArgs,
    },
    config::ServeArgs,
};

/// How long the end of a command on files waits for threads that still read or write.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn print_config(arguments: ServeArgs) -> ExitCode {
    let effective = arguments.effective.clone();
    if let Err(error) = arguments.into_configs() {
        return fail(EXIT_USAGE, effective.explain(&error));
    }
    printed(print(effective.to_string().as_bytes()))
}

pub(super) fn doctor(arguments: DoctorArgs) -> ExitCode {
    match arguments.examine() {
        Ok(Examination { text, is_well }) => {
            let shown = printed(print(text.as_bytes()));
            if is_well { shown } else { ExitCode::from(EXIT_SOFTWARE) }
        }
        Err(error) => fail(if error.is_usage() { EXIT_USAGE } else { 1 }, error),
    }
}

pub(super) fn health(arguments: HealthArgs) -> ExitCode {
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
pub(super) fn on_files<C>(command: impl FnOnce(Stage) -> C) -> ExitCode
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
        let text = error.clone();
        let tell = thread::Builder::new().name("tell".to_owned()).spawn(move || {
            let _ = told.send(fail(code, text));
        });
        if tell.is_err() {
            // The system gives no thread, which may be the error itself.
            return Ok(Err(fail(code, error)));
        }
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
pub(super) fn load(arguments: LoadArgs) -> ExitCode {
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
