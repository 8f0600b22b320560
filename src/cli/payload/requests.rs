//! The messages of a request.

mod checks;

use bytes::Bytes;
use evenkeel_proto::{
    FILE_DESCRIPTOR_SET, Method,
    v1::{
        self as pb, clip_gradients_stream_request as clip, dropout_stream_request as dropout,
        measure_statistics_request as measured, normalize_stream_request as normalize,
    },
};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};

use super::{
    Format,
    call::Call,
    options::Options,
    parameters,
    tensors::{self, Tensors},
    values::{Range, Values},
};
use crate::{cli::error::Error, json::Schemas};

/// The longest message that protobuf knows, in Go, Java and C++ as well, and the longest file of messages.
pub(super) const LONGEST: usize = i32::MAX as usize;

/// A request: one message, or those of a stream.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Payload {
    call: Call,
    /// The type of its messages.
    pub(super) request: MessageDescriptor,
    /// As they are on the wire, without gRPC's prefixes.
    pub(in crate::cli) messages: Vec<Bytes>,
}

/// The type of the messages of a call.
pub(super) fn request_of(call: Call) -> MessageDescriptor {
    // The request of health has no fields that must be set, as that of another call, which is compiled in.
    let method = if call.method() == Method::HealthCheck { Method::GetServerInfo } else { call.method() };
    schemas().rpc(method.path()).expect("a test compares the calls of the contract with the table").request.clone()
}

fn schemas() -> Schemas {
    Schemas::new(&[FILE_DESCRIPTOR_SET]).expect("a test decodes it")
}

fn descriptor(name: &str) -> MessageDescriptor {
    schemas().message(&format!("evenkeel.v1.{name}")).expect("the contract has the message")
}

impl Payload {
    /// A request that was made elsewhere.
    pub(super) fn of(call: Call, messages: Vec<Bytes>) -> Self {
        Self { call, request: request_of(call), messages }
    }

    /// Makes a request that is to be written in this format.
    ///
    /// # Errors
    /// A flag does not fit the call, or the request does not fit into memory or into a message.
    pub(in crate::cli) fn new(call: Call, options: &Options, format: Format) -> Result<Self, Error> {
        let maker = Maker { options, values: Values::new(options.dtype, options.seed, options.float_data), format };
        let messages = match call.method() {
            Method::Normalize => vec![encoded(&maker.normalize()?)],
            Method::NormalizeBackward => vec![encoded(&maker.normalize_backward()?)],
            Method::Dropout => vec![encoded(&maker.dropout()?)],
            Method::DropoutBackward => vec![encoded(&maker.dropout_backward()?)],
            Method::ClipGradients => vec![encoded(&maker.clip()?)],
            Method::MeasureGradients | Method::MeasureGradientsUnary => vec![encoded(&maker.measure()?)],
            Method::MeasureStatistics => maker.measure_statistics()?,
            Method::MeasureStatisticsUnary => vec![encoded(&maker.measure_statistics_unary()?)],
            Method::NormalizeStream => maker.normalize_stream()?,
            Method::DropoutStream => maker.dropout_stream()?,
            Method::ClipGradientsStream => maker.clip_stream()?,
            Method::GetServerInfo | Method::HealthCheck => {
                maker.expect_plain()?;
                vec![Bytes::new()]
            }
            Method::HealthWatch | Method::ReflectionV1 | Method::ReflectionV1Alpha | Method::Other => {
                return Err(Error::usage("CALL", "no request can be made for it"));
            }
        };
        match messages.iter().find(|message| message.len() > LONGEST) {
            Some(message) => Err(too_long(message.len())),
            None => Ok(Self { call, request: request_of(call), messages }),
        }
    }

    pub(in crate::cli) fn call(&self) -> Call {
        self.call
    }

    /// The type of its messages, and their number.
    pub(super) fn describe(&self) -> String {
        match self.messages.len() {
            1 => self.request.name().to_owned(),
            many => format!("{many} messages of {}", self.request.name()),
        }
    }

    /// Whether it is a stream of messages, though it may have only one.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.call.method().kind(), "client_stream" | "bidi_stream")
    }
}

/// Makes requests with the options of a command line.
struct Maker<'a> {
    options: &'a Options,
    values: Values,
    format: Format,
}

impl Maker<'_> {
    fn normalize(mut self) -> Result<pb::NormalizeRequest, Error> {
        let (mut request, shape) = self.normalize_header(1)?;
        request.input = Some(self.values.tensor("", &shape, Range::Signed));
        Ok(request)
    }

    fn normalize_backward(mut self) -> Result<pb::NormalizeBackwardRequest, Error> {
        self.expect_unidirectional()?;
        let (mut request, shape) = self.backward_header(2)?;
        request.input = Some(self.values.tensor("", &shape, Range::Signed));
        request.grad_output = Some(self.values.tensor("", &shape, Range::Signed));
        Ok(request)
    }

    /// A request without its input, for whose elements and so many tensors of their size there is room.
    fn normalize_header(&mut self, tensors: usize) -> Result<(pb::NormalizeRequest, Vec<usize>), Error> {
        self.expect_unidirectional()?;
        self.header(tensors)
    }

    fn backward_header(&mut self, tensors: usize) -> Result<(pb::NormalizeBackwardRequest, Vec<usize>), Error> {
        let (request, shape) = self.header(tensors)?;
        let request = pb::NormalizeBackwardRequest::decode(&*request.encode_to_vec());
        Ok((request.expect("the fields of both have the same numbers and types"), shape))
    }

    fn header(&mut self, tensors: usize) -> Result<(pb::NormalizeRequest, Vec<usize>), Error> {
        let mut request: pb::NormalizeRequest = self.parameters("NormalizeRequest", &[("kind", "layer")])?;
        let shape = self.one_shape(tensors)?;
        let Tensors { weight, bias, running_mean, running_var } =
            self.beside(request.kind(), &request.axes, request.channel_axis, &shape)?;
        (request.weight, request.bias) = (weight, bias);
        (request.running_mean, request.running_var) = (running_mean, running_var);
        Ok((request, shape))
    }

    fn dropout(mut self) -> Result<pb::DropoutRequest, Error> {
        self.expect_unidirectional()?;
        let mut request: pb::DropoutRequest = self.dropout_parameters("DropoutRequest")?;
        let shape = self.one_shape(1)?;
        request.input = Some(self.values.tensor("", &shape, Range::Signed));
        Ok(request)
    }

    fn dropout_backward(mut self) -> Result<pb::DropoutBackwardRequest, Error> {
        self.expect_unidirectional()?;
        let mut request: pb::DropoutBackwardRequest = self.dropout_parameters("DropoutBackwardRequest")?;
        let shape = self.one_shape(1)?;
        request.grad_output = Some(self.values.tensor("", &shape, Range::Signed));
        Ok(request)
    }

    fn dropout_parameters<M: Message + Default>(&self, request: &str) -> Result<M, Error> {
        self.expect_no_tensors_beside()?;
        self.parameters(request, &[("p", "0.1")])
    }

    fn clip(mut self) -> Result<pb::ClipGradientsRequest, Error> {
        let mut request = self.clip_header()?;
        request.gradients = self.gradients()?;
        Ok(request)
    }

    fn clip_header(&self) -> Result<pb::ClipGradientsRequest, Error> {
        self.expect_unidirectional()?;
        self.expect_no_tensors_beside()?;
        self.parameters("ClipGradientsRequest", &[("mode", "norm"), ("threshold", "1")])
    }

    fn measure(mut self) -> Result<pb::MeasureGradientsRequest, Error> {
        self.expect_unidirectional()?;
        self.expect_no_tensors_beside()?;
        let mut request: pb::MeasureGradientsRequest = self.parameters("MeasureGradientsRequest", &[])?;
        request.gradients = self.gradients()?;
        Ok(request)
    }

    fn gradients(&mut self) -> Result<Vec<pb::Tensor>, Error> {
        let shapes = self.shapes()?;
        let named = shapes.iter().enumerate();
        Ok(named.map(|(index, shape)| self.values.tensor(&format!("gradient.{index}"), shape, Range::Signed)).collect())
    }

    /// The header of a part whose elements follow, and the part's shape.
    fn statistics_header(&mut self) -> Result<(measured::Part, Vec<usize>), Error> {
        self.expect_bytes()?;
        if self.options.backward {
            let (mut request, shape) = self.backward_header(2)?;
            request.input = Some(self.values.empty(&shape));
            Ok((measured::Part::BackwardHeader(request), shape))
        } else {
            let (mut request, shape) = self.normalize_header(1)?;
            request.input = Some(self.values.empty(&shape));
            Ok((measured::Part::Header(request), shape))
        }
    }

    fn measure_statistics(mut self) -> Result<Vec<Bytes>, Error> {
        let (header, shape) = self.statistics_header()?;
        let (data, gradients) = self.elements_and_gradients(&shape);
        let message = |part, data: Bytes, grad_data: Bytes| {
            encoded(&pb::MeasureStatisticsRequest { part, data, grad_data, ..Default::default() })
        };
        let mut messages = vec![message(Some(header), Bytes::new(), Bytes::new())];
        for (index, data) in self.chunks(&data).enumerate() {
            let from = index * self.options.chunk as usize;
            let until = gradients.len().min(from + data.len());
            messages.push(message(None, data, gradients.slice(from.min(until)..until)));
        }
        Ok(messages)
    }

    fn measure_statistics_unary(mut self) -> Result<pb::MeasureStatisticsRequest, Error> {
        let (header, shape) = self.statistics_header()?;
        let (data, grad_data) = self.elements_and_gradients(&shape);
        Ok(pb::MeasureStatisticsRequest { part: Some(header), data, grad_data, ..Default::default() })
    }

    /// The elements of a part, and the gradients of its output, if the request has them.
    fn elements_and_gradients(&mut self, shape: &[usize]) -> (Bytes, Bytes) {
        let data = self.all(shape);
        let gradients = if self.options.backward { self.all(shape) } else { Bytes::new() };
        (data, gradients)
    }

    fn normalize_stream(mut self) -> Result<Vec<Bytes>, Error> {
        self.expect_bytes()?;
        let (mut header, shape) = self.normalize_header(1)?;
        header.input = Some(self.values.empty(&shape));
        let message = |part| encoded(&pb::NormalizeStreamRequest { part: Some(part) });
        let data = self.all(&shape);
        let pieces = self.chunks(&data).map(|piece| message(normalize::Part::Data(piece)));
        Ok(std::iter::once(message(normalize::Part::Header(header))).chain(pieces).collect())
    }

    fn dropout_stream(mut self) -> Result<Vec<Bytes>, Error> {
        self.expect_bytes()?;
        let message = |part| encoded(&pb::DropoutStreamRequest { part: Some(part) });
        let header = if self.options.backward {
            let mut header: pb::DropoutBackwardRequest = self.dropout_parameters("DropoutBackwardRequest")?;
            header.grad_output = Some(self.values.empty(&self.one_shape(1)?));
            dropout::Part::BackwardHeader(header)
        } else {
            let mut header: pb::DropoutRequest = self.dropout_parameters("DropoutRequest")?;
            header.input = Some(self.values.empty(&self.one_shape(1)?));
            dropout::Part::Header(header)
        };
        let data = self.all(&self.one_shape(1)?);
        let pieces = self.chunks(&data).map(|piece| message(dropout::Part::Data(piece)));
        Ok(std::iter::once(message(header)).chain(pieces).collect())
    }

    fn clip_stream(mut self) -> Result<Vec<Bytes>, Error> {
        self.expect_bytes()?;
        let message = |part| encoded(&pb::ClipGradientsStreamRequest { part: Some(part) });
        let mut messages = vec![message(clip::Part::Header(self.clip_header()?))];
        for (index, shape) in self.shapes()?.iter().enumerate() {
            let name = format!("gradient.{index}");
            messages.push(message(clip::Part::Tensor(pb::Tensor { name, ..self.values.empty(shape) })));
            let data = self.all(shape);
            messages.extend(self.chunks(&data).map(|piece| message(clip::Part::Data(piece))));
        }
        Ok(messages)
    }

    /// The bytes of a tensor.
    fn all(&mut self, shape: &[usize]) -> Bytes {
        self.values.bytes(shape.iter().product(), Range::Signed)
    }

    fn chunks(&self, data: &Bytes) -> impl Iterator<Item = Bytes> {
        let (data, chunk) = (data.clone(), self.options.chunk as usize);
        (0..data.len()).step_by(chunk).map(move |from| data.slice(from..data.len().min(from + chunk)))
    }

    fn parameters<M: Message + Default>(&self, request: &str, needed: &[(&str, &str)]) -> Result<M, Error> {
        let message: DynamicMessage = parameters::with(descriptor(request), &self.options.set, needed)?;
        Ok(message.transcode_to().expect("they are the same message"))
    }

    fn beside(
        &mut self,
        kind: pb::NormKind,
        axes: &[i32],
        channel_axis: Option<i32>,
        input: &[usize],
    ) -> Result<Tensors, Error> {
        let with = &self.options.with;
        if with.is_empty() {
            return Ok(Tensors::default());
        }
        let shape = tensors::shape(kind, axes, channel_axis, input)?;
        Tensors::new(with, kind, &shape, &mut self.values)
    }

    /// The only shape, of so many tensors.
    fn one_shape(&self, tensors: usize) -> Result<Vec<usize>, Error> {
        if self.options.tensors != 1 {
            return Err(Error::usage("--tensors", "only calls on gradients have several tensors"));
        }
        match &self.options.shapes()[..] {
            [shape] => {
                self.expect_room(&vec![shape.clone(); tensors])?;
                Ok(shape.clone())
            }
            shapes => {
                let reason = format!("only calls on gradients have several tensors, and {} are given", shapes.len());
                Err(Error::usage("--shape", reason))
            }
        }
    }

    fn shapes(&self) -> Result<Vec<Vec<usize>>, Error> {
        // Each takes some bytes, however few elements it has.
        const MOST: usize = 1 << 20;
        if self.options.tensors.saturating_mul(self.options.shape.len().max(1)) > MOST {
            return Err(Error::usage("--tensors", format!("there may be {MOST} gradients at most")));
        }
        let shapes = self.options.shapes();
        self.expect_room(&shapes)?;
        Ok(shapes)
    }
}

fn encoded(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn too_long(bytes: usize) -> Error {
    let bytes = if bytes == usize::MAX { "more than 2^64".to_owned() } else { bytes.to_string() };
    Error::usage(
        "--shape",
        format!("the request would have {bytes} bytes, and a message of protobuf has {LONGEST} at most"),
    )
}
