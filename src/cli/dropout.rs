//! `evenkeel dropout`: drops elements of the tensors of a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use evenkeel_client::DType;
use evenkeel_kernels::{Dropout, DropoutKind, DropoutScaling};
use evenkeel_proto::v1 as pb;
use safetensors::Dtype;

use super::{
    arguments::FileArgs,
    error::Error,
    files::{Contents, Form, Stored, Target, commit, element},
    interrupt::Stage,
    opened::{Entry, Opened, create},
    pieces::{DrawPiece, Draws},
    progress::Progress,
    report::{Report, ReportArgs},
    run::{self, Comparison, Destination, Tell},
    session::{Calls, ServerArgs},
    summary::share,
    table::percent,
    tasks::{all, blocking},
};

/// Which elements share a draw, and what replaces those that are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One draw for every element; dropped ones become 0.
    #[default]
    Element,
    /// One draw for each channel of each sample.
    Channel,
    /// One draw for every element; an affine map keeps mean and variance.
    Alpha,
    /// As `alpha`, with one draw for each channel of each sample.
    FeatureAlpha,
}

impl Kind {
    /// The kind as the kernels and as the contract name it.
    fn names(self) -> (DropoutKind, pb::DropoutKind) {
        match self {
            Self::Element => (DropoutKind::Element, pb::DropoutKind::Element),
            Self::Channel => (DropoutKind::Channel, pb::DropoutKind::Channel),
            Self::Alpha => (DropoutKind::Alpha, pb::DropoutKind::Alpha),
            Self::FeatureAlpha => (DropoutKind::FeatureAlpha, pb::DropoutKind::FeatureAlpha),
        }
    }
}

/// What happens to the elements that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scaling {
    /// They are multiplied by 1 / (1 - p).
    #[default]
    Inverted,
    /// They keep their values.
    None,
}

impl Scaling {
    /// The scaling as the kernels and as the contract name it.
    fn names(self) -> (DropoutScaling, pb::DropoutScaling) {
        match self {
            Self::Inverted => (DropoutScaling::Inverted, pb::DropoutScaling::Inverted),
            Self::None => (DropoutScaling::None, pb::DropoutScaling::None),
        }
    }
}

/// The flags of `evenkeel dropout`.
#[derive(Args, Clone, Debug)]
pub struct DropoutArgs {
    #[command(flatten)]
    files: FileArgs,

    #[command(flatten)]
    report: ReportArgs,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    options: Options,

    /// Write the masks, true where an element was kept: a .npy file of bool for one tensor, a .safetensors file for
    /// several.
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
}

/// What is asked of the server.
#[derive(Args, Clone, Copy, Debug)]
struct Options {
    /// The probability that an element is dropped.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.5, allow_hyphen_values = true)]
    p: f64,

    /// The key of the random stream; the same seed gives the same mask.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The index of the first draw in the stream. Several tensors draw one after another.
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,

    /// Which elements share a draw, and what replaces those that are dropped.
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,

    /// What happens to the elements that are kept.
    #[arg(long, value_enum, default_value_t)]
    scaling: Scaling,

    /// The axis of the channels, for `--kind channel` and `feature-alpha`; negative ones count from the end. Default: 1.
    #[arg(long, value_name = "AXIS", allow_hyphen_values = true)]
    channel_axis: Option<i32>,
}

impl Options {
    fn by_channel(&self) -> bool {
        match self.kind {
            Kind::Element | Kind::Alpha => false,
            Kind::Channel | Kind::FeatureAlpha => true,
        }
    }

    /// How each tensor is cut, for messages of at most `limit` bytes; `None`: it is passed on.
    fn draws(&self, opened: &Opened, limit: usize) -> Vec<Option<Draws>> {
        let draws = |Entry { tensor: Stored { dtype, shape, .. }, computed, .. }: Entry<'_>| {
            let dtype = element::computed(*dtype).filter(|_| computed)?;
            // The answer also has a bit of the mask for each element, which is at most an eighth of the element's
            // bytes.
            let channel_axis = self.by_channel().then(|| self.channel_axis.unwrap_or(1));
            Some(Draws::new(shape, dtype.size(), channel_axis, limit / 9 * 8))
        };
        opened.tensors().map(draws).collect()
    }

    /// Refuses a tensor that is longer than a message and cannot be cut, since the arguments do not fit its shape. The
    /// server would only say that the message is too long.
    fn expect_fit(&self, entry: Entry<'_>, draws: Option<&Draws>) -> Result<(), Error> {
        if draws.is_none_or(Draws::fit) {
            return Ok(());
        }
        let Self { p, seed, offset, kind, scaling, channel_axis } = *self;
        let ((kind, _), (scaling, _)) = (kind.names(), scaling.names());
        let violations =
            Dropout { p, seed, offset, kind, scaling, channel_axis }.check("input.shape", Some(&entry.tensor.shape));
        Error::of_arguments(&violations, &[entry.named()]).map_or(Ok(()), Err)
    }

    /// Whether a tensor of so many dimensions can have its elements dropped: one without dimensions has no channels.
    fn takes(&self) -> fn(usize) -> bool {
        if self.by_channel() { |rank| rank > 0 } else { |_| true }
    }
}

/// A tensor whose elements are dropped.
struct Job {
    tensor: Stored,
    dtype: DType,
    draws: Draws,
    /// The index of its first draw in the stream.
    offset: u64,
    to: Destination,
    mask: Option<Destination>,
}

impl DropoutArgs {
    /// Drops, writes and prints.
    ///
    /// # Errors
    /// [`Error`]; then nothing is written, unless it says so.
    pub async fn run(self, stage: Stage) -> Result<(), Error> {
        let Self { files, report: how, server, options, mask } = self;
        let opened = files.open("dropout", options.takes()).await?;
        let mask = mask.map(|path| Target::named("--mask", &path, opened.format())).transpose()?;
        for target in opened.targets() {
            target.keep_off_inputs(server.files())?;
        }
        if let Some(mask) = &mask {
            mask.keep_off_inputs(server.files().chain(opened.inputs()))?;
            mask.keep_off_read(opened.read_files())?;
            opened.targets().try_for_each(|target| mask.keep_off_output(target))?;
            mask.lay_out(&mask_forms(&opened, &options.draws(&opened, usize::MAX)), &Contents::default())?;
        }
        let reached = server.reach().await?;
        let draws = options.draws(&opened, reached.limit());
        for (entry, draws) in opened.tensors().zip(&draws) {
            options.expect_fit(entry, draws.as_ref())?;
        }
        let (mut outputs, to) = opened.create().await?;
        let masks = match mask.clone() {
            Some(mask) => Some(create(mask, mask_forms(&opened, &draws), Contents::default()).await?),
            None => None,
        };
        let largest = draws.iter().flatten().flat_map(Draws::pieces).map(|piece| piece.region.len()).max();
        let largest = largest.unwrap_or(0);
        let session = reached.session(largest + largest / 8).await?;
        let calls = session.calls(largest);
        let progress = how.progress(opened.bytes());
        progress.phase("dropping");

        let mut report = Report::new("kept", &opened);
        let mut offset = options.offset;
        let mut mask_places = masks.iter().flat_map(|(_, places)| places);
        for ((entry, draws), to) in opened.tensors().zip(draws).zip(to) {
            let tensor = entry.tensor.clone();
            let Some((draws, dtype)) = draws.zip(element::computed(tensor.dtype)) else {
                let tell = how.tell(Tell::Summaries) != Tell::Nothing;
                report.unchanged(entry, run::pass_on(tensor, to, tell, progress.clone()).await?);
                continue;
            };
            let count = draws.count() as u64;
            let job = Job { tensor, dtype, draws, offset, to, mask: mask_places.next().cloned() };
            let (comparison, kept) = job
                .run(&calls, options, how.tell(Tell::Summaries), &progress)
                .await
                .map_err(|error| error.of_tensors(&[entry.named()]))?;
            let kept = share(kept, entry.tensor.elements(), 1.0);
            report.compared(entry, comparison, percent(kept), kept.into());
            offset = offset.wrapping_add(count);
        }
        progress.finish();
        drop(calls);
        session.close().await?;
        outputs.extend(masks.map(|(output, _)| output));
        opened.expect_unchanged()?;
        commit(outputs, &stage).await?;
        report.print(how, &opened.targets().chain(&mask).collect::<Vec<_>>()).await
    }
}

/// The tensors in the file of masks.
fn mask_forms(opened: &Opened, draws: &[Option<Draws>]) -> Vec<Form> {
    let form = |(Entry { tensor, .. }, draws): (Entry<'_>, &Option<Draws>)| {
        let draws = draws.as_ref()?;
        let shape = draws.mask_shape().to_vec();
        Some(Form { name: tensor.name.clone(), dtype: Dtype::BOOL, shape, len: draws.count() })
    };
    opened.tensors().zip(draws).filter_map(form).collect()
}

impl Job {
    /// Drops and writes; returns the comparison, and the number of elements that were kept.
    async fn run(
        self,
        calls: &Calls,
        options: Options,
        tell: Tell,
        progress: &Progress,
    ) -> Result<(Comparison, u64), run::Failure> {
        let job = std::sync::Arc::new(self);
        let work = job.draws.pieces().into_iter().map(|piece| {
            let (job, calls, progress) = (job.clone(), calls.clone(), progress.clone());
            async move { job.call(piece, calls, options, tell, progress).await }
        });
        let mut whole = (Comparison::default(), 0);
        for (comparison, kept) in all(calls.at_once(), work).await? {
            whole.0.merge(&comparison);
            whole.1 += kept;
        }
        Ok(whole)
    }

    async fn call(
        &self,
        piece: DrawPiece,
        calls: Calls,
        options: Options,
        tell: Tell,
        progress: Progress,
    ) -> Result<(Comparison, u64), run::Failure> {
        let DrawPiece { region, shape, first, draws, channel_axis } = piece;
        let before = run::read(&self.tensor, region, &progress).await?;
        let Options { p, seed, offset: _, kind, scaling, channel_axis: of_all } = options;
        let ((_, kind), (_, scaling)) = (kind.names(), scaling.names());
        let request = pb::DropoutRequest {
            p: Some(p),
            seed,
            offset: self.offset.wrapping_add(first as u64),
            kind: kind.into(),
            scaling: scaling.into(),
            return_mask: self.mask.is_some(),
            // If the tensor has no such axis, the server refuses it.
            channel_axis: channel_axis.or(of_all),
            input: Some(element::message(self.dtype, &shape, before.clone())),
        };
        let pb::DropoutResponse { kept, mask, output } = calls.dropout(request).await?;
        let after = run::answered("output", output, self.dtype, &before)?;
        progress.has_answer(before.len());
        if self.mask.is_some() && mask.len() < draws.div_ceil(8) {
            return Err(run::broken("mask", format!("has {} bytes for {draws} draws", mask.len())));
        }
        let (dtype, to, of_mask) = (self.dtype, self.to.clone(), self.mask.clone());
        let comparison = blocking(move || {
            if let Some(to) = of_mask {
                let bits: Vec<u8> = (0..draws).map(|draw| mask[draw / 8] >> (draw % 8) & 1).collect();
                to.writer.write(to.offset + first as u64, &bits)?;
            }
            run::write((region, &to), (dtype, tell), (&before, &after), &progress)
        });
        Ok((comparison.await?, kept))
    }
}
