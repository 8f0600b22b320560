//! Variables, switches and addresses, as `evenkeel config` and the commands take them; and readers that have gone.

use std::{io, process::Stdio};

use crate::{TestResult, environment::without_environment, program::Folder};

/// The line of a setting in the output of `evenkeel config`.
#[track_caller]
fn line(variables: &[(&str, &str)], arguments: &str, key: &str) -> Result<String, Box<dyn std::error::Error>> {
    let run = Folder::new()?.run_with(variables, &format!("config {arguments}"))?;
    run.succeeded();
    let begins = [format!("{key} = "), format!("# {key} is")];
    let line = run.stdout.lines().find(|line| begins.iter().any(|begin| line.starts_with(begin)));
    Ok(line.ok_or_else(|| format!("there is no {key} in {}", run.stdout))?.to_owned())
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() -> TestResult {
    for (variable, key, default) in [
        ("EVENKEEL_THREADS", "threads", "threads = 0 # default"),
        ("EVENKEEL_LISTEN", "listen", "listen = \"127.0.0.1:50051\" # default"),
        ("EVENKEEL_METRICS_LISTEN", "metrics-listen", "# metrics-listen is not set"),
        ("EVENKEEL_GRPC_WEB", "grpc-web", "grpc-web = false # default"),
        ("EVENKEEL_COMPRESSION", "compression", "# compression is not set"),
        ("EVENKEEL_TLS_CERT", "tls-cert", "# tls-cert is not set"),
        ("EVENKEEL_LOG_FORMAT", "log-format", "log-format = \"text\" # default"),
        ("EVENKEEL_CONFIG", "threads", "threads = 0 # default"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp-endpoint", "# otlp-endpoint is not set"),
    ] {
        assert_eq!(line(&[(variable, "")], "", key)?, default, "{variable}");
    }
    let folder = Folder::with(&["digits.npy"])?;
    for variable in ["EVENKEEL_SERVER", "EVENKEEL_CLIENT_TLS_CA", "EVENKEEL_CLIENT_ALLOW_PLAINTEXT"] {
        folder.run_with(&[(variable, "")], "clip digits.npy --force")?.succeeded();
    }
    Ok(())
}

/// Flags of two commands that have the same name stay apart, also while the variables of both are empty.
#[test]
fn empty_variables_do_not_make_a_servers_setting_a_clients() -> TestResult {
    let folder = Folder::new()?;
    folder.write("evenkeel.toml", b"listen = \"127.0.0.1:1\"\ntls-cert = \"missing\"\ntls-key = \"missing\"\n")?;
    let empty = [("EVENKEEL_TLS_CERT", ""), ("EVENKEEL_CLIENT_TLS_CERT", ""), ("EVENKEEL_CLIENT_TLS_KEY", "")];
    folder.run_with(&empty, "health --config evenkeel.toml")?.failed(1, &["http://127.0.0.1:1: cannot connect"]);
    Ok(())
}

#[test]
fn switches_take_the_usual_words() -> TestResult {
    for (words, value) in [(["1", "true", "Yes", "ON", "y"], true), (["0", "False", "no", "off", "N"], false)] {
        for word in words {
            for (variable, key) in [("EVENKEEL_GRPC_WEB", "grpc-web"), ("EVENKEEL_ALLOW_PLAINTEXT", "allow-plaintext")]
            {
                let line = line(&[(variable, word)], "", key)?;
                assert_eq!(line, format!("{key} = {value} # {variable}"), "{word}");
            }
        }
    }
    let folder = Folder::with(&["digits.npy"])?;
    folder.run("normalize digits.npy --kind batch --training=yes")?.succeeded();
    folder.run_with(&[("EVENKEEL_GRPC_WEB", "maybe")], "config")?.refused(&[
        "--grpc-web",
        "EVENKEEL_GRPC_WEB",
        "maybe",
    ]);
    Ok(())
}

#[test]
fn an_error_of_a_variable_names_it() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    for (variable, value, command) in [
        ("EVENKEEL_THREADS", "many", "config"),
        ("EVENKEEL_THREADS", "100000", "config"),
        ("EVENKEEL_LISTEN", "nowhere", "config"),
        ("EVENKEEL_DRAIN_TIMEOUT", "soon", "config"),
        ("EVENKEEL_COMPRESSION", "gzip,brotli", "config"),
        ("EVENKEEL_LOG_FORMAT", "xml", "config"),
        ("EVENKEEL_METRICS_LISTEN", "1", "config"),
        ("EVENKEEL_LISTEN", "nowhere", "health"),
        ("EVENKEEL_CLIENT_ALLOW_PLAINTEXT", "perhaps", "clip digits.npy"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "config"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://name:secret@collector:4317", "config"),
    ] {
        let run = folder.run_with(&[(variable, value)], command)?;
        run.refused(&[variable]);
        assert!(!run.stderr.contains("secret"), "{}", run.stderr);
    }
    let collector =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", "missing")];
    folder.run_with(&collector, "serve --listen 127.0.0.1:0")?.refused(&["OTEL_EXPORTER_OTLP_CERTIFICATE", "missing"]);
    // The error of a file, or of another value that is used later.
    folder.write("wrong", b"not = a = setting")?;
    folder.write("low.toml", b"max-message-bytes = 1")?;
    for variable in ["EVENKEEL_CLIENT_TLS_CA", "EVENKEEL_CLIENT_TLS_CERT", "EVENKEEL_CLIENT_TLS_KEY"] {
        for (value, words) in [("missing", "cannot read missing"), ("wrong", "wrong: ")] {
            for command in ["health --server https://127.0.0.1:1", "clip digits.npy --server https://127.0.0.1:1"] {
                folder.run_with(&[(variable, value)], command)?.refused(&[variable, words]);
            }
        }
    }
    let name = [("EVENKEEL_CLIENT_TLS_SERVER_NAME", "a_b:c")];
    folder.run_with(&name, "health --server https://127.0.0.1:1")?.refused(&[name[0].0, "a_b:c"]);
    folder.write("no-token", b"# nothing\n")?;
    for (value, words) in [("missing", "cannot read missing"), ("no-token", "no-token: there is no token")] {
        let token = [("EVENKEEL_CLIENT_TOKEN_FILE", value)];
        folder.run_with(&token, "health --server http://127.0.0.1:1")?.refused(&[token[0].0, words]);
    }
    for (value, words) in [("missing", "file missing: "), ("wrong", "wrong: "), ("low.toml", "low.toml: ")] {
        folder.run_with(&[("EVENKEEL_CONFIG", value)], "config")?.refused(&["EVENKEEL_CONFIG: ", words]);
    }
    // A flag overrides the variable, and the error is the flag's.
    for (variable, command) in [
        ("EVENKEEL_CLIENT_TLS_CA", "health --server https://127.0.0.1:1 --tls-ca missing"),
        ("EVENKEEL_CONFIG", "config --config missing"),
    ] {
        let run = folder.run_with(&[(variable, "other")], command)?;
        run.refused(&["missing"]);
        assert!(!run.stderr.contains(variable), "{}", run.stderr);
    }
    let run = folder.run_with(&[("EVENKEEL_THREADS", "3")], "config --threads many")?;
    run.refused(&["'--threads <N>'", "many"]);
    assert!(!run.stderr.contains("EVENKEEL_THREADS"), "{}", run.stderr);
    Ok(())
}

/// Prometheus scrapes TCP ports alone.
#[test]
fn metrics_have_a_port_and_the_refusal_says_so() -> TestResult {
    let folder = Folder::new()?;
    folder.write("evenkeel.toml", b"metrics-listen = \"unix:/run/metrics.sock\"\n")?;
    for (variables, command) in [
        (&[][..], "config --metrics-listen unix:metrics.sock"),
        (&[], "serve --metrics-listen unix:/run/metrics.sock"),
        (&[("EVENKEEL_METRICS_LISTEN", "unix:")], "config"),
        (&[], "config --config evenkeel.toml"),
    ] {
        let run = folder.run_with(variables, command)?;
        run.refused(&["metrics-listen", "expected HOST:PORT", "no Unix domain socket", "127.0.0.1"]);
    }
    for wrong in ["9090", "nowhere.invalid:1", "127.0.0.1:99999"] {
        let run = folder.run(&format!("config --metrics-listen {wrong}"))?;
        run.refused(&["metrics-listen", "expected HOST:PORT"]);
        assert!(!run.stderr.contains("unix:"), "{}", run.stderr);
    }
    Ok(())
}

#[test]
fn addresses_may_have_names() -> TestResult {
    for key in ["listen", "metrics-listen"] {
        assert_eq!(line(&[], &format!("--{key} localhost:0"), key)?, format!("{key} = \"localhost:0\" # flag"));
    }
    Folder::new()?.run("config --listen nowhere.invalid:1")?.refused(&["--listen", "nowhere.invalid"]);
    let server = crate::program::ServerProcess::start_at("localhost:0", &[])?;
    let address = server.url.trim_start_matches("http://");
    let port = address.rsplit_once(':').ok_or("no port")?.1;
    let folder = Folder::with(&["digits.npy"])?;
    for name in [address.to_owned(), format!("localhost:{port}")] {
        folder.run(&format!("health --server {name}"))?.succeeded();
        folder.run(&format!("clip digits.npy --force --server {name}"))?.succeeded();
    }
    folder.run(&format!("health --listen localhost:{port}"))?.succeeded();
    Ok(())
}

/// The exit code and the standard error of a run whose standard output is a closed pipe.
fn into_a_closed_pipe(arguments: &[&str]) -> Result<(Option<i32>, String), io::Error> {
    let (reader, writer) = io::pipe()?;
    drop(reader);
    let output = without_environment(env!("CARGO_BIN_EXE_evenkeel"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn a_reader_that_has_gone_is_no_error() -> TestResult {
    let server = crate::program::ServerProcess::start(&[])?;
    let folder = Folder::with(&["digits.npy"])?;
    let digits = folder.path("digits.npy").to_string_lossy().into_owned();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["config"],
        &["help", "serve"],
        &["clip", "--help"],
        &["health", "--server", &server.url],
        &["clip", &digits],
    ] {
        assert_eq!(into_a_closed_pipe(arguments)?, (Some(0), String::new()), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn no_duration_is_longer_than_a_year() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    let server = crate::program::ServerProcess::start(&["--drain-timeout", "365d"])?;
    for long in ["366d", "20000y", "500000000000y"] {
        folder.run(&format!("config --drain-timeout {long}"))?.refused(&["--drain-timeout", "more than 365 days"]);
        folder.run(&format!("serve --drain-timeout {long}"))?.refused(&["--drain-timeout", "more than 365 days"]);
        for flag in ["--timeout", "--connect-timeout"] {
            folder.run(&format!("clip digits.npy {flag} {long}"))?.refused(&[flag, "more than 365 days"]);
        }
        folder.run(&format!("health --timeout {long}"))?.refused(&["--timeout", "more than 365 days"]);
    }
    folder.run(&format!("clip digits.npy --timeout 365d --connect-timeout 365d --server {}", server.url))?.succeeded();
    folder.run(&format!("health --timeout 365d --server {}", server.url))?.succeeded();
    Ok(())
}
