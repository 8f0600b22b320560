//! The table of settings in the documentation, held to the flags.

use std::{env, fs, path::Path};

use clap::{Arg, ArgAction, CommandFactory as _};
use evenkeel::cli::Cli;

use crate::ROOT;

const FILE: &str = "docs/settings.md";
const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->\n";

#[test]
fn the_table_of_settings_is_what_the_flags_are() {
    let path = Path::new(ROOT).join(FILE);
    let text = fs::read_to_string(&path).expect("it is there");
    let (head, rest) = text.split_once(BEGIN).expect("the table begins");
    let (table, tail) = rest.split_once(END).expect("the table ends");
    let expected = table_of_settings();
    if env::var_os("EVENKEEL_WRITE_GENERATED").is_some() {
        fs::write(&path, [head, BEGIN, &expected, END, tail].concat()).expect("it can be written");
        return;
    }
    assert!(table == expected, "{FILE} is not what the flags are: `just settings` writes it again\n{expected}");
}

fn table_of_settings() -> String {
    let mut command = Cli::command();
    command.build();
    let serve = command.find_subcommand("serve").expect("it is a command");
    let mut table = "| flag | variable | default | |\n|---|---|---|---|\n".to_owned();
    let is_shown = |flag: &&Arg| !flag.is_hide_set() && flag.get_id() != "help";
    for flag in serve.get_arguments().filter(is_shown) {
        let name = flag.get_long().expect("a setting is a flag");
        let variable = flag.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = match defaults.join(",") {
            _ if matches!(flag.get_action(), ArgAction::SetTrue) => "`false`".to_owned(),
            default if default.is_empty() => String::new(),
            default => format!("`{default}`"),
        };
        let help = flag.get_long_help().or_else(|| flag.get_help()).map(ToString::to_string).unwrap_or_default();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        table.push_str(&format!("| `--{name}` | {variable} | {default} | {help} |\n"));
    }
    table
}
