//! The command line.

mod arguments;
pub mod clip;
pub mod doctor;
mod document;
pub mod dropout;
mod error;
mod files;
pub mod health;
mod inputs;
pub mod interrupt;
pub mod load;
pub mod normalize;
mod opened;
mod outputs;
pub mod pages;
pub mod payload;
mod pieces;
mod progress;
mod report;
mod run;
pub mod security;
mod session;
mod summary;
mod table;
mod tasks;
pub mod text;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use error::Error;
#[doc(hidden)]
pub use files::{count_npy, count_safetensors};

use crate::config::{ServeArgs, layers};

/// The training-stability operations of deep learning as a gRPC service.
#[derive(Debug, Parser)]
#[command(
    name = "evenkeel",
    version,
    after_help = "Without a command, evenkeel serves: `evenkeel --listen ADDR` is `evenkeel serve --listen ADDR`."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve gRPC until SIGTERM or SIGINT (the default command).
    Serve(Box<ServeArgs>),
    /// Print the settings that `serve` would have, as a configuration file, and where each comes from.
    Config(Box<ServeArgs>),
    /// Tell what this machine gives to a server, and compare every operation's bits with those of every machine; exits with
    /// 70 if some differ.
    Doctor(Box<doctor::DoctorArgs>),
    /// Ask a server whether it serves; exits with 0 if it does.
    Health(health::HealthArgs),
    /// Normalize the tensors of a .npy or .safetensors file.
    Normalize(Box<normalize::NormalizeArgs>),
    /// Drop elements of the tensors of a .npy or .safetensors file.
    Dropout(dropout::DropoutArgs),
    /// Clip the gradients in a .npy or .safetensors file, all together.
    Clip(clip::ClipArgs),
    /// Write the request of a call to a file, for ghz, grpcurl, `buf curl` and `evenkeel load`.
    Payload(payload::PayloadArgs),
    /// Make a call again and again, and report how long it takes.
    Load(Box<load::LoadArgs>),
    /// Print a script that completes the command line, for a shell.
    Completions(pages::CompletionsArgs),
    /// Print a page for `man`.
    Man(pages::ManArgs),
}

/// The reason why the command line was refused, or the answer to `--help` or `--version`.
#[derive(Debug)]
pub struct Answer {
    /// clap's message.
    pub answer: clap::Error,
    /// Whether the message is to be a line of a JSON log.
    pub logs_json: bool,
}

impl Cli {
    /// Parses the arguments, the first of which is the program's name; without a command, `serve` is meant.
    ///
    /// The default command is put in before parsing rather than flattening the flags of `serve` into the top level:
    /// there they would be read from the environment for every command, and a bad `EVENKEEL_LISTEN` would break
    /// `evenkeel clip`.
    ///
    /// # Errors
    /// clap's errors, which include the answers to `--help` and `--version`.
    pub fn parse_or_serve(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Answer> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let top_level = ["-h", "--help", "-V", "--version"];
        let serves = match arguments.get(1) {
            Some(first) => {
                first.as_encoded_bytes().starts_with(b"-") && !top_level.iter().any(|flag| first.as_os_str() == *flag)
            }
            None => true,
        };
        if serves {
            arguments.insert(1.min(arguments.len()), "serve".into());
        }
        let definition = Self::definition();
        Self::parse(&definition, arguments.clone()).map_err(|answer| {
            let logs_json = answer.use_stderr() && layers::logs_json(&definition, &arguments);
            Answer { answer, logs_json }
        })
    }

    /// The commands and flags. A number below zero after a flag is the flag's value, which it refuses by its own name, and not
    /// another flag.
    fn definition() -> clap::Command {
        let takes_negative = |arg: clap::Arg| {
            let takes = arg.get_action().takes_values() && !arg.is_positional();
            if takes { arg.allow_negative_numbers(true) } else { arg }
        };
        Self::command().mut_subcommands(|command| command.mut_args(takes_negative))
    }

    fn parse(definition: &clap::Command, arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let (matches, effective) = layers::parse(definition, arguments)?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut Self::command()))?;
        match &mut cli.command {
            Command::Serve(arguments) | Command::Config(arguments) => arguments.effective = effective,
            Command::Doctor(arguments) => arguments.serve.effective = effective,
            Command::Health(_)
            | Command::Normalize(_)
            | Command::Dropout(_)
            | Command::Clip(_)
            | Command::Payload(_)
            | Command::Load(_)
            | Command::Completions(_)
            | Command::Man(_) => {}
        }
        Ok(cli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_MAX_MESSAGE_BYTES;

    fn parse(arguments: &[&str]) -> Result<ServeArgs, clap::Error> {
        let arguments = ["evenkeel"].iter().chain(arguments).map(OsString::from);
        Cli::parse_or_serve(arguments).map_err(|Answer { answer, .. }| answer).map(|Cli { command }| match command {
            Command::Serve(arguments) => *arguments,
            other @ (Command::Config(_)
            | Command::Doctor(_)
            | Command::Health(_)
            | Command::Normalize(_)
            | Command::Dropout(_)
            | Command::Clip(_)
            | Command::Payload(_)
            | Command::Load(_)
            | Command::Completions(_)
            | Command::Man(_)) => {
                panic!("not `serve`: {other:?}")
            }
        })
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::definition().debug_assert();
    }

    #[test]
    fn a_number_below_zero_is_refused_by_the_flag_before_it() {
        use clap::error::ErrorKind::{UnknownArgument, ValueValidation};
        let refused = |arguments: &[&str]| {
            let arguments = ["evenkeel"].iter().chain(arguments).map(OsString::from);
            Cli::parse_or_serve(arguments).expect_err("no flag takes it").answer
        };
        for flag in [
            &["--max-connections", "-1"][..],
            &["dropout", "x.npy", "--seed", "-1"],
            &["normalize", "x.npy", "--groups", "-2"],
            &["load", "-c", "-1"],
        ] {
            let error = refused(flag);
            assert_eq!(error.kind(), ValueValidation, "{flag:?}: {error}");
            assert!(error.to_string().contains(flag[flag.len() - 2]), "{flag:?}: {error}");
        }
        assert_eq!(refused(&["clip", "-1"]).kind(), UnknownArgument, "it follows no flag");
    }

    #[test]
    fn serve_is_the_default_command() {
        for arguments in [&["--listen", "127.0.0.1:0"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let serve = parse(arguments).expect("the flags are right");
            assert_eq!(serve.listen.to_string(), "127.0.0.1:0");
            assert_eq!(serve.max_message_bytes, DEFAULT_MAX_MESSAGE_BYTES);
        }
        parse(&[]).expect("every flag has a default");
    }

    #[test]
    fn help_and_version_are_the_programs_own() {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
        for (flag, kind) in [("--help", DisplayHelp), ("-h", DisplayHelp), ("--version", DisplayVersion)] {
            assert_eq!(parse(&[flag]).expect_err(flag).kind(), kind, "{flag}");
        }
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        let cli = Cli::command();
        let serve = cli.find_subcommand("serve").expect("there is a command serve");
        let flags: Vec<_> = serve.get_arguments().filter(|flag| flag.get_id() != "help").collect();
        assert!(flags.len() >= 25);
        for flag in flags {
            let name = flag.get_long().expect("flags are long");
            let variable = format!("EVENKEEL_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{name}");
        }
    }

    /// A container's environment has the server's variables: they must not set flags that are meant for a client.
    #[test]
    fn flags_towards_a_server_have_variables_of_their_own() {
        let cli = Cli::command();
        for command in ["health", "normalize", "dropout", "clip"] {
            let command = cli.find_subcommand(command).expect("there is such a command");
            let flags = command.get_arguments().filter(|flag| flag.get_help_heading() == Some(security::HEADING));
            let mut count = 0;
            for flag in flags {
                let name = flag.get_long().expect("flags are long");
                let variable = format!("EVENKEEL_CLIENT_{}", name.replace('-', "_").to_uppercase());
                assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{name}");
                count += 1;
            }
            assert_eq!(count, 6, "{command}");
        }
    }
}
