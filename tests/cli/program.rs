//! Runs the program in a folder of its own, and reads what it prints.

use std::{
    collections::HashMap,
    error::Error,
    fs, io,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{environment::without_environment, pipe::Pipe};

/// A folder that is gone when the test ends.
pub(crate) struct Folder(TempDir);

/// The exit code and the output of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The cells of the rows of a table, by the names of their columns.
pub(crate) type Rows = Vec<HashMap<String, String>>;

impl Folder {
    pub(crate) fn new() -> Result<Self, io::Error> {
        TempDir::new().map(Self)
    }

    /// A folder with copies of shipped files.
    pub(crate) fn with(shipped: &[&str]) -> Result<Self, io::Error> {
        let folder = Self::new()?;
        for name in shipped {
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name), folder.path(name))?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), io::Error> {
        fs::write(self.path(name), bytes)
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, io::Error> {
        fs::read(self.path(name)).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
    }

    /// The names of all files, sorted.
    pub(crate) fn list(&self) -> Result<Vec<String>, io::Error> {
        let names = fs::read_dir(self.0.path())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>, io::Error>>()?;
        names.sort();
        Ok(names)
    }

    /// The program, in this folder.
    pub(crate) fn command(&self) -> Command {
        self.of(env!("CARGO_BIN_EXE_evenkeel"))
    }

    /// Runs within the limits that a shell sets before, as in `ulimit -f 100`.
    pub(crate) fn within(&self, limits: &str, arguments: &str) -> Result<Run, io::Error> {
        let mut command = self.of("sh");
        command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_evenkeel")]);
        run(command.args(arguments.split_whitespace()))
    }

    fn of(&self, program: &str) -> Command {
        let mut command = without_environment(program);
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs with these arguments, separated by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Result<Run, io::Error> {
        self.run_with(&[], arguments)
    }

    /// The same, with these environment variables.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &str) -> Result<Run, io::Error> {
        let mut command = self.command();
        run(command.envs(variables.iter().copied()).args(arguments.split_whitespace()))
    }

    /// Runs a command that must succeed, and returns the table.
    #[track_caller]
    pub(crate) fn table(&self, arguments: &str) -> Result<Rows, io::Error> {
        self.run(arguments).map(|run| {
            run.succeeded();
            run.rows()
        })
    }
}

fn run(command: &mut Command) -> Result<Run, io::Error> {
    let Output { status, stdout, stderr } = command.output()?;
    let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
    Ok(Run { code: status.code(), stdout: text(stdout)?, stderr: text(stderr)? })
}

impl Run {
    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
    }

    /// Asserts that the run failed with this code, with one line on standard error that has all of these words, and
    /// with nothing on standard output.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        assert!(self.stderr.starts_with("evenkeel: ") && self.stderr.lines().count() == 1, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.stderr);
        }
    }

    /// Asserts that the command line was refused, with all of these words.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(64), ""), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.stderr);
        }
    }

    /// The lines below the table.
    pub(crate) fn footer(&self) -> Vec<&str> {
        self.stdout.lines().skip_while(|line| columns(line).len() > 1).collect()
    }

    pub(crate) fn rows(&self) -> Rows {
        let mut lines = self.stdout.lines().map(columns).take_while(|columns| columns.len() > 1);
        let header = lines.next().unwrap_or_default();
        lines
            .map(|cells| {
                assert_eq!(cells.len(), header.len(), "{}", self.stdout);
                header.iter().map(|&name| name.to_owned()).zip(cells.into_iter().map(str::to_owned)).collect()
            })
            .collect()
    }
}

/// Columns are two or more spaces apart.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// The number in a cell.
pub(crate) fn number(row: &HashMap<String, String>, column: &str) -> Result<f64, Box<dyn Error>> {
    let cell = row.get(column).ok_or_else(|| format!("there is no column {column}"))?;
    match cell.strip_suffix('%') {
        Some(percent) => Ok(percent.parse::<f64>()? / 100.0),
        None => Ok(cell.parse()?),
    }
}

/// A server process on a free port, stopped when the test ends.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) url: String,
}

impl ServerProcess {
    pub(crate) fn start(flags: &[&str]) -> Result<Self, Box<dyn Error>> {
        Self::start_at("127.0.0.1:0", flags)
    }

    pub(crate) fn start_at(listen: &str, flags: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child = without_environment(env!("CARGO_BIN_EXE_evenkeel"))
            .args(["serve", "--listen", listen, "--log-level", "off"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(Pipe(child.stdout.take().ok_or("stdout is piped")?)).read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("listening on ").ok_or_else(|| format!("'{line}' is no address"))?;
        let url = if address.starts_with("unix:") { address.to_owned() } else { format!("http://{address}") };
        Ok(Self { child, url })
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Errors are ignored: the process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
