//! How environment variables become values of flags: an empty variable counts as not set, a switch takes the usual
//! words for yes and no, and an error of a value names the variable that has it.

use std::{
    env,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgAction, Command,
    builder::{BoolishValueParser, Resettable},
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The same command, which reads its variables by these rules.
pub(super) fn read_by(command: Command) -> Command {
    let command = command.mut_args(|flag| {
        let flag = match value(&flag) {
            Some(value) if value.is_empty() => flag.env(Resettable::Reset),
            Some(_) | None => flag,
        };
        let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
        if is_switch { flag.value_parser(BoolishValueParser::new()) } else { flag }
    });
    command.mut_subcommands(read_by)
}

/// The value of a flag's variable, if it has one that is set.
pub(super) fn value(flag: &Arg) -> Option<OsString> {
    env::var_os(flag.get_env()?)
}

/// Names the variable in an error of its value. `command`: the one whose flags were parsed.
pub(super) fn explain(error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    let is_given = |flag: &Arg| {
        let long = flag.get_long().unwrap_or_default();
        let is_it = |argument: &OsString| {
            let text = argument.to_string_lossy();
            text.strip_prefix("--")
                .and_then(|text| text.strip_prefix(long))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        arguments.iter().any(is_it)
    };
    let from_variable = |flag: &&Arg| !is_given(flag) && value(flag).is_some_and(|value| !value.is_empty());
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    if error.kind() == ErrorKind::InvalidUtf8 {
        let is_not_text = |flag: &&Arg| value(flag).is_some_and(|value| value.to_str().is_none());
        let Some(name) = command.get_arguments().filter(from_variable).find(is_not_text).and_then(Arg::get_env) else {
            return error;
        };
        return clap::Error::raw(error.kind(), format!("the variable {}: {text}", name.display()));
    }
    let Some(ContextValue::String(invalid)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = command.get_arguments().filter(from_variable).find(|flag| flag.to_string() == *invalid);
    match flag.and_then(Arg::get_env).map(OsStr::to_string_lossy) {
        Some(name) => {
            let quoted = format!("'{invalid}'");
            clap::Error::raw(error.kind(), text.replacen(&quoted, &format!("{quoted} ({name})"), 1))
        }
        None => error,
    }
}
