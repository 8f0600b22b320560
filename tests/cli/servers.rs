//! The same results from a server elsewhere and from the command's own; and servers that do not answer.

use std::net::{Ipv4Addr, TcpListener};

use crate::{
    TestResult, npy,
    program::{Folder, ServerProcess},
};

const SHIPPED: [&str; 3] = ["digits.npy", "gradients.safetensors", "activations_half.safetensors"];

#[test]
fn a_server_elsewhere_and_one_inside_give_the_same_bytes() -> TestResult {
    let server = ServerProcess::start(&[])?;
    let folder = Folder::with(&SHIPPED)?;
    for (command, extension) in [
        ("normalize digits.npy --kind instance", "npy"),
        ("normalize activations_half.safetensors --kind layer", "safetensors"),
        ("dropout digits.npy --p 0.25 --seed 3", "npy"),
        ("clip gradients.safetensors", "safetensors"),
    ] {
        let inside = folder.run(&format!("{command} -o inside.{extension}"))?;
        let elsewhere = folder.run(&format!("{command} -o elsewhere.{extension} --server {}", server.url))?;
        inside.succeeded();
        elsewhere.succeeded();
        assert_eq!(inside.rows(), elsewhere.rows(), "{command}");
        let (inside, elsewhere) = (format!("inside.{extension}"), format!("elsewhere.{extension}"));
        assert!(folder.read(&inside)? == folder.read(&elsewhere)?, "{command}: the files differ");
    }
    Ok(())
}

#[test]
fn a_message_above_the_servers_limit() -> TestResult {
    let server = ServerProcess::start(&["--max-message-bytes", "4096"])?;
    let folder = Folder::with(&SHIPPED)?;
    for command in [
        "clip digits.npy",
        "dropout digits.npy --seed 3",
        "normalize digits.npy --kind layer",
        "normalize digits.npy --kind batch",
    ] {
        folder.run(&format!("{command} -o here.npy"))?.succeeded();
        folder.run(&format!("{command} -o there.npy --server {}", server.url))?.succeeded();
        assert!(folder.read("here.npy")? == folder.read("there.npy")?, "{command}");
    }
    let run = folder.run(&format!("clip digits.npy --norm-type 3 --server {}", server.url))?;
    run.failed(1, &["digits.npy: ", "one message of 133120 bytes", "--max-message-bytes"]);
    // The command's own server takes messages as long as the file needs, also above the default.
    let elements = 5 << 20;
    folder.write("long.npy", &npy::f64s(&format!("({elements}, 2)"), (0..2 * elements).map(f64::from)))?;
    folder.run("dropout long.npy --p 0 -o same.npy")?.succeeded();
    assert!(folder.read("long.npy")?.len() > 64 << 20);
    let same = npy::read_f64s(&folder.read("same.npy")?, &format!("({elements}, 2)"))?;
    assert!(same.into_iter().eq((0..2 * elements).map(f64::from)));
    Ok(())
}

/// A tensor that cannot be cut because the arguments do not fit it is wrong whatever the server's limit.
#[test]
fn what_does_not_fit_a_tensor_is_said_before_its_size() -> TestResult {
    let server = ServerProcess::start(&["--max-message-bytes", "4096"])?;
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(4000,)", (0..4000_u16).map(f32::from)))?;
    folder.write("y.npy", &npy::f32s("(2, 4000)", (0..8000_u16).map(f32::from)))?;
    folder.write("w.npy", &npy::f32s("(3,)", [1.0; 3]))?;
    for (command, code, words) in [
        ("dropout x.npy --kind channel", 1, ["x.npy: tensor 'x': ", "rank 2 or more"]),
        ("dropout x.npy --kind feature-alpha", 1, ["x.npy: tensor 'x': ", "rank 2 or more"]),
        ("dropout y.npy --kind channel --channel-axis 2", 64, ["--channel-axis: ", "rank 2"]),
        ("normalize x.npy --kind instance", 1, ["x.npy: tensor 'x': ", "needs rank 3 or more"]),
        ("normalize x.npy --kind batch", 1, ["x.npy: tensor 'x': ", "needs rank 2 or more"]),
        ("normalize x.npy --kind layer --axes 3", 64, ["--axes: ", "rank 1"]),
        ("normalize y.npy --kind group --groups 3", 64, ["--groups: ", "divisor"]),
        ("normalize y.npy --kind batch --weight w.npy", 64, ["--weight: ", "[4000]"]),
    ] {
        let run = folder.run(&format!("{command} --server {}", server.url))?;
        run.failed(code, &words);
        assert_eq!(folder.list()?, ["w.npy", "x.npy", "y.npy"], "{command}");
    }
    Ok(())
}

#[test]
fn nobody_there_and_nobody_answering() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    // The kernel takes the connection, and no server accepts it.
    folder
        .run(&format!("clip digits.npy --timeout 50ms --server {url}"))?
        .failed(1, &[&url, "has said nothing for 50ms"]);
    drop(listener);
    folder.run(&format!("clip digits.npy --server {url}"))?.failed(1, &[&url, "Connection refused"]);
    assert_eq!(folder.list()?, ["digits.npy"]);
    Ok(())
}

/// The default of `--connect-timeout` is ten seconds.
#[test]
fn a_server_that_never_speaks_is_given_up() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?.to_string();
    for scheme in ["", "http://", "https://"] {
        let run = folder.run(&format!("clip digits.npy --connect-timeout 300ms --server {scheme}{address}"))?;
        run.failed(1, &["cannot connect", &address]);
    }
    assert_eq!(folder.list()?, ["digits.npy"]);
    let help = folder.run("clip --help")?;
    let flag = help.stdout.split("--connect-timeout").nth(1).ok_or("there is no such flag")?;
    assert!(flag.split("\n\n").take(2).any(|text| text.contains("[default: 10s]")), "{}", help.stdout);
    Ok(())
}

#[test]
fn https_to_plain_text_says_so() -> TestResult {
    let server = ServerProcess::start(&[])?;
    let folder = Folder::with(&["digits.npy"])?;
    folder.write("ca.pem", crate::authority::Authority::new().pem().as_bytes())?;
    let url = server.url.replace("http://", "https://");
    for command in ["clip digits.npy", "health"] {
        folder
            .run(&format!("{command} --tls-ca ca.pem --server {url}"))?
            .failed(1, &[&url, "the server speaks plain text there; http:// reaches it"]);
    }
    Ok(())
}

#[test]
fn what_is_no_address_is_a_wrong_command_line() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    for command in ["clip digits.npy", "health"] {
        for server in [
            "nonsense",
            "localhost:99999",
            "::1:1",
            "http://",
            "ftp://127.0.0.1:1",
            "http://127.0.0.1:1/a",
            "http://a:secret@127.0.0.1:1",
        ] {
            let run = folder.run(&format!("{command} --server {server}"))?;
            run.failed(
                64,
                &["--server (EVENKEEL_SERVER): ", "HOST:PORT, http://HOST:PORT, https://HOST:PORT and unix:PATH"],
            );
            assert!(!run.stderr.contains("secret"), "{}", run.stderr);
        }
        folder.run_with(&[("EVENKEEL_SERVER", " ")], command)?.failed(64, &["EVENKEEL_SERVER"]);
    }
    assert_eq!(folder.list()?, ["digits.npy"]);
    Ok(())
}
