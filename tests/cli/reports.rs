//! The output of the commands: none, JSON, completions for shells, and pages for `man`.

use serde_json::Value;

use crate::{TestResult, environment::without_environment, npy, program::Folder, stored};

#[test]
fn quiet_is_quiet() -> TestResult {
    let folder = Folder::with(&["digits.npy", "gradients.safetensors"])?;
    for command in [
        "clip gradients.safetensors",
        "clip gradients.safetensors --mode value -o y.safetensors",
        "dropout digits.npy",
        "normalize digits.npy --kind layer",
    ] {
        folder.run(command)?.succeeded();
        let run = folder.run(&format!("{command} {} --quiet", if command.contains("-o") { "" } else { "--force" }))?;
        run.succeeded();
        assert_eq!(run.stdout, "", "{command}");
    }
    // Errors are printed all the same.
    folder.run("clip missing.npy -q")?.failed(1, &["missing.npy"]);
    folder.run("clip digits.npy -q --json")?.refused(&["--quiet", "--json"]);
    Ok(())
}

#[test]
fn json_has_numbers_in_full() -> TestResult {
    let folder = Folder::new()?;
    let x = [0.1_f64, 0.7, -1.0 / 3.0];
    folder.write("x.npy", &npy::f64s("(3,)", x))?;
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let run = folder.run("clip x.npy --threshold 0.1 --json")?;
    run.succeeded();
    let json: Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(json["written"], serde_json::json!(["x.clipped.npy"]));
    let given = json["total_norm"].as_f64().ok_or("no norm")?;
    assert!((given - norm).abs() <= 2.0 * f64::EPSILON * norm, "{given} is not {norm}");
    let tensor = &json["tensors"][0];
    assert_eq!([&tensor["name"], &tensor["dtype"]], ["x", "float64"]);
    assert_eq!([&tensor["shape"], &tensor["clipped"]], [&serde_json::json!([3]), &1.0.into()]);
    for (state, factor) in [("before", 1.0), ("after", 0.1 / (norm + 1e-6))] {
        let given = tensor[state]["mean"].as_f64().ok_or("no mean")?;
        let exact = factor * x.iter().sum::<f64>() / 3.0;
        assert!((given - exact).abs() <= 4.0 * f64::EPSILON * exact.abs(), "{state}: {given} is not {exact}");
    }

    folder.write("nan.safetensors", &stored::file(&[("a", &[2], &[1.0, f32::NAN]), ("b", &[1], &[2.0])], &[])?)?;
    let run = folder.run("clip nan.safetensors --json")?;
    run.succeeded();
    let json: Value = serde_json::from_str(&run.stdout)?;
    assert_eq!([&json["total_norm"], &json["factor"], &json["tensors"][0]["before"]["norm"]], ["NaN", "NaN", "NaN"]);

    let run = folder.run("normalize nan.safetensors --kind layer --json")?;
    run.succeeded();
    let json: Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(json["tensors"][1]["axes"], serde_json::json!([0]));
    Ok(())
}

#[test]
fn shells_and_man_know_the_commands() -> TestResult {
    let folder = Folder::new()?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = folder.run(&format!("completions {shell}"))?;
        run.succeeded();
        for word in ["normalize", "threshold", "max-message-bytes"] {
            assert!(run.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    folder.run("completions")?.refused(&["<SHELL>"]);
    let page = folder.run("man")?;
    page.succeeded();
    assert!(page.stdout.contains(".TH evenkeel 1") && page.stdout.contains("normalize"), "{}", page.stdout);
    let page = folder.run("man clip")?;
    page.succeeded();
    assert!(page.stdout.contains("\\-\\-threshold") && page.stdout.contains("evenkeel\\-clip"), "{}", page.stdout);
    folder.run("man nothing")?.refused(&["nothing"]);
    Ok(())
}

/// The completions that bash offers for the last of these words.
fn offers(folder: &Folder, words: &[&str]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let [.., before, last] = words else { return Err("there are no two words".into()) };
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let script = format!(
        "eval \"$($0 completions bash)\"; COMP_WORDS=({list}); COMP_CWORD={}; _evenkeel evenkeel '{last}' '{before}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.len() - 1,
    );
    let bash = without_environment("bash")
        .args(["--norc", "-c", &script, env!("CARGO_BIN_EXE_evenkeel")])
        .current_dir(folder.path(""))
        .output()?;
    assert!(bash.status.success() && bash.stderr.is_empty(), "{}", String::from_utf8_lossy(&bash.stderr));
    Ok(String::from_utf8(bash.stdout)?.lines().map(str::to_owned).collect())
}

/// `evenkeel` serves where no command is named, and its flags are those of `serve`.
#[test]
fn bash_completes_flags_without_a_command() -> TestResult {
    let folder = Folder::new()?;
    folder.write("settings.toml", b"")?;
    for (words, offered) in [
        (&["evenkeel", "--lis"][..], &["--listen"][..]),
        (&["evenkeel", "serve", "--lis"], &["--listen"]),
        (&["evenkeel", "--listen", "127.0.0.1:0", "--log-f"], &["--log-format"]),
        (&["evenkeel", "--log-format", "j"], &["json"]),
        (&["evenkeel", "--config", "sett"], &["settings.toml"]),
        (&["evenkeel", "norm"], &["normalize"]),
        (&["evenkeel", "--vers"], &["--version"]),
        (&["evenkeel", "clip", "--thr"], &["--threshold"]),
        (&["evenkeel", "clip", "--lis"], &[""]),
    ] {
        assert_eq!(offers(&folder, words)?, offered, "{words:?}");
    }
    // For an empty word bash offers the commands, and not forty flags.
    let all = offers(&folder, &["evenkeel", ""])?;
    assert!(all.contains(&"clip".to_owned()) && !all.contains(&"--listen".to_owned()), "{all:?}");
    Ok(())
}

#[test]
fn help_is_as_wide_as_the_terminal() -> TestResult {
    let folder = Folder::new()?;
    for width in [60, 80, 100] {
        let columns = width.to_string();
        let run = folder.run_with(&[("COLUMNS", &columns)], "clip --help")?;
        run.succeeded();
        let longest = run.stdout.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest <= width && longest > width - 20, "{longest} of {width}: {}", run.stdout);
    }
    Ok(())
}
