//! A load, as the command line describes it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use clap::ValueEnum;
use evenkeel_frames::Announced;
use evenkeel_load::{Kind, Request, Schedule, Shape, Unending, Until};
use serde_json::json;

use super::{LoadArgs, target::Target};
use crate::cli::{
    error::Error,
    payload::{self, Format, Payload},
    tasks::blocking,
};

/// The calls of a load whose end no flag names, as ghz has it.
const CALLS: u64 = 200;

/// How the rate of an open loop changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LoadSchedule {
    /// It stays.
    #[default]
    Const,
    /// It changes by --load-step at each --load-step-duration.
    Step,
    /// It changes by --load-step in each second, steadily.
    Line,
}

/// A load.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) target: Target,
    pub(super) request: Arc<Request>,
    pub(super) concurrency: usize,
    pub(super) connections: usize,
    pub(super) until: Until,
    pub(super) schedule: Option<Schedule>,
    pub(super) compares_bytes: bool,
    pub(super) counts_errors: bool,
    pub(super) server_pid: Option<u32>,
    /// What is said of it in a report.
    pub(super) options: BTreeMap<&'static str, serde_json::Value>,
}

impl Plan {
    pub(super) async fn new(arguments: &LoadArgs) -> Result<Self, Error> {
        let target = Target::new(&arguments.server, &arguments.security).await?;
        let (concurrency, connections) = (arguments.concurrency as usize, arguments.connections as usize);
        if connections > concurrency {
            let reason =
                format!("{connections} connections need as many calls in flight, and --concurrency is {concurrency}");
            return Err(Error::usage("--connections", reason));
        }
        let until = match (arguments.duration, arguments.total) {
            (Some(duration), None) => Until::Elapsed(duration.into()),
            (None, total) => Until::Calls(total.unwrap_or(CALLS)),
            (Some(_), Some(_)) => return Err(Error::usage("--total", "a load ends after --total or after --duration")),
        };
        let schedule = schedule(arguments, &until)?;
        let payload = payload(arguments).await?;
        let body = body(&payload.messages);
        let kind = match payload.call().method().kind() {
            "bidi_stream" => Kind::Pieces,
            _ => Kind::Message,
        };
        let path = payload.call().method().path();
        let mut request = Request::new(path, target.authority(), body, kind).timeout(arguments.timeout.into());
        if target.is_encrypted() {
            request = request.https();
        }
        if let Some(authorization) = target.authorization() {
            request = request.header("authorization", authorization);
        }
        let options = options(arguments, &payload, &target, request.body_len());
        Ok(Self {
            name: arguments.name.clone().unwrap_or_default(),
            target,
            request: Arc::new(request),
            concurrency,
            connections,
            until,
            schedule,
            compares_bytes: arguments.check,
            counts_errors: arguments.count_errors,
            server_pid: arguments.server_pid,
            options,
        })
    }
}

/// The request: out of a file, or made.
async fn payload(arguments: &LoadArgs) -> Result<Payload, Error> {
    let (call, options) = (arguments.call, arguments.options.clone());
    let (json, binary) = (arguments.data_file.clone(), arguments.binary_file.clone());
    blocking(move || match (json, binary) {
        (Some(path), _) => payload::read(call, &path, Format::Json),
        (None, Some(path)) => payload::read(call, &path, Format::Binary),
        (None, None) => Payload::new(call, &options, Format::Binary),
    })
    .await
}

/// Messages with gRPC's prefixes.
fn body(messages: &[Bytes]) -> Bytes {
    let mut body = BytesMut::new();
    for message in messages {
        Announced::plain(message.len()).put(&mut body);
        body.put_slice(message);
    }
    body.freeze()
}

/// The schedule of an open loop; `None`: the loop is closed.
fn schedule(arguments: &LoadArgs, until: &Until) -> Result<Option<Schedule>, Error> {
    let LoadArgs { rps, load_schedule, load_start, load_step, load_end, load_step_duration, .. } = arguments;
    let rate = |flag: &str, rate: f64| {
        let is_rate = rate.is_finite() && (0.0..=1e9).contains(&rate);
        if is_rate { Ok(rate) } else { Err(Error::usage(flag, "it must be from 0 to 1e9 calls per second")) }
    };
    let above_zero = |flag: &str, given: Option<f64>| match given.map(|given| rate(flag, given)).transpose()? {
        Some(rate) if rate > 0.0 => Ok(rate),
        Some(_) => Err(Error::usage(flag, "it must be above 0")),
        None => Err(Error::usage(flag, "this --load-schedule needs it")),
    };
    let end = load_end.map(|end| rate("--load-end", end)).transpose()?;
    let stray = |flags: &[(&str, bool)], reason: &str| match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Error::usage(*flag, reason.to_owned())),
        None => Ok(()),
    };
    let changes = [
        ("--load-start", load_start.is_some()),
        ("--load-step", load_step.is_some()),
        ("--load-end", load_end.is_some()),
        ("--load-step-duration", load_step_duration.is_some()),
    ];
    let shape = match load_schedule {
        LoadSchedule::Const => {
            stray(&changes, "it needs --load-schedule step or line")?;
            match *rps {
                None => return Ok(None),
                Some(rps) => Shape::Const { rate: above_zero("--rps", Some(rps))? },
            }
        }
        LoadSchedule::Step | LoadSchedule::Line => {
            stray(&[("--rps", rps.is_some())], "the rate is that of --load-start and --load-step")?;
            let step = load_step.filter(|step| step.is_finite() && *step != 0.0);
            let step =
                step.ok_or_else(|| Error::usage("--load-step", "this --load-schedule needs one other than 0"))?;
            if *load_schedule == LoadSchedule::Line {
                stray(&changes[3..], "it needs --load-schedule step")?;
                let start = rate("--load-start", load_start.unwrap_or(0.0))?;
                Shape::Line { start, slope: step, end }
            } else {
                let every = load_step_duration.map(Duration::from).filter(|every| !every.is_zero());
                let every =
                    every.ok_or_else(|| Error::usage("--load-step-duration", "this --load-schedule needs it"))?;
                Shape::Step { start: above_zero("--load-start", *load_start)?, step, every, end }
            }
        }
    };
    let (start, step) = (load_start.unwrap_or(0.0), load_step.unwrap_or(0.0));
    if end.is_some_and(|end| (end - start) * step < 0.0) {
        let reason = format!("with steps of {step} the rate goes away from it");
        return Err(Error::usage("--load-end", reason));
    }
    let (lasts, calls) = match until {
        Until::Elapsed(duration) => (Some(*duration), None),
        Until::Calls(calls) => (None, Some(*calls)),
        Until::Stopped(_) => (None, None),
    };
    let many = |Unending| Error::usage("--load-step-duration", "the load would have more than 10000 rates");
    Schedule::new(shape, lasts, calls).map(Some).map_err(many)
}

fn options(
    arguments: &LoadArgs,
    payload: &Payload,
    target: &Target,
    bytes: usize,
) -> BTreeMap<&'static str, serde_json::Value> {
    let LoadArgs { concurrency, connections, duration, total, timeout, rps, load_schedule, .. } = arguments;
    let schedule = load_schedule.to_possible_value().map(|value| value.get_name().to_owned());
    let mut options = BTreeMap::from([
        ("call", json!(payload.call().name())),
        ("host", json!(target.to_string())),
        ("insecure", json!(!target.is_encrypted())),
        ("concurrency", json!(concurrency)),
        ("connections", json!(connections)),
        ("timeout", json!(Duration::from(*timeout).as_nanos() as u64)),
        ("requestBytes", json!(bytes)),
        ("check", json!(arguments.check)),
        ("loadSchedule", json!(schedule)),
    ]);
    let total = total.or(duration.is_none().then_some(CALLS));
    options.extend(total.map(|total| ("total", json!(total))));
    options.extend(duration.map(|duration| ("duration", json!(Duration::from(duration).as_nanos() as u64))));
    options.extend(rps.map(|rps| ("rps", json!(rps))));
    for (name, value) in [
        ("loadStart", arguments.load_start),
        ("loadStep", arguments.load_step),
        ("loadEnd", arguments.load_end),
        ("loadStepDuration", arguments.load_step_duration.map(|it| Duration::from(it).as_nanos() as f64)),
    ] {
        options.extend(value.map(|value| (name, json!(value))));
    }
    options
}
