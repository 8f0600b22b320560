//! Settings by flag, environment variable, file and default, in this order.
//!
//! The file's keys are the flags' own names, and its values become flags before the command line is parsed: a flag that is
//! added can be set in a file, is checked in one place, and is shown by `evenkeel config`, without further code.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind, parser::ValueSource};
use toml::Value;

use super::{
    environment,
    file::{self, File},
};

/// The flag that says how log lines look.
const LOG_FORMAT: &str = "log-format";
/// The flag that names the file.
const CONFIG: &str = "config";
/// The command whose flags the file sets.
pub(crate) const SERVE: &str = "serve";

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// This environment variable.
    Environment(String),
    /// The configuration file at this path.
    File(PathBuf),
    /// No source sets it.
    Default,
}

/// One setting.
#[derive(Clone, Debug)]
struct Setting {
    key: String,
    /// `None`: it has no value, nor a default.
    value: Option<Value>,
    source: Source,
    hidden: bool,
}

/// The settings in effect, and where each comes from; their text is a configuration file with the same
/// settings.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    settings: Vec<Setting>,
    /// The command whose flags checked the file; `None`: there is no file.
    command: Option<Command>,
}

/// Parses the arguments, the first of which is the program's name and the second the command's, after the file that they
/// name has been added to them.
pub(crate) fn parse(command: &Command, mut arguments: Vec<OsString>) -> Result<(ArgMatches, Effective), clap::Error> {
    // `command` itself keeps the variables of all flags, also those that are empty.
    let reading = environment::read_by(command.clone());
    let explain = |error| {
        // Flags have no text before the command is built.
        let mut built = command.clone();
        built.build();
        let of_command = arguments.get(1).and_then(|name| built.find_subcommand(name)).unwrap_or(&built);
        environment::explain(error, of_command, &arguments)
    };
    let given = reading.clone().try_get_matches_from(&arguments).map_err(explain)?;
    let Some((name, of_command)) = given.subcommand() else { return Ok((given, Effective::default())) };
    let (Some(serve), Some(flags)) = (command.find_subcommand(SERVE), command.find_subcommand(name)) else {
        return Ok((given, Effective::default()));
    };
    let path = of_command.try_get_one::<PathBuf>(CONFIG).ok().flatten();
    let Some(path) = path else {
        let effective = Effective::new(flags, of_command, of_command, None);
        return Ok((given, effective));
    };
    let refused = |error| usage(path, &error);
    let file = File::read(path).map_err(refused)?;
    let mut from_file = Vec::new();
    for (flag, values) in checked(&file, &reading, serve).map_err(refused)? {
        // A flag of another command with the same name may mean something else; then its variable is another one.
        let is_same = |other: &&Arg| other.get_long() == flag.get_long() && other.get_env() == flag.get_env();
        let Some(flag) = settings(flags).find(is_same) else { continue };
        if !is_given(of_command, flag) {
            from_file.extend(values.into_iter().map(OsString::from));
        }
    }
    arguments.extend(from_file);
    let all = reading.try_get_matches_from(&arguments)?;
    let effective = match all.subcommand() {
        Some((_, all)) => {
            Effective { command: Some(command.clone()), ..Effective::new(flags, of_command, all, Some((path, &file))) }
        }
        None => Effective::default(),
    };
    Ok((all, effective))
}

/// Whether a flag, a variable or the file asks `serve` to log JSON, even if other arguments are wrong.
pub(crate) fn logs_json(command: &Command, arguments: &[OsString]) -> bool {
    let Some(serve) = command.find_subcommand(SERVE).filter(|_| arguments.get(1).is_some_and(|name| name == SERVE))
    else {
        return false;
    };
    // The arguments are searched here, since clap stops at the first one that is wrong.
    let given = |key: &str| {
        let flag = OsString::from(format!("--{key}"));
        let joined = format!("--{key}=");
        let value = |(at, argument): (usize, &OsString)| {
            if *argument == flag {
                return arguments.get(at + 1).cloned();
            }
            argument.to_str()?.strip_prefix(&joined).map(OsString::from)
        };
        let variable = || serve.get_arguments().find(|flag| flag.get_long() == Some(key)).and_then(environment::value);
        arguments.iter().enumerate().find_map(value).or_else(variable).filter(|value| !value.is_empty())
    };
    let format = given(LOG_FORMAT).or_else(|| {
        let file = File::read(Path::new(&given(CONFIG)?)).ok()?;
        file.string(LOG_FORMAT).ok()?.map(OsString::from)
    });
    format.is_some_and(|format| format == "json")
}

/// The settings of a file, each with its flag and with the arguments that set it on a command line. `serve` is a
/// subcommand of `reading`.
///
/// # Errors
/// A key that is no setting, or a value that its flag does not take.
fn checked<'a>(file: &File, reading: &Command, serve: &'a Command) -> Result<Vec<(&'a Arg, Vec<String>)>, file::Error> {
    let check = |key| {
        let Some(flag) = settings(serve).find(|flag| flag.get_long() == Some(key)) else {
            // The likeliest mistake is a key that is written as the variable.
            let dashed = key.replace('_', "-").to_lowercase();
            let meant = settings(serve).filter_map(Arg::get_long).find(|known| *known == dashed);
            let known = meant.or(settings(serve).find_map(Arg::get_long)).unwrap_or_default();
            return Err(file.unknown(key, known));
        };
        let values = file.flags(key, flag)?;
        // Each key is checked by itself, so that an error can only be the file's, also where a flag overrides the
        // value.
        let alone = [OsString::from(reading.get_name()), SERVE.into()].into_iter().chain(values.iter().map(Into::into));
        match reading.clone().try_get_matches_from(alone) {
            Ok(_) => Ok((flag, values)),
            Err(error) => Err(file.refuse(key, reason(&error))),
        }
    };
    file.keys().map(check).collect()
}

/// The flags that a file can set.
fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|flag| flag.get_long().is_some() && !["help", CONFIG].contains(&flag.get_id().as_str()))
}

/// Whether the command line or the environment sets the flag.
fn is_given(matches: &ArgMatches, flag: &Arg) -> bool {
    matches!(matches.value_source(flag.get_id().as_str()), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// clap's error of a value, without its advice.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn usage(path: &Path, error: &file::Error) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{}\n", of_file(path, error)))
}

/// The error of a configuration file, with the variable if that names the file.
fn of_file(path: &Path, error: impl fmt::Display) -> String {
    const VARIABLE: &str = "EVENKEEL_CONFIG";
    if env::var_os(VARIABLE).is_some_and(|value| value == path) {
        format!("{VARIABLE}: {error}")
    } else {
        error.to_string()
    }
}

impl Effective {
    /// `given`: the values without those of the file; `all`: with those.
    fn new(command: &Command, given: &ArgMatches, all: &ArgMatches, file: Option<(&Path, &File)>) -> Self {
        let settings = settings(command).map(|flag| {
            let (id, key) = (flag.get_id().as_str(), flag.get_long().unwrap_or_default());
            let source = match (given.value_source(id), file) {
                (Some(ValueSource::CommandLine), _) => Source::Flag,
                (Some(ValueSource::EnvVariable), _) => {
                    Source::Environment(flag.get_env().unwrap_or_default().to_string_lossy().into_owned())
                }
                (_, Some((path, file))) if file.keys().any(|name| name == key) => Source::File(path.to_owned()),
                (_, _) => Source::Default,
            };
            Setting { key: key.to_owned(), value: value(flag, all), source, hidden: flag.is_hide_set() }
        });
        Self { settings: settings.collect(), command: None }
    }

    /// Where the value of a setting comes from, by its flag without the dashes.
    pub fn source(&self, key: &str) -> Source {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        setting.map_or(Source::Default, |setting| setting.source.clone())
    }

    /// Reads the text of a key from the file again; the default if the file does not set the key.
    ///
    /// # Errors
    /// If the file cannot be read, the key's value is no text, or the file would be refused at the start of the server.
    pub fn read_again(&self, path: &Path, key: &str, default: &str) -> Result<String, file::Error> {
        let file = File::read(path)?;
        let serve = self.command.as_ref().and_then(|command| Some((command, command.find_subcommand(SERVE)?)));
        if let Some((command, serve)) = serve {
            checked(&file, &environment::read_by(command.clone()), serve)?;
        }
        Ok(file.string(key)?.unwrap_or_else(|| default.to_owned()))
    }

    /// An error of a setting, with the file if its value is from there.
    pub fn explain(&self, error: &super::Error) -> String {
        match self.source(error.key) {
            Source::File(path) => of_file(&path, format_args!("{}: {error}", path.display())),
            Source::Flag | Source::Environment(_) | Source::Default => error.to_string(),
        }
    }
}

/// The value in TOML; read from a file, it becomes the same flag again.
fn value(flag: &Arg, matches: &ArgMatches) -> Option<Value> {
    let id = flag.get_id().as_str();
    // Also of a switch that has three states, and another text in a variable.
    if let Ok(Some(&whether)) = matches.try_get_one::<bool>(id) {
        return Some(Value::Boolean(whether));
    }
    let mut values = matches.get_raw(id)?.map(|raw| {
        let text = raw.to_string_lossy().into_owned();
        match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Value::Integer(number),
            Ok(_) | Err(_) => Value::String(text),
        }
    });
    if matches!(flag.get_action(), ArgAction::Append) { Some(Value::Array(values.collect())) } else { values.next() }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# The settings in effect, and where each comes from.")?;
        let shown = |setting: &&Setting| !setting.hidden || setting.source != Source::Default;
        for Setting { key, value, source, hidden: _ } in self.settings.iter().filter(shown) {
            match value {
                Some(value) => writeln!(f, "{key} = {value} # {source}")?,
                None => writeln!(f, "# {key} is not set")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path) => write!(f, "file {path:?}"),
            Self::Default => f.write_str("default"),
        }
    }
}
