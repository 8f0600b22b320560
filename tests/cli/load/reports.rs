//! The forms of reports.

use serde_json::Value;

use super::{against, ended, report};
use crate::{
    TestResult,
    program::{Folder, ServerProcess},
    stub::Stub,
};

#[test]
fn json_has_ghzs_fields() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    let run = folder.run(&format!("load --server {} -n 200 -c 4 --shape 4,8 --name first -O json", server.url))?;
    run.succeeded();
    let report = report(&run)?;
    let number = |name: &str| report[name].as_u64().ok_or_else(|| format!("{name} is no whole number"));
    let [count, fastest, average, slowest, total] = ["count", "fastest", "average", "slowest", "total"].map(number);
    let (count, fastest, average, slowest, total) = (count?, fastest?, average?, slowest?, total?);
    assert!(0 < fastest && fastest <= average && average <= slowest && slowest <= total + total / 500, "{report}");
    let rps = report["rps"].as_f64().ok_or("rps")?;
    assert!((rps - count as f64 / (total as f64 / 1e9)).abs() < 1e-6 * rps);
    let distribution = report["latencyDistribution"].as_array().ok_or("no distribution")?;
    let percentages: Vec<_> = distribution.iter().filter_map(|it| it["percentage"].as_u64()).collect();
    let latencies: Vec<_> = distribution.iter().filter_map(|it| it["latency"].as_u64()).collect();
    assert_eq!(percentages, [10, 25, 50, 75, 90, 95, 99]);
    assert!(latencies.len() == 7 && latencies.is_sorted() && latencies[6] <= slowest, "{latencies:?}");
    let histogram = report["histogram"].as_array().ok_or("no histogram")?;
    let sum = |name: &str| histogram.iter().filter_map(|it| it[name].as_f64()).sum::<f64>();
    assert_eq!((histogram.len(), sum("count")), (11, 200.0));
    assert!((sum("frequency") - 1.0).abs() < 1e-9);
    let last = histogram[10]["mark"].as_f64().ok_or("no mark")? * 1e9;
    assert!((last - slowest as f64).abs() < 1.0, "{last} is not {slowest}");
    assert_eq!(
        (&report["name"], &report["options"]["call"]),
        (&"first".into(), &"evenkeel.v1.TensorOpsService/Normalize".into())
    );
    assert!(report["date"].as_str().is_some_and(|date| date.ends_with('Z')));
    let moments = report["timeline"].as_array().ok_or("no timeline")?;
    assert_eq!(moments.iter().filter_map(|it| it["count"].as_u64()).sum::<u64>(), 200);
    Ok(())
}

#[test]
fn the_cpu_time_is_that_of_the_server() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    for (flags, known_by) in
        [("".to_owned(), "the socket that it listens on"), (format!("--server-pid {}", server.pid()), "--server-pid")]
    {
        let run = folder.run(&format!("load --server {} -n 5 --shape 2 -O json {flags}", server.url))?;
        run.succeeded();
        let cpu = &report(&run)?["serverCpu"];
        assert_eq!((&cpu["pid"], &cpu["knownBy"]), (&server.pid().into(), &known_by.into()));
        assert!(cpu["seconds"].as_f64() >= Some(0.0) && cpu["microsecondsPerCall"].is_number(), "{cpu}");
    }
    let run = folder.run(&format!("load --server {} -n 5 --server-pid 4194305", server.url))?;
    run.failed(64, &["--server-pid", "4194305"]);
    Ok(())
}

#[test]
fn the_other_forms_have_the_same_numbers() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    let load = format!("load --server {} -n 50 -c 2 --shape 4,8 --name <first>", server.url);
    let run = folder.run(&load)?;
    run.succeeded();
    for line in
        ["Summary:", "  Name:          <first>", "  Count:         50", "  [OK]  50 responses", "Latency distribution:"]
    {
        assert!(run.stdout.lines().any(|it| it == line), "'{line}' is not in:\n{}", run.stdout);
    }
    let bars = run
        .stdout
        .lines()
        .filter_map(|line| line.split_once('[')?.1.split_once("] "))
        .filter(|(_, bar)| bar.trim_start().starts_with('|'));
    assert_eq!(bars.filter_map(|(count, _)| count.parse::<u64>().ok()).sum::<u64>(), 50, "{}", run.stdout);
    assert!(run.stdout.contains("(process ") && run.stdout.contains("the socket that it listens on"), "{}", run.stdout);

    let run = folder.run(&format!("{load} -O csv"))?;
    run.succeeded();
    let mut lines = run.stdout.lines();
    assert_eq!(lines.next(), Some("latency_ns,count,not_slower"));
    let rows: Vec<Vec<f64>> = lines.map(|line| line.split(',').map(str::parse).collect()).collect::<Result<_, _>>()?;
    assert!(rows.is_sorted_by(|a, b| a[0] < b[0] && a[2] < b[2]));
    assert_eq!((rows.iter().map(|row| row[1]).sum::<f64>(), rows[rows.len() - 1][2]), (50.0, 1.0));

    let run = folder.run(&format!("{load} -O html -o page.html"))?;
    run.succeeded();
    assert_eq!(run.stdout, "wrote page.html: a report on 50 calls\n");
    let page = String::from_utf8(folder.read("page.html")?)?;
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("<h1>&lt;first&gt;</h1>") && !page.contains("<first>"));
    assert_eq!((page.matches("<svg").count(), page.matches("</svg>").count()), (2, 2));
    assert!(
        !page.contains("<script") && !page.contains("src=") && !page.contains("url("),
        "a request to something else"
    );
    let bars = page.split("class=\"calls\"").skip(1);
    let counts = bars.filter_map(|bar| bar.split_once("<title>")?.1.split_once(" calls")?.0.parse::<u64>().ok());
    assert_eq!(counts.sum::<u64>(), 50);
    let run = folder.run(&format!("{load} -O json -o report.json --quiet"))?;
    run.succeeded();
    assert_eq!(run.stdout, "");
    assert_eq!(serde_json::from_slice::<Value>(&folder.read("report.json")?)?["count"], 50);
    Ok(())
}

/// A report is not written over one that is there until it is whole, and failed calls are in its plot.
#[test]
fn failed_calls_are_in_the_page() -> TestResult {
    let (folder, stub) = (Folder::new()?, Stub::start());
    let load = against(&folder, &stub, "-n 2 -c 1 --format html")?;
    stub.call().answer(b"x");
    stub.call().fail("13", "<b>");
    let run = ended(load)?;
    run.succeeded();
    assert!(run.stdout.contains("class=\"failed\"") && run.stdout.contains("desc = &lt;b&gt;"), "{}", run.stdout);
    Ok(())
}
