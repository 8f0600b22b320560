//! `evenkeel clip`: clips the gradients in a file, all together.

mod calls;
mod way;

use std::sync::Arc;

use clap::{Args, ValueEnum};
use evenkeel_proto::v1 as pb;
use serde_json::Value;

use self::{
    calls::{Gradients, Measured, Parcel},
    way::Way,
};
use super::{
    arguments::FileArgs,
    error::Error,
    files::{Stored, commit, element},
    interrupt::Stage,
    opened::Entry,
    pieces::parcels,
    report::{Report, ReportArgs, number as json_number},
    run::{self, Comparison, Tell},
    session::ServerArgs,
    summary::share,
    table::{number, percent},
    text,
};

/// How gradients are clipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// By one norm over all elements of all tensors.
    #[default]
    Norm,
    /// Every element to [-threshold, threshold].
    Value,
    /// As `norm`, each tensor by its own norm.
    NormPerTensor,
}

impl From<Mode> for pb::ClipMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Norm => Self::Norm,
            Mode::Value => Self::Value,
            Mode::NormPerTensor => Self::NormPerTensor,
        }
    }
}

/// The flags of `evenkeel clip`.
#[derive(Args, Clone, Debug)]
pub struct ClipArgs {
    #[command(flatten)]
    files: FileArgs,

    #[command(flatten)]
    report: ReportArgs,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    options: Options,
}

/// What is asked of the server.
#[derive(Args, Clone, Copy, Debug)]
struct Options {
    /// How to clip.
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// The largest norm, or (`--mode value`) the largest absolute value.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, allow_hyphen_values = true)]
    threshold: f64,

    /// The order of the norm: above 0, or `inf` for the largest absolute value. Default: 2.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    norm_type: Option<f64>,

    /// Fail, and write nothing, if a norm is NaN or infinite.
    #[arg(long)]
    error_if_nonfinite: bool,

    /// The norm of all gradients, measured elsewhere, where INPUT holds only some of them; for `--mode norm`.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    total_norm: Option<f64>,

    /// Added to the norm before the threshold is divided by it; not for `--mode value`. Default: 1e-6, PyTorch's;
    /// Optax and TensorFlow have 0.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    epsilon: Option<f64>,

    /// Round so that the exact norm of what is written is never above the threshold, as differential privacy needs it; for
    /// norms of order 1, 2 and inf, without `--total-norm`.
    #[arg(long)]
    not_above: bool,
}

impl Options {
    /// The request without its gradients.
    fn request(&self) -> pb::ClipGradientsRequest {
        let Self { mode, threshold, norm_type, error_if_nonfinite, total_norm, epsilon, not_above } = *self;
        pb::ClipGradientsRequest {
            mode: pb::ClipMode::from(mode).into(),
            threshold: Some(threshold),
            norm_type,
            error_if_nonfinite,
            total_norm,
            epsilon,
            not_above,
            gradients: Vec::new(),
        }
    }
}

/// The results of all calls together, for all gradients.
#[derive(Clone, Copy, Debug)]
struct Totals {
    norm: f64,
    scale: f64,
    clipped: u64,
}

impl ClipArgs {
    /// Clips, writes and prints.
    ///
    /// # Errors
    /// [`Error`]; then nothing is written, unless it says so.
    pub async fn run(self, stage: Stage) -> Result<(), Error> {
        let Self { files, report: how, server, options } = self;
        let opened = files.open("clipped", |_| true).await?;
        for target in opened.targets() {
            target.keep_off_inputs(server.files())?;
        }
        let reached = server.reach().await?;
        let sizes: Vec<(usize, usize)> =
            opened.tensors().filter_map(|Entry { tensor, .. }| Some((tensor.len, size(tensor)?))).collect();
        let way = Way::of(&options, &sizes, how, &reached).map_err(|reason| opened.error(reason))?;
        let (outputs, to) = opened.create().await?;
        let largest = way.largest(&sizes);
        let session = reached.session(largest).await?;
        let progress = how.progress(opened.bytes());

        let mut tensors = Vec::new();
        let mut passed = Vec::new();
        for (entry, to) in opened.tensors().zip(to) {
            match element::computed(entry.tensor.dtype) {
                Some(dtype) => tensors.push((entry.tensor.clone(), dtype, to)),
                None => passed.push((entry.tensor.clone(), to)),
            }
        }
        let gradients = Arc::new(Gradients {
            tensors,
            calls: session.calls(largest),
            progress: progress.clone(),
            tell: how.tell(Tell::Changes),
        });
        let clipped = gradients.clip(options, way, &sizes).await;
        let (totals, comparisons) = clipped.map_err(|(failure, parcel)| {
            let sent: Vec<Entry<'_>> = opened.tensors().filter(|entry| size(entry.tensor).is_some()).collect();
            let sent: Vec<_> = parcel.iter().map(|part| sent[part.tensor].named()).collect();
            failure.of_tensors(&sent)
        })?;
        progress.phase("copying");
        let mut comparisons = comparisons.into_iter();
        let mut passed = passed.into_iter();
        let mut report = Report::new("clipped", &opened);
        for entry in opened.tensors() {
            if size(entry.tensor).is_some() {
                let comparison = comparisons.next().unwrap_or_default();
                let share = share(comparison.changed, entry.tensor.elements(), 0.0);
                report.compared(entry, comparison, percent(share), share.into());
            } else if let Some((tensor, to)) = passed.next() {
                report.unchanged(entry, run::pass_on(tensor, to, !how.is_quiet(), progress.clone()).await?);
            }
        }
        progress.finish();
        // The command's own server ends when its last client has disconnected.
        drop(gradients);
        session.close().await?;
        opened.expect_unchanged()?;
        commit(outputs, &stage).await?;
        let (line, json) = options.totals(totals);
        report.total(line, json);
        report.print(how, &opened.targets().collect::<Vec<_>>()).await
    }
}

/// The bytes of an element, if it is computed with.
fn size(tensor: &Stored) -> Option<usize> {
    element::computed(tensor.dtype).map(|dtype| dtype.size())
}

impl Options {
    /// The totals as a line below the table, and in JSON.
    fn totals(&self, Totals { norm, scale, clipped }: Totals) -> (String, Vec<(&'static str, Value)>) {
        let total = number(norm);
        let mut json = vec![("total_norm", json_number(norm))];
        let line = match self.mode {
            Mode::Norm => {
                json.push(("factor", json_number(scale)));
                format!("total norm {total}, factor {}", number(scale))
            }
            Mode::NormPerTensor => {
                json.push(("smallest_factor", json_number(scale)));
                format!("total norm {total}, smallest factor {}", number(scale))
            }
            Mode::Value => {
                json.push(("elements_clipped", clipped.into()));
                format!("total norm {total}, elements clipped: {clipped}")
            }
        };
        (line, json)
    }
}

type Clipped = Result<(Totals, Vec<Comparison>), (run::Failure, Parcel)>;

impl Gradients {
    /// Clips and writes all gradients; returns a comparison for each of them.
    async fn clip(self: &Arc<Self>, options: Options, way: Way, sizes: &[(usize, usize)]) -> Clipped {
        let Way::Pieces { budget, measures } = way else {
            self.progress.phase("clipping");
            return self.send(vec![(way::whole(sizes), options.request())], None).await;
        };
        let parcels = |apart| parcels(sizes, budget, apart);
        // What the server would refuse is refused before the first byte is read.
        self.calls.clip(options.request()).await.map_err(|error| (error.into(), Parcel::new()))?;
        let mut request = options.request();
        let measured = if measures {
            self.progress.phase("measuring");
            let apart = options.mode == Mode::NormPerTensor || options.error_if_nonfinite;
            let measured = self.measure(parcels(apart), options.norm_type).await?;
            if options.error_if_nonfinite && !measured.total.is_finite() {
                return Err((self.not_finite(&measured).into(), Parcel::new()));
            }
            request.error_if_nonfinite = false;
            Some(measured)
        } else {
            None
        };
        self.progress.phase("clipping");
        let total = measured.as_ref().map(|measured| measured.total);
        match options.mode {
            Mode::Norm => {
                request.total_norm = options.total_norm.or(total);
                self.send(parcels(false).into_iter().map(|parcel| (parcel, request.clone())).collect(), None).await
            }
            Mode::Value => {
                // The norm is not measured only if there is no report that would show it.
                let total = Some(total.unwrap_or(f64::NAN));
                self.send(parcels(false).into_iter().map(|parcel| (parcel, request.clone())).collect(), total).await
            }
            Mode::NormPerTensor => {
                // A call has one tensor, or a part of one, and clips it by that tensor's own norm.
                request.mode = pb::ClipMode::Norm.into();
                let norms = measured.map(|measured| measured.norms).unwrap_or_default();
                let of = |parcel: Parcel| {
                    let total_norm = parcel.first().and_then(|part| norms.get(part.tensor).copied());
                    (parcel, pb::ClipGradientsRequest { total_norm, ..request.clone() })
                };
                self.send(parcels(true).into_iter().map(of).collect(), total).await
            }
        }
    }

    /// The error that names the gradients whose norm is not finite.
    fn not_finite(&self, measured: &Measured) -> Error {
        let is_finite = |(norm, _): &(&f64, &Stored)| norm.is_finite();
        let tensors = self.tensors.iter().map(|(tensor, _, _)| tensor);
        let wrong = measured.norms.iter().zip(tensors).filter(|pair| !is_finite(pair));
        let names = text::list(wrong.map(|(_, tensor)| &*tensor.name));
        Error::NotFinite { total: measured.total, names }
    }
}
