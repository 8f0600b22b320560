//! Why a call has no result.

use std::{collections::HashMap, fmt, io, time::Duration};

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RetryInfo, RpcStatusExt as _, pb};

use crate::deadline::Deadline;

/// The `domain` of the service's `google.rpc.ErrorInfo`; the same reason under another domain means something else.
const DOMAIN: &str = "evenkeel";

/// Why a call has no result.
///
/// ```
/// use evenkeel_client::{Client, Error, NormKind};
/// use ndarray::Array2;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
/// # let client = Client::connect(server.url()).await?;
/// let x = Array2::<f32>::zeros((4, 3));
/// match client.normalize(&x).kind(NormKind::Layer).axes([2]).send().await {
///     Err(Error::InvalidArgument { violations, .. }) => assert_eq!(violations[0].field, "axes[0]"),
///     other => panic!("a tensor of two dimensions has no axis 2: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Arguments do not fit the call or each other.
    #[error("invalid argument: {message}")]
    InvalidArgument {
        /// The server's message.
        message: String,
        /// The fields that are wrong, by their paths in the request.
        violations: Vec<FieldViolation>,
    },

    /// A norm is NaN or infinite, and the call has set `error_if_nonfinite`. Nothing was clipped.
    #[error("{message}")]
    NonFiniteNorm {
        /// The server's message: the norm, and the gradients that make it so.
        message: String,
        /// The norm.
        total_norm: f64,
        /// The elements that make it so. All counts are 0 if the server is too old to report them.
        elements: NonFinite,
    },

    /// A message is larger than the server, or this client, takes. A larger
    /// [`max_message_bytes`](crate::Builder::max_message_bytes) helps if the limit is the client's.
    #[error("too large: {message}")]
    TooLarge {
        /// Which message is too large, and what the limit is.
        message: String,
    },

    /// The call's metadata, such as the token, is larger than the server takes.
    #[error("the metadata is too large: {message}")]
    MetadataTooLarge {
        /// The server's message, with its limit.
        message: String,
    },

    /// The server would have to hold more of a stream's elements than it has memory for: a norm, or the statistics of a set, are
    /// known only after the last of them. Measure first, and send the result with the second pass:
    /// [`ClipGradientsStream::send_in_two_passes`](crate::ClipGradientsStream::send_in_two_passes) and
    /// [`NormalizeStream::send_in_two_passes`](crate::NormalizeStream::send_in_two_passes) do so. Calls on arrays do it by
    /// themselves.
    #[error("two passes are needed: {message}")]
    NeedsTwoPasses {
        /// The server's message: how much it would have to hold, and which two calls need next to none.
        message: String,
    },

    /// The server is overloaded. It has refused the call at once, and the call may be tried again.
    #[error("the server is busy: {message}")]
    Busy {
        /// The server's message.
        message: String,
        /// How long the server asks the client to wait before the next try.
        retry_after: Option<Duration>,
    },

    /// The call took longer than its [`timeout`](crate::Builder::timeout).
    #[error("the deadline has passed: {message}")]
    DeadlineExceeded {
        /// Which side gave up, and why.
        message: String,
    },

    /// There is no connection, or it broke: the server is down, does not exist, or is about to stop.
    #[error("the server is unavailable: {message}")]
    Unavailable {
        /// The error of the connection.
        message: String,
        /// The transport's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A setting of the [`Builder`](crate::Builder) cannot be used, or not with this URL. Nothing was sent.
    #[error("{setting}: {reason}")]
    Setting {
        /// The name of the builder's method; `url` for the URL.
        setting: &'static str,
        /// Why the setting cannot be used. It repeats no secret.
        reason: String,
    },

    /// The URL cannot be used, no server answers there, or the client does not trust the server's certificate.
    #[error("cannot connect to {url}: {}", innermost(source))]
    Connect {
        /// The URL.
        url: String,
        /// Why the connection failed.
        source: tonic::transport::Error,
    },

    /// The response breaks the contract: the server is not evenkeel, or of another version.
    #[error("the server's answer breaks the contract: {field} {reason}")]
    Protocol {
        /// The field's path in the response.
        field: String,
        /// How the field breaks the contract.
        reason: String,
    },

    /// The reader of a streamed tensor failed, or ended before it had given all elements. The call was cancelled.
    #[error("cannot read the elements: {0}")]
    Read(#[source] io::Error),

    /// The writer of a streamed result failed. The call was cancelled, and a part of the result may be written.
    #[error("cannot write the result: {0}")]
    Write(#[source] io::Error),

    /// Any other gRPC status.
    #[error("{:?}: {}", .0.code(), bounded(.0.message()))]
    Status(Box<Status>),
}

/// The last cause in the chain: tonic's own message says only "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The message of a status. If the status did not come over the wire, its cause and the reason why the connection broke follow.
fn with_cause(status: &Status, last_words: Option<String>) -> String {
    let mut message = status.message().to_owned();
    if std::error::Error::source(status).is_some() {
        for cause in [Some(innermost(status)), last_words].into_iter().flatten() {
            if !message.contains(&cause) {
                message = format!("{message}: {cause}");
            }
        }
    }
    bounded(&message)
}

/// The most bytes of a message: a server, or a name in its answer, may be of any length.
const LONGEST: usize = 4096;

/// The beginning of a message that is too long.
fn bounded(message: &str) -> String {
    if message.len() <= LONGEST {
        return message.to_owned();
    }
    let end = (0..=LONGEST - 3).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
    format!("{}...", &message[..end])
}

/// The details of a status, without a delay of the least number of seconds: prost-types negates it, and overflows.
fn details_of(status: &Status) -> ErrorDetails {
    let mut details = pb::Status::decode(status.details()).unwrap_or_default();
    details.details.retain(|detail| {
        let retry =
            pb::RetryInfo::decode(&*detail.value).ok().filter(|_| detail.type_url.ends_with("google.rpc.RetryInfo"));
        retry.and_then(|retry| retry.retry_delay).is_none_or(|delay| delay.seconds != i64::MIN)
    });
    details.get_error_details()
}

/// The delay that a server asks for. One of 0, which a negative one also becomes, says nothing.
fn asked(retry: &RetryInfo) -> Option<Duration> {
    retry.retry_delay.filter(|delay| !delay.is_zero())
}

/// The elements of gradients that are NaN or infinite. There may be none: the norm of finite elements can be beyond
/// float64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NonFinite {
    /// How many elements are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
    /// How many gradients have such elements.
    pub gradients: u64,
    /// The first of these gradients, 16 at most: the index, and the name, which the server shortens to 64 bytes.
    pub first: Vec<(usize, String)>,
}

impl NonFinite {
    fn from_metadata(metadata: &HashMap<String, String>) -> Self {
        let number = |key: &str| metadata.get(key).and_then(|value| value.parse().ok()).unwrap_or_default();
        let named =
            |(key, name): (&String, &String)| Some((key.strip_prefix("gradient_")?.parse().ok()?, name.clone()));
        let mut first: Vec<(usize, String)> = metadata.iter().filter_map(named).collect();
        first.sort_unstable();
        Self {
            nan: number("nan_elements"),
            infinite: number("infinite_elements"),
            gradients: number("nonfinite_gradients"),
            first,
        }
    }
}

/// A field that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path in the request: `weight.shape`, `gradients[3].data`.
    pub field: String,
    /// Why the server refuses the field.
    pub description: String,
}

impl fmt::Display for FieldViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

impl Error {
    pub(crate) fn setting(setting: &'static str, reason: impl Into<String>) -> Self {
        Self::Setting { setting, reason: reason.into() }
    }

    pub(crate) fn protocol(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Protocol { field: field.into(), reason: bounded(&reason.into()) }
    }

    /// The error that a status means. `last_words`: why the connection broke, if it did.
    pub(crate) fn from_status(status: Status, deadline: Deadline, last_words: Option<String>) -> Self {
        let details = details_of(&status);
        let message = || bounded(status.message());
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        match status.code() {
            Code::InvalidArgument => Self::InvalidArgument {
                message: message(),
                violations: details.bad_request().map_or_else(Vec::new, |request| {
                    let violations = request.field_violations.iter();
                    violations
                        .map(|violation| FieldViolation {
                            field: violation.field.clone(),
                            description: violation.description.clone(),
                        })
                        .collect()
                }),
            },
            Code::FailedPrecondition => {
                let norm = info.filter(|info| info.reason == "NONFINITE_NORM").map(|info| &info.metadata);
                let total = norm.and_then(|metadata| metadata.get("total_norm")?.parse().ok());
                match norm.zip(total) {
                    Some((metadata, total_norm)) => {
                        let elements = NonFinite::from_metadata(metadata);
                        Self::NonFiniteNorm { message: message(), total_norm, elements }
                    }
                    None => Self::Status(Box::new(status)),
                }
            }
            Code::ResourceExhausted => match (info.map(|info| info.reason.as_str()), details.retry_info()) {
                (Some("MESSAGE_TOO_LARGE"), _) => Self::TooLarge { message: message() },
                (Some("METADATA_TOO_LARGE"), _) => Self::MetadataTooLarge { message: message() },
                (Some("NEEDS_TWO_PASSES"), _) => Self::NeedsTwoPasses { message: message() },
                (Some("OVERLOADED"), retry) => Self::Busy { message: message(), retry_after: retry.and_then(asked) },
                (Some(_) | None, Some(retry)) => Self::Busy { message: message(), retry_after: asked(retry) },
                (Some(_) | None, None) => Self::Status(Box::new(status)),
            },
            // tonic reports a response above this client's limit so. The service itself never sends this code.
            Code::OutOfRange => Self::TooLarge { message: message() },
            Code::DeadlineExceeded => Self::DeadlineExceeded { message: message() },
            // tonic's own timers report "cancelled", on either side. A caller that still waits has not cancelled the call.
            Code::Cancelled if deadline.has_passed() => Self::DeadlineExceeded { message: message() },
            Code::Unavailable => {
                Self::Unavailable { message: with_cause(&status, last_words), source: Box::new(status) }
            }
            // A status with a source did not come over the wire: it reports a connection that broke.
            Code::Unknown | Code::Internal | Code::Cancelled if std::error::Error::source(&status).is_some() => {
                Self::Unavailable { message: with_cause(&status, last_words), source: Box::new(status) }
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Aborted
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => Self::Status(Box::new(status)),
        }
    }
}
