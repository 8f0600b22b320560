//! Several files at once, and the shards of an index in a folder.

use std::{
    error::Error,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
};

use evenkeel::{config::ServerConfig, server::Running};
use serde_json::Value;

use crate::{TestResult, npy, program::Folder, stored};

/// Elements that differ.
fn elements(count: usize, from: usize) -> Vec<f32> {
    (from..from + count).map(|i| (i as u32).wrapping_mul(0x9E37_79B9) as f32 / u32::MAX as f32 - 0.4).collect()
}

/// A folder with `one.safetensors`, which has the tensors of `g-1.safetensors` and `g-2.safetensors`, and with an empty folder
/// `out`.
fn folder() -> Result<Folder, Box<dyn Error>> {
    let folder = Folder::new()?;
    let (a, b, c) = (elements(1_500_000, 0), elements(10, 1), elements(700_000, 2));
    let all: [(&str, &[usize], &[f32]); 3] = [("a", &[1_500_000], &a), ("b", &[2, 5], &b), ("c", &[7, 100_000], &c)];
    folder.write("one.safetensors", &stored::file(&all, &[])?)?;
    folder.write("g-1.safetensors", &stored::file(&[all[0], all[2]], &[("format", "pt")])?)?;
    folder.write("g-2.safetensors", &stored::file(&[all[1]], &[])?)?;
    let map = r#""a": "g-1.safetensors", "b": "g-2.safetensors", "c": "g-1.safetensors""#;
    let index = format!("{{\"metadata\": {{\"total_size\": 8800040, \"of\": \"us\"}}, \"weight_map\": {{{map}}}}}");
    folder.write("g.safetensors.index.json", index.as_bytes())?;
    fs::create_dir(folder.path("out"))?;
    Ok(folder)
}

/// The tensors of the shards in `out` are those of this file.
#[track_caller]
fn same(folder: &Folder, expected: &str) -> TestResult {
    let expected = folder.read(expected)?;
    for (file, name, shape) in [("g-1", "a", &[1_500_000][..]), ("g-2", "b", &[2, 5]), ("g-1", "c", &[7, 100_000])] {
        let given = stored::f32s(&folder.read(&format!("out/{file}.safetensors"))?, name, shape)?;
        let expected = stored::f32s(&expected, name, shape)?;
        assert!(given.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits())), "{name}");
    }
    Ok(())
}

/// One norm, and for dropout one stream of draws, over all files; and the same for the shards of an index.
#[test]
fn several_files_are_one_list_of_tensors() -> TestResult {
    let folder = folder()?;
    for (command, extension) in [("clip", "clipped"), ("normalize --kind l2 --axes=-1", "l2"), ("dropout", "dropout")] {
        // The draws follow one another in the order of the files: a, c, b.
        let order = if command == "dropout" { "--tensor a --tensor c --tensor b" } else { "" };
        let one = folder.run(&format!("{command} one.safetensors {order}"))?;
        one.succeeded();
        for inputs in ["g-1.safetensors g-2.safetensors", "g-*.safetensors", "g.safetensors.index.json"] {
            let several = folder.run(&format!("{command} {inputs} -o out"))?;
            several.succeeded();
            same(&folder, &format!("one.{extension}.safetensors"))?;
            assert_eq!(stored::metadata(&folder.read("out/g-1.safetensors")?)?["format"], "pt");
            // The total is one, and each tensor is named with its file.
            assert_eq!(one.footer()[0].starts_with("total norm"), several.footer()[0].starts_with("total norm"));
            if command == "clip" {
                assert_eq!(one.footer()[0], several.footer()[0]);
            }
            assert_eq!(several.rows()[0]["tensor"], "g-1.safetensors:a");
            assert_eq!(
                several.footer().iter().filter(|line| line.starts_with("wrote out/")).count(),
                2 + usize::from(inputs.ends_with("json"))
            );
        }
        fs::remove_dir_all(folder.path("out"))?;
        fs::create_dir(folder.path("out"))?;
    }
    // Without --output each result is beside its input.
    folder.run("clip g-1.safetensors g-2.safetensors --threshold 1e9 --quiet")?.succeeded();
    let b = |name: &str| -> Result<_, Box<dyn Error>> { stored::f32s(&folder.read(name)?, "b", &[2, 5]) };
    assert_eq!(b("g-2.clipped.safetensors")?, b("g-2.safetensors")?);
    let json = folder.run("clip g-1.safetensors g-2.safetensors --force --json")?;
    json.succeeded();
    let json: Value = serde_json::from_str(&json.stdout)?;
    assert_eq!((&json["tensors"][2]["file"], &json["tensors"][2]["name"]), (&"g-2.safetensors".into(), &"b".into()));
    Ok(())
}

#[test]
fn an_index_goes_with_its_shards() -> TestResult {
    let folder = folder()?;
    folder.run("clip g.safetensors.index.json -o out --quiet")?.succeeded();
    let read = |name: &str| -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_slice(&folder.read(name)?)?) };
    assert_eq!(read("out/g.safetensors.index.json")?, read("g.safetensors.index.json")?);
    // The index in the folder is one that the program reads.
    folder.run("dropout out/g.safetensors.index.json --quiet")?.succeeded();
    for file in ["g.safetensors.index.json", "g-1.safetensors", "g-2.safetensors"] {
        fs::remove_file(folder.path("out").join(file))?;
    }
    folder.run("clip g.safetensors.index.json -o out --tensor b --quiet")?.succeeded();
    let index = read("out/g.safetensors.index.json")?;
    assert_eq!(index["weight_map"], serde_json::json!({ "b": "g-2.safetensors" }));
    assert_eq!(index["metadata"], serde_json::json!({ "total_size": 40, "of": "us" }));
    assert!(!folder.path("out/g-1.safetensors").exists());
    Ok(())
}

#[test]
fn several_files_are_refused_before_anything_is_written() -> TestResult {
    let folder = folder()?;
    fs::create_dir(folder.path("other"))?;
    fs::copy(folder.path("g-2.safetensors"), folder.path("other/g-2.safetensors"))?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    let before = folder.list()?;
    for (command, code, words) in [
        ("clip g-1.safetensors g-2.safetensors -o y.safetensors", 64, ["--output: ", "must be a folder"]),
        ("clip g-1.safetensors g-2.safetensors -o none/", 64, ["--output: ", "must be a folder"]),
        ("clip x.npy -o none/", 1, ["none/: cannot write", "no such folder"]),
        ("clip g-1.safetensors g-2.safetensors -o .", 64, ["--output: ", "would overwrite"]),
        ("clip g.safetensors.index.json -o .", 64, ["--output: ", "would overwrite"]),
        ("clip g-2.safetensors other/g-2.safetensors -o out", 64, ["--output: ", "would overwrite"]),
        ("clip g-2.safetensors g-2.safetensors", 64, ["--output: ", "would overwrite"]),
        ("clip - g-2.safetensors", 64, ["INPUT: ", "standard input"]),
        ("clip - -o out", 64, ["--output: ", "no name"]),
        ("clip h-*.safetensors", 1, ["h-*.safetensors: ", "no file"]),
        (
            "clip g-1.safetensors g-2.safetensors -o out --tensor d",
            64,
            ["--tensor: ", "'d' in any INPUT, only a, c, b"],
        ),
        ("clip g-2.safetensors x.npy -o out --tensor b", 64, ["--tensor: ", "x.npy holds one tensor"]),
        ("dropout g-2.safetensors other/g-2.safetensors --mask m.safetensors", 64, ["--mask: ", "two tensors"]),
        (
            "normalize g-2.safetensors other/g-2.safetensors --kind layer --statistics s.safetensors",
            64,
            ["--statistics: ", "two tensors"],
        ),
        ("clip g-1.safetensors g-2.safetensors -o out --norm-type -1", 64, ["--norm-type: ", "0"]),
        ("dropout g-2.safetensors g-1.safetensors -o out --kind channel", 1, ["g-1.safetensors: tensor 'a'", "2"]),
    ] {
        folder.run(command)?.failed(code, &words);
        assert_eq!(folder.list()?, before, "{command}");
        assert_eq!(fs::read_dir(folder.path("out"))?.count(), 0, "{command}");
    }
    Ok(())
}

/// How many calls of a method a server has ended.
fn calls(server: &Running, method: &str) -> Result<u64, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server.metrics_addr().ok_or("it has metrics")?)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let method = format!("grpc_method=\"{method}\"");
    let lines = text.lines().filter(|line| line.starts_with("grpc_server_handled_total") && line.contains(&method));
    lines.map(|line| Ok(line.rsplit(' ').next().ok_or("a line has a number")?.parse::<f64>()? as u64)).sum()
}

/// The bytes are those of one server.
#[tokio::test(flavor = "multi_thread")]
async fn several_servers_share_the_pieces() -> TestResult {
    let folder = folder()?;
    let metrics_listen = Some((Ipv4Addr::LOCALHOST, 0).into());
    let config = || ServerConfig { metrics_listen, ..ServerConfig::on_free_port() };
    let servers = [Running::start(config()).await?, Running::start(config()).await?];
    let urls = format!("{},{}", servers[0].url(), servers[1].url());
    for (command, extension, method) in [
        ("clip", "clipped", "ClipGradients"),
        ("normalize --kind l2 --axes=-1", "l2", "Normalize"),
        ("dropout", "dropout", "Dropout"),
    ] {
        let order = if command == "dropout" { "--tensor a --tensor c --tensor b" } else { "" };
        folder.run(&format!("{command} one.safetensors {order}"))?.succeeded();
        folder.run(&format!("{command} g-*.safetensors -o out --servers {urls}"))?.succeeded();
        same(&folder, &format!("one.{extension}.safetensors"))?;
        for server in &servers {
            assert!(calls(server, method)? > 0, "{command}");
        }
    }
    let url = servers[0].url();
    for (servers, words) in
        [(format!("{url},{url}"), ["--server", "given twice"]), (format!("{url},"), ["--server", "HOST:PORT"])]
    {
        folder.run(&format!("clip one.safetensors --force --server {servers}"))?.failed(64, &words);
    }
    for server in servers {
        server.shutdown_and_wait().await?;
    }
    Ok(())
}
