//! The configuration file as people and editors write it, and the errors of a server that does not start, in the format
//! of its log.

use serde_json::Value;

use crate::{TestResult, program::Folder};

#[test]
fn a_file_is_read_as_its_editor_wrote_it() -> TestResult {
    let folder = Folder::new()?;
    for text in
        ["threads = 3\nlog-level = \"warn\"\n", "\u{feff}threads = 3\r\nlog-level = \"warn\"\r\n", "threads = \"3\""]
    {
        folder.write("evenkeel.toml", text.as_bytes())?;
        let run = folder.run("config --config evenkeel.toml")?;
        run.succeeded();
        assert!(run.stdout.contains("threads = 3 # file \"evenkeel.toml\"\n"), "{}", run.stdout);
    }
    Ok(())
}

/// An error escapes the text of the file, and is short however long that text is.
#[test]
fn an_error_of_the_file_is_short_and_plain() -> TestResult {
    let folder = Folder::new()?;
    let long = "k".repeat(1 << 20);
    for (text, words) in [
        (
            "max_message_bytes = 5000",
            "unknown key 'max_message_bytes'; keys are the flags of `evenkeel serve`, such as max-message-bytes",
        ),
        ("\"\\u001b[31m\" = 1", "unknown key '\\u{1b}[31m'"),
        (&format!("{long} = 1"), "unknown key 'kkk"),
        (&format!("threads = \"{long}\""), "invalid value for 'threads': "),
        (&format!("threads = \"{long}"), "TOML parse error at line 1"),
        ("threads = 3\nthreads = 4", "duplicate key"),
        ("threads = -1", "invalid value for 'threads': "),
        ("\0", "TOML parse error"),
    ] {
        folder.write("evenkeel.toml", text.as_bytes())?;
        for command in ["config", "serve"] {
            let run = folder.run(&format!("{command} --config evenkeel.toml"))?;
            run.refused(&["evenkeel.toml: ", words]);
            assert!(run.stderr.len() < 2000, "{} bytes", run.stderr.len());
            assert!(!run.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", run.stderr);
        }
    }
    Ok(())
}

/// If a flag, a variable or the file asks for a log of JSON, an error of the server's own settings is a line of JSON,
/// too.
#[test]
fn a_log_of_json_says_why_the_server_does_not_start() -> TestResult {
    let folder = Folder::new()?;
    folder.write("json.toml", b"log-format = \"json\"\nthreads = 100000\n")?;
    folder.write("unknown.toml", b"log-format = \"json\"\nnonsense = 1\n")?;
    let json = [("EVENKEEL_LOG_FORMAT", "json")];
    for (variables, command, words) in [
        (&[][..], "serve --log-format json --threads 100000", "'--threads'"),
        (&[], "serve --log-format=json --log-level loud", "'loud' is not a level"),
        (&[], "--log-format json --nonsense", "unexpected argument '--nonsense'"),
        (&[], "serve --nonsense --log-format json", "unexpected argument '--nonsense'"),
        (&[], "serve --log-format json --listen nowhere", "invalid value 'nowhere'"),
        (&[], "serve --log-format json --config missing.toml", "missing.toml"),
        (&[], "serve --config json.toml", "json.toml: invalid value for '--threads'"),
        (&[], "serve --config unknown.toml", "unknown key 'nonsense'"),
        (&[("EVENKEEL_LOG_FORMAT", "json"), ("EVENKEEL_THREADS", "many")], "serve", "(EVENKEEL_THREADS)"),
        (&json, "--threads 100000", "'--threads'"),
        (&json, "serve --listen 127.0.0.1:0 --tls-cert missing --tls-key missing", "missing: No such file"),
    ] {
        let run = folder.run_with(variables, command)?;
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (Some(64), "", 1), "{}", run.stderr);
        let line: Value = serde_json::from_str(&run.stderr)?;
        let error = line["fields"]["error"].as_str().ok_or("there is no error")?;
        assert!(line["level"] == "ERROR" && error.contains(words) && !error.starts_with("error"), "{line}");
    }
    // Without JSON an error is plain text; and commands other than `serve` never log JSON.
    for (variables, command) in [
        (&[][..], "serve --log-format text --threads 100000"),
        (&[], "serve --threads 100000"),
        (&[("EVENKEEL_LOG_FORMAT", "text")], "serve --config json.toml --nonsense"),
        (&json, "config --threads 100000"),
        (&json, "clip --nonsense"),
    ] {
        let run = folder.run_with(variables, command)?;
        assert!(run.code == Some(64) && !run.stderr.starts_with('{'), "{command}: {}", run.stderr);
    }
    Ok(())
}
