//! The program: what the binary does, and its exit codes.

mod commands;
mod serve;
mod terminal;

use std::{env, process::ExitCode};

use clap::CommandFactory as _;

use self::terminal::{explain, print, printed};
use crate::cli::{Answer, Cli, Command};

/// `EX_USAGE` of sysexits.h: the command line or the configuration is wrong.
const EXIT_USAGE: u8 = 64;
/// `EX_SOFTWARE` of sysexits.h: this program, on this machine, does not compute what it promises.
const EXIT_SOFTWARE: u8 = 70;

/// Does what the process's arguments say, and returns the exit code.
pub fn run_program() -> ExitCode {
    match Cli::parse_or_serve(env::args_os()) {
        Ok(Cli { command }) => match command {
            Command::Serve(arguments) => serve::serve(*arguments),
            Command::Config(arguments) => commands::print_config(*arguments),
            Command::Doctor(arguments) => commands::doctor(*arguments),
            Command::Health(arguments) => commands::health(arguments),
            Command::Normalize(arguments) => commands::on_files(|stage| arguments.run(stage)),
            Command::Dropout(arguments) => commands::on_files(|stage| arguments.run(stage)),
            Command::Clip(arguments) => commands::on_files(|stage| arguments.run(stage)),
            Command::Payload(arguments) => commands::on_files(|stage| arguments.run(stage)),
            Command::Load(arguments) => commands::load(*arguments),
            Command::Completions(arguments) => printed(print(&arguments.script(Cli::command()))),
            Command::Man(arguments) => match arguments.page(Cli::command()) {
                Ok(page) => printed(print(&page)),
                Err(answer) => explain(&answer),
            },
        },
        Err(Answer { answer, logs_json: true }) => serve::log_refusal(answer),
        Err(Answer { answer, logs_json: false }) => explain(&answer),
    }
}
