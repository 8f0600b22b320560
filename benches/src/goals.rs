//! The goals: `goals.json`, which the Python scripts read too.

use serde::{Deserialize, Serialize};

use crate::{Result, statistics::Summary};

/// One ratio to reach.
#[derive(Clone, Debug, Deserialize)]
struct Goal {
    id: String,
    what: String,
    at_least: Option<f64>,
    at_most: Option<f64>,
}

/// The measurement for a goal.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) ratio: Summary,
}

impl Measured {
    pub(crate) fn new(id: impl Into<String>, ratio: Summary) -> Self {
        Self { id: id.into(), ratio }
    }
}

/// Prints measurements beside their goals.
pub(crate) fn print(measured: &[Measured]) -> Result<()> {
    if measured.is_empty() {
        return Ok(());
    }
    let goals: Vec<Goal> = serde_json::from_str(include_str!("../goals.json"))?;
    println!("\n{:72} {:>8} {:>8} {:>18}", "", "goal", "median", "min .. max");
    for Measured { id, ratio } in measured {
        let goal = goals.iter().find(|goal| goal.id == *id).ok_or_else(|| format!("goals.json has no {id}"))?;
        let (sign, limit, reached) = match (goal.at_least, goal.at_most) {
            (Some(limit), None) => (">=", limit, ratio.median >= limit),
            (None, Some(limit)) => ("<=", limit, ratio.median <= limit),
            (Some(_), Some(_)) | (None, None) => return Err(format!("goals.json: {id} needs one limit").into()),
        };
        let range = format!("{:.2} .. {:.2}", ratio.min, ratio.max);
        let verdict = if reached { "reached" } else { "NOT reached" };
        println!("{:72} {:>8} {:>8.2} {range:>18}  {verdict}", goal.what, format!("{sign} {limit}"), ratio.median);
    }
    Ok(())
}
