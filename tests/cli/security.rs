//! Servers with TLS and tokens, reached from the command line.

use std::error::Error;

use crate::{
    TestResult,
    authority::{Authority, write},
    program::{Folder, ServerProcess},
};

/// The flags that a client needs to be served.
const ALL: &str = "--tls-ca ca.pem --tls-cert client.pem --tls-key client.key --token-file token";

/// The health check, with time for a machine that hangs.
const HEALTH: &str = "health --timeout 1m";

/// A folder with all files that servers and clients need, and with some wrong ones.
fn files() -> Result<Folder, Box<dyn Error>> {
    let (authority, of_clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let folder = Folder::with(&["digits.npy"])?;
    write(&folder.path(""), authority.sign_for(&["127.0.0.1", "evenkeel.example"]));
    for (name, pem) in [("ca.pem", &authority), ("clients.pem", &of_clients), ("other.pem", &other)] {
        folder.write(name, pem.pem().as_bytes())?;
    }
    for (name, authority) in [("client", &of_clients), ("stranger", &other)] {
        let (cert, key) = authority.sign();
        folder.write(&format!("{name}.pem"), cert.as_bytes())?;
        folder.write(&format!("{name}.key"), key.as_bytes())?;
    }
    folder.write("tokens", b"first\nsecond\n")?;
    folder.write("token", b"second\n")?;
    folder.write("bad-token", b"third\n")?;
    folder.write("no-token", b"\n")?;
    Ok(folder)
}

/// A server with these flags, whose files are in the folder. If it has tokens, all methods need one, health too.
fn serve(folder: &Folder, flags: &[(&str, &str)]) -> Result<ServerProcess, Box<dyn Error>> {
    let path = |name| folder.path(name).to_string_lossy().into_owned();
    let flags: Vec<_> = flags.iter().map(|(flag, name)| format!("{flag}={}", path(name))).collect();
    let all: Vec<_> = flags.iter().map(String::as_str).chain(["--auth-open-methods="]).collect();
    ServerProcess::start(&all)
}

const TLS: [(&str, &str); 2] = [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")];

#[test]
fn a_server_must_be_who_it_should_be() -> TestResult {
    let folder = files()?;
    let server = serve(&folder, &TLS)?;
    let url = server.url.replace("http", "https");
    let address = url.trim_start_matches("https://");
    let health = |flags: &str| folder.run(&format!("{HEALTH} {flags}"));
    for flags in [
        format!("--server {url} --tls-ca ca.pem"),
        format!("--listen {address} --tls-ca ca.pem"),
        format!("--server {url} --tls-ca ca.pem --tls-server-name evenkeel.example"),
    ] {
        let run = health(&flags)?;
        run.succeeded();
        assert_eq!(run.stdout, "SERVING\n");
    }
    // Without `--tls-ca` the system's authorities are trusted, which this variable names.
    let trusted = folder.path("ca.pem");
    let variables = [("SSL_CERT_FILE", trusted.to_str().ok_or("no text")?)];
    folder.run_with(&variables, &format!("{HEALTH} --server {url}"))?.succeeded();

    health(&format!("--server {url} --tls-ca other.pem"))?
        .failed(1, &[&url, "invalid peer certificate: UnknownIssuer"]);
    health(&format!("--server {url} --tls-ca ca.pem --tls-server-name other.example"))?
        .failed(1, &["certificate not valid for name \"other.example\""]);
    health(&format!("--server {}", server.url))?.failed(1, &[&server.url]);
    let nothing = folder.path("nothing").to_string_lossy().into_owned();
    let variables = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", &nothing)];
    folder
        .run_with(&variables, &format!("{HEALTH} --server {url}"))?
        .failed(64, &["--tls-ca: ", "the system has no certificates: ", &nothing]);
    Ok(())
}

#[test]
fn a_server_gets_a_certificate_and_a_token() -> TestResult {
    let folder = files()?;
    let wants = [TLS[0], TLS[1], ("--tls-client-ca", "clients.pem"), ("--auth-token-file", "tokens")];
    let server = serve(&folder, &wants)?;
    let url = server.url.replace("http", "https");
    let run = |flags: &str| folder.run(&format!("{HEALTH} --server {url} {flags}"));
    run(ALL)?.succeeded();
    run(&ALL.replace("--token-file token", "--token-file tokens"))?.succeeded();
    run(&ALL.replace("--token-file token", ""))?.failed(1, &["the call needs a valid token"]);
    run(&ALL.replace("--token-file token", "--token-file bad-token"))?.failed(1, &["the call needs a valid token"]);
    // The commands on files take the flags, too; their own server needs none of them.
    folder.run(&format!("normalize digits.npy --kind layer -o there.npy --server {url} {ALL}"))?.succeeded();
    folder.run(&format!("normalize digits.npy --kind layer -o here.npy {ALL}"))?.succeeded();
    assert!(folder.read("there.npy")? == folder.read("here.npy")?);
    let denied = folder.run(&format!("clip digits.npy --server {url} {}", ALL.replace("ca.pem", "other.pem")))?;
    denied.failed(1, &["UnknownIssuer"]);
    let denied =
        folder.run(&format!("clip digits.npy --server {url} {}", ALL.replace("file token", "file bad-token")))?;
    denied.failed(1, &["the call needs a valid token"]);

    for (flags, alert) in [
        ("--tls-ca ca.pem --token-file token".to_owned(), "CertificateRequired"),
        (ALL.replace("client.", "stranger."), "UnknownCA"),
    ] {
        for _ in 0..20 {
            run(&flags)?.failed(1, &[&url, "received fatal alert: ", alert]);
        }
        folder.run(&format!("clip digits.npy --server {url} {flags}"))?.failed(1, &["received fatal alert: ", alert]);
    }
    Ok(())
}

/// A load has the same flags, and goes over TLS in whole.
#[test]
fn a_load_goes_over_tls() -> TestResult {
    let folder = files()?;
    let wants = [TLS[0], TLS[1], ("--tls-client-ca", "clients.pem"), ("--auth-token-file", "tokens")];
    let server = serve(&folder, &wants)?;
    let address = server.url.trim_start_matches("http://");
    let load = |flags: &str| {
        folder.run(&format!("load -n 40 -c 4 --connections 2 --shape 64,1024 --check -O json --server {flags}"))
    };
    for server in [address.to_owned(), format!("https://{address}")] {
        let run = load(&format!("{server} {ALL}"))?;
        run.succeeded();
        let report: serde_json::Value = serde_json::from_str(&run.stdout)?;
        assert_eq!(report["statusCodeDistribution"], serde_json::json!({ "OK": 40 }), "{report}");
        assert_eq!((&report["options"]["insecure"], &report["wrongAnswers"]), (&false.into(), &0.into()), "{report}");
    }
    let run = load(&format!("{address} {}", ALL.replace("--token-file token", "--token-file bad-token")))?;
    let report: serde_json::Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(report["statusCodeDistribution"], serde_json::json!({ "Unauthenticated": 40 }), "{report}");
    for (flags, words) in [
        (ALL.replace("ca.pem", "other.pem"), "UnknownIssuer"),
        (format!("{ALL} --tls-server-name other.example"), "certificate not valid for name \"other.example\""),
        (ALL.replace("client.", "stranger."), "received fatal alert: UnknownCA"),
    ] {
        load(&format!("{address} {flags}"))?.failed(1, &[address, "cannot connect", words]);
    }
    load(&format!("http://{address} {ALL}"))?.failed(64, &["--tls-ca", "not encrypted"]);
    load(&format!("{address} {}", ALL.replace("--tls-key client.key", "")))?.failed(64, &["--tls-key is missing"]);
    load(&format!("https://{address} --tls-ca token"))?.failed(64, &["--tls-ca: token: there is no certificate"]);
    Ok(())
}

/// The server's configuration file and its environment have settings of the same names.
#[test]
fn the_servers_settings_are_not_the_clients() -> TestResult {
    let folder = files()?;
    let server = serve(&folder, &TLS)?;
    let listen = server.url.trim_start_matches("http://");
    let settings = format!(
        "listen = \"{listen}\"\ntls-cert = \"missing\"\ntls-key = \"missing\"\ntls-client-ca = \"missing\"\n\
         auth-token-file = \"missing\"\nallow-plaintext = true\n"
    );
    folder.write("evenkeel.toml", settings.as_bytes())?;
    folder.run(&format!("{HEALTH} --config evenkeel.toml --tls-ca ca.pem"))?.succeeded();
    let mine =
        [("EVENKEEL_CONFIG", "evenkeel.toml"), ("EVENKEEL_TLS_CERT", "missing"), ("EVENKEEL_TLS_KEY", "missing")];
    let with = |more: &[(&'static str, &'static str)]| folder.run_with(&[&mine[..], more].concat(), HEALTH);
    with(&[("EVENKEEL_CLIENT_TLS_CA", "ca.pem"), ("EVENKEEL_CLIENT_TOKEN_FILE", "token")])?.succeeded();
    with(&[("EVENKEEL_CLIENT_TLS_SERVER_NAME", "evenkeel.example"), ("SSL_CERT_FILE", "ca.pem")])?.succeeded();
    with(&[("EVENKEEL_CLIENT_TLS_CERT", "missing")])?
        .failed(64, &["--tls-cert (EVENKEEL_CLIENT_TLS_CERT): cannot read missing: "]);
    let folders = [("EVENKEEL_CLIENT_TLS_CA", "missing"), ("EVENKEEL_CLIENT_TOKEN_FILE", "missing")];
    folder.run_with(&folders, "normalize digits.npy --kind layer")?.succeeded();
    Ok(())
}

#[test]
fn what_cannot_be_used_is_named_by_its_flag() -> TestResult {
    let folder = files()?;
    const ENCRYPTED: &str = "--server https://127.0.0.1:1";
    for (flags, words) in [
        ("--tls-ca missing", &["--tls-ca: cannot read missing: "][..]),
        ("--tls-ca token", &["--tls-ca: token: there is no certificate"]),
        ("--tls-ca ca.pem --tls-cert client.pem", &["--tls-cert: client.pem: --tls-key is missing"]),
        ("--tls-ca ca.pem --tls-key client.key", &["--tls-key: client.key: --tls-cert is missing"]),
        (
            "--tls-ca ca.pem --tls-cert client.pem --tls-key stranger.key",
            &["--tls-key: stranger.key: it is not the key of --tls-cert"],
        ),
        ("--tls-ca ca.pem --tls-server-name a_b:c", &["--tls-server-name: 'a_b:c'"]),
        ("--tls-ca ca.pem --token-file no-token", &["--token-file: no-token: there is no token in it"]),
    ] {
        for command in [HEALTH, "clip digits.npy"] {
            folder.run(&format!("{command} {ENCRYPTED} {flags}"))?.failed(64, words);
        }
    }
    // No call is made: the address is that of another machine.
    let run = folder.run("health --server http://192.0.2.1:1 --token-file token")?;
    run.failed(64, &["--token-file: token: http://192.0.2.1:1", "--allow-plaintext"]);
    folder
        .run(&format!("{HEALTH} --listen 127.0.0.1:1 --token-file token"))?
        .failed(1, &["http://127.0.0.1:1: cannot connect"]);
    folder.run("health --server http://127.0.0.1:1 --tls-ca ca.pem")?.failed(64, &["--tls-ca: ca.pem: ", "https://"]);
    folder.run("health --listen unix:evenkeel.sock --tls-ca ca.pem")?.failed(64, &["--tls-ca: ca.pem: unix:"]);
    Ok(())
}
