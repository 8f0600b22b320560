//! The operations that need no server.

use evenkeel_client::{NormPartial, StatisticsPartial, keep_mask};
use serde_json::{Value, json};

use crate::{
    Answer, Failure,
    values::{bytes, dtype, integer, number, of_bytes, of_number, of_tensor, tensor},
};

/// The answer of an operation that needs no server; `None` for others.
pub(crate) fn answer(op: &str, arguments: &Value) -> Option<Answer> {
    Some(match op {
        "keep_mask" => mask(arguments),
        "convert" => convert(arguments),
        "merge_norms" => merge_norms(arguments),
        "merge_statistics" => merge_statistics(arguments),
        _ => return None,
    })
}

fn mask(arguments: &Value) -> Answer {
    let (seed, offset, n) = (integer(arguments, "seed")?, integer(arguments, "offset")?, integer(arguments, "n")?);
    let keep = keep_mask(seed, n as usize, number(&arguments["p"]), offset)?;
    Ok(json!({"keep": of_bytes(keep.into_iter().map(u8::from).collect::<Vec<_>>())}))
}

fn convert(arguments: &Value) -> Answer {
    let output = tensor(arguments, "input")?.to_dtype(dtype(&arguments["dtype"]));
    Ok(json!({"output": of_tensor(output, false)}))
}

fn partials(arguments: &Value) -> impl Iterator<Item = Vec<u8>> {
    arguments["partials"].as_array().into_iter().flatten().map(bytes)
}

fn refused<T>(_: T) -> Failure {
    Failure::Argument("partials".to_owned())
}

fn merge_norms(arguments: &Value) -> Answer {
    let mut merged: Option<NormPartial> = None;
    for bytes in partials(arguments) {
        let partial = NormPartial::decode(&bytes).map_err(refused)?;
        match &mut merged {
            Some(merged) => merged.merge(&partial).map_err(refused)?,
            None => merged = Some(partial),
        }
    }
    let merged = merged.ok_or_else(|| refused(()))?;
    Ok(json!({"partial": of_bytes(merged.encode()), "total_norm": of_number(merged.total_norm())}))
}

fn merge_statistics(arguments: &Value) -> Answer {
    let mut merged: Option<StatisticsPartial> = None;
    for bytes in partials(arguments) {
        let partial = StatisticsPartial::decode(&bytes).map_err(refused)?;
        match &mut merged {
            Some(merged) => merged.merge(&partial).map_err(refused)?,
            None => merged = Some(partial),
        }
    }
    Ok(json!({"partial": of_bytes(merged.ok_or_else(|| refused(()))?.encode())}))
}
