//! `evenkeel doctor`: the machine, the settings on it, and the self-check, as text and as JSON.

use std::{fs, thread};

use serde_json::Value;

use crate::{TestResult, program::Folder};

#[test]
fn json_has_the_machine_the_settings_and_the_self_check() -> TestResult {
    let folder = Folder::new()?;
    folder.write("evenkeel.toml", b"serving-threads = 3\nmax-message-bytes = 1048576\n")?;
    let variables = [("EVENKEEL_MAX_BYTES_IN_FLIGHT", "8388608")];
    let run =
        folder.run_with(&variables, "doctor --json --config evenkeel.toml --threads 2 --buffer-pool-bytes 4096")?;
    run.succeeded();
    let all: Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(all["version"], env!("CARGO_PKG_VERSION"));
    let settings = &all["settings"];
    for (key, expected) in [
        ("threads", 2),
        ("serving_threads", 3),
        ("max_bytes_in_flight", 8 << 20),
        ("max_message_bytes", 1 << 20),
        ("buffer_pool_bytes", 4096),
    ] {
        assert_eq!(settings[key], expected, "{key}: {settings}");
    }
    let sets = all["instruction_sets"].as_array().ok_or("a list")?;
    assert_eq!(sets.first(), Some(&"baseline".into()));
    assert_eq!(sets.last(), Some(&all["instruction_set"]), "the best of them is used");
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).ok_or("Linux has it")?;
    let kib: u64 = total.trim().trim_end_matches(" kB").parse()?;
    assert_eq!(all["memory"]["total"], kib << 10);
    assert_eq!(all["cores"]["used"], thread::available_parallelism()?.get());

    let check = &all["self_check"];
    assert_eq!((&check["passed"], &check["differences"]), (&true.into(), &Value::Array(Vec::new())));
    let compared = check["compared"].as_u64().ok_or("a number")?;
    // There are some 260 cases, most of them computed in three ways, on one thread and on several.
    assert!(compared > 2 * 2 * 200 * sets.len() as u64, "{compared}");
    Ok(())
}

#[test]
fn text_has_a_line_for_each_fact() -> TestResult {
    let run = Folder::new()?.run("doctor --threads 1")?;
    run.succeeded();
    for name in [
        "evenkeel ",
        "processor ",
        "instruction set ",
        "cores ",
        "memory ",
        "open files ",
        "compute threads   1",
        "serving threads ",
        "bytes in flight   1.00 GiB",
        "buffer pool       256.00 MiB",
        "largest message   64.00 MiB",
        "connections ",
        "self-check ",
    ] {
        assert!(run.stdout.lines().any(|line| line.starts_with(name)), "'{name}' is not in: {}", run.stdout);
    }
    assert!(run.stdout.ends_with("all have the bits of every machine\n"), "{}", run.stdout);
    Ok(())
}

/// A machine that computes other bits.
#[test]
fn a_wrong_bit_exits_with_70_and_is_named() -> TestResult {
    let folder = Folder::new()?;
    let fault = [("EVENKEEL_SELF_CHECK_FAULT", "MeasureGradients 2 float64")];
    let run = folder.run_with(&fault, "doctor")?;
    assert_eq!((run.code, run.stderr.as_str()), (Some(70), ""), "{}", run.stdout);
    let lines: Vec<&str> = run.stdout.lines().filter(|line| line.contains("MeasureGradients 2 float64, ")).collect();
    assert!(lines.iter().any(|line| line.contains("merged, baseline on 1 threads: digest ")), "{lines:?}");
    assert!(run.stdout.contains(" DIFFER\n"), "{}", run.stdout);

    let run = folder.run_with(&fault, "doctor --json")?;
    assert_eq!(run.code, Some(70));
    let check = &serde_json::from_str::<Value>(&run.stdout)?["self_check"];
    let differences = check["differences"].as_array().ok_or("a list")?;
    assert_eq!(check["passed"], false);
    for difference in differences {
        assert_eq!(difference["result"], "MeasureGradients 2 float64");
        assert_ne!(difference["expected"], difference["got"]);
    }
    let sets = differences.iter().filter(|difference| difference["instruction_set"] == "baseline");
    assert_eq!(sets.count(), 4, "two ways on two numbers of threads: {differences:?}");
    Ok(())
}

#[test]
fn settings_that_do_not_fit_the_machine_get_advice() -> TestResult {
    let folder = Folder::new()?;
    let run = folder.within("ulimit -n 200", "doctor --max-bytes-in-flight 1152921504606846976 --threads 4096")?;
    run.succeeded();
    for words in [
        "advice            --max-bytes-in-flight and --buffer-pool-bytes together are ",
        "advice            the limit on open files lets in 136 of --max-connections 1024",
        "advice            --threads 4096 is more than the cores, ",
    ] {
        assert!(run.stdout.contains(words), "'{words}' is not in: {}", run.stdout);
    }
    let run = folder.run("doctor --json --max-bytes-in-flight 0")?;
    let advice = &serde_json::from_str::<Value>(&run.stdout)?["advice"];
    assert!(advice.to_string().contains("--max-bytes-in-flight 0 lets calls take all memory"), "{advice}");
    Ok(())
}

#[test]
fn wrong_settings_are_refused_as_by_the_server() -> TestResult {
    let folder = Folder::new()?;
    folder.write("evenkeel.toml", b"threads = 100000\n")?;
    folder.run("doctor --config evenkeel.toml")?.refused(&["evenkeel.toml: ", "threads"]);
    folder.run("doctor --listen 0.0.0.0:1")?.refused(&["--allow-plaintext"]);
    Ok(())
}
