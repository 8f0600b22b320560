//! The command line as shells and `man` read it.

use std::io;

use clap::{Arg, Args, Command};
use clap_complete::Shell;

use crate::config::SERVE;

/// The flags of `evenkeel completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell that completes, such as `bash`.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsArgs {
    /// The script for the shell.
    pub fn script(self, program: Command) -> Vec<u8> {
        let mut script = Vec::new();
        let name = program.get_name().to_owned();
        clap_complete::generate(self.shell, &mut with_default_flags(program), name, &mut script);
        if self.shell == Shell::Bash { commands_first(&script) } else { script }
    }
}

/// The program with the flags of `serve`, its default command.
fn with_default_flags(mut program: Command) -> Command {
    let flags: Vec<Arg> = match program.find_subcommand_mut(SERVE) {
        Some(serve) => serve.get_arguments().cloned().collect(),
        None => Vec::new(),
    };
    program.args(flags)
}

/// Changes the script for bash so that it offers only commands for a first word that does not begin as a flag.
fn commands_first(script: &[u8]) -> Vec<u8> {
    const FIRST_WORD: &str = "            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then\n";
    const FLAG_OR_COMMAND: &str = "            if [[ ${cur} != -* && ${COMP_CWORD} -eq 1 ]] ; then
                opts=\"$(compgen -X '-*' -W \"${opts}\")\"
            fi
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then\n";
    String::from_utf8_lossy(script).replacen(FIRST_WORD, FLAG_OR_COMMAND, 1).into_bytes()
}

/// The flags of `evenkeel man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// The command that the page is about, such as `clip`. Default: the program.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl ManArgs {
    /// The page, for `man -l -`.
    ///
    /// # Errors
    /// clap's, if there is no such command.
    pub fn page(self, mut program: Command) -> Result<Vec<u8>, clap::Error> {
        program.build();
        let of = match self.command {
            Some(name) => match program.find_subcommand(&name) {
                Some(command) => command.clone(),
                None => {
                    let kind = clap::error::ErrorKind::InvalidSubcommand;
                    return Err(program.error(kind, format!("there is no command '{name}'")));
                }
            },
            None => program,
        };
        let mut page = Vec::new();
        let rendered: io::Result<()> = clap_mangen::Man::new(of).render(&mut page);
        rendered.expect("memory takes everything");
        Ok(page)
    }
}
