//! A server for the tests of a program that uses evenkeel. Needs the feature `testing`.
//!
//! ```no_run
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! use evenkeel_client::{Client, testing::TestServer};
//!
//! let server = TestServer::start()?;
//! let client = Client::connect(server.url()).await?;
//! # Ok(())
//! # }
//! ```

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// The environment variable with the path of the server's program.
pub const BINARY_VARIABLE: &str = "EVENKEEL_BINARY";

/// The time in which a server must listen. A busy machine needs seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time in which the output of a process that has ended must end. Processes that it has left behind may keep its pipes open.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LISTENING: &str = "listening on ";

/// A server in a process of its own, on a free port of this machine.
///
/// The process is killed when the value is dropped, also while a test panics. It outlives a test that is killed or aborts.
#[derive(Debug)]
pub struct TestServer {
    process: Process,
    address: String,
}

/// The settings of a [`TestServer`], from [`TestServer::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing starts without `start()`"]
pub struct TestServerBuilder {
    binary: Option<PathBuf>,
    flags: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

/// The reason for which a [`TestServer`] has not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program cannot be started: most likely there is none of this name.
    #[error("cannot start {}: {source}; set {BINARY_VARIABLE} to the server's path, or have evenkeel on the PATH", binary.display())]
    Spawn {
        /// The program.
        binary: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The program has ended, or has not said within 30 seconds where it listens.
    #[error("{} does not listen: {output}", binary.display())]
    DoesNotListen {
        /// The program.
        binary: PathBuf,
        /// The first line of its standard output and all of its standard error.
        output: String,
    },
}

impl TestServer {
    /// Starts the program that the variable `EVENKEEL_BINARY` names, or else `evenkeel` on the `PATH`, with default settings.
    /// Blocks the thread until the server listens, at most 30 seconds.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// The settings of a server.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// The URL for [`Client::connect`](crate::Client::connect): `http://127.0.0.1:PORT`, or `unix:PATH`. A server that was given a
    /// certificate is at `https://` and the [`address`](Self::address).
    pub fn url(&self) -> String {
        if self.address.starts_with("unix:") { self.address.clone() } else { format!("http://{}", self.address) }
    }

    /// The address, as the server prints it: `127.0.0.1:PORT`, or `unix:PATH`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The standard error of the server until now.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl TestServerBuilder {
    /// The server's program. Default: see [`TestServer::start`].
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// One more argument of `evenkeel serve`, such as `--max-message-bytes=1048576`. A `--listen` replaces the free port of
    /// 127.0.0.1.
    pub fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// A variable of the server's environment. The server inherits those of the test that do not begin with `EVENKEEL_`.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts the server. Blocks the thread until it listens, at most 30 seconds.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(self) -> Result<TestServer, StartError> {
        let named = || env::var_os(BINARY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let binary = self.binary.clone().or_else(named).unwrap_or_else(|| "evenkeel".into());
        let child = match self.command(&binary).spawn() {
            Ok(child) => child,
            Err(source) => return Err(StartError::Spawn { binary, source }),
        };
        let (mut process, output) = Process::of(child);
        let line = output.first_line.recv_timeout(PATIENCE).unwrap_or_default();
        match line.strip_prefix(LISTENING) {
            Some(address) => Ok(TestServer { process, address: address.trim_end().to_owned() }),
            None => {
                process.end();
                _ = output.end.recv_timeout(LAST_WORDS);
                Err(StartError::DoesNotListen { binary, output: format!("{line}{}", process.log()) })
            }
        }
    }

    fn command(&self, binary: &PathBuf) -> Command {
        let mut command = Command::new(binary);
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let is_listen = |flag: &OsString| flag == "--listen" || flag.to_string_lossy().starts_with("--listen=");
        if !self.flags.iter().any(is_listen) {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(&self.flags);
        let is_setting = |name: &OsStr| name.to_string_lossy().starts_with("EVENKEEL_");
        for (name, _) in env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The process of a server. A thread reads each of its pipes, since a pipe that nobody reads would stop the server.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<Vec<u8>>>,
}

/// The output of a process that starts.
struct Output {
    /// Gets the first line of the standard output, or nothing if there is none.
    first_line: mpsc::Receiver<String>,
    /// Is closed when both pipes have ended.
    end: mpsc::Receiver<()>,
}

impl Process {
    fn of(mut child: Child) -> (Self, Output) {
        let ((found, first_line), (open, end)) = (mpsc::channel(), mpsc::channel());
        let log = Arc::<Mutex<Vec<u8>>>::default();
        if let Some(stdout) = child.stdout.take() {
            let open = open.clone();
            thread::spawn(move || {
                let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
                if stdout.read_line(&mut line).is_ok() {
                    // Nobody waits for a line that comes too late.
                    _ = found.send(line);
                }
                _ = io::copy(&mut stdout, &mut io::sink());
                drop(open);
            });
        }
        if let Some(mut stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(len @ 1..) = stderr.read(&mut piece) {
                    lock(&log).extend_from_slice(&piece[..len]);
                }
                drop(open);
            });
        }
        (Self { child, log }, Output { first_line, end })
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&lock(&self.log)).into_owned()
    }

    /// Kills the process if it still runs, and waits until it has ended.
    fn end(&mut self) {
        // A process that has ended already cannot be killed.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(log: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
