//! What shells and `man` want to know of the command line.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

/// The flags of `evenkeel completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell that completes, such as `bash`.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsArgs {
    /// The script for the shell.
    pub fn script(self, mut program: Command) -> Vec<u8> {
        let mut script = Vec::new();
        let name = program.get_name().to_owned();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        script
    }
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
