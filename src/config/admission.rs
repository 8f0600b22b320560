//! The bounds on the work that the server takes at the same time.

use clap::Args;

use super::Error;

/// The default for the most bytes in flight: 1 GiB, or room for two calls with the largest messages.
pub const DEFAULT_MAX_BYTES_IN_FLIGHT: usize = 1 << 30;
/// The default for the most calls that wait for a thread.
pub const DEFAULT_MAX_QUEUED: usize = 1024;
/// A call holds its request and an answer of the same length.
pub(crate) const HELD_PER_REQUEST_BYTE: usize = 2;
/// The default is at least so many times the largest message: two calls with it, and the reserve for small ones.
const LEAST_OF_LARGEST: usize = 2 * HELD_PER_REQUEST_BYTE + 1;

/// The bounds on work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// The most bytes that calls hold together: a request counts twice, for itself and for its answer, from the moment
    /// its length is known until the answer is sent. `None`: [`DEFAULT_MAX_BYTES_IN_FLIGHT`], or five times the largest
    /// message if that is more. 0: any number. A call that holds more than 256 KiB leaves a sixteenth of it free for
    /// others, or what one call with the largest message does not need if that is less.
    pub max_bytes_in_flight: Option<usize>,
    /// The most calls that wait for a compute thread. 0: any number.
    pub max_queued: usize,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self { max_bytes_in_flight: None, max_queued: DEFAULT_MAX_QUEUED }
    }
}

impl AdmissionConfig {
    /// The most bytes in flight; `usize::MAX`: any number.
    pub(crate) fn bytes_in_flight(&self, max_message_bytes: usize) -> usize {
        match self.max_bytes_in_flight {
            None => DEFAULT_MAX_BYTES_IN_FLIGHT.max(max_message_bytes.saturating_mul(LEAST_OF_LARGEST)),
            Some(0) => usize::MAX,
            Some(bytes) => bytes,
        }
    }

    /// The most calls that wait; `usize::MAX`: any number.
    pub(crate) fn queued(&self) -> usize {
        if self.max_queued == 0 { usize::MAX } else { self.max_queued }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The largest message could never be served.
    pub fn validate(&self, max_message_bytes: usize) -> Result<(), Error> {
        let least = max_message_bytes.saturating_mul(HELD_PER_REQUEST_BYTE);
        let bytes = self.bytes_in_flight(max_message_bytes);
        if bytes < least {
            let reason = format!("{bytes} is less than the {least} that one call with the largest message holds");
            return Err(Error { key: "max-bytes-in-flight", reason });
        }
        Ok(())
    }
}

/// The flags of `evenkeel serve` that bound work.
#[derive(Args, Clone, Debug)]
pub struct AdmissionArgs {
    /// The most bytes that calls hold together; each request counts twice, for itself and for its answer. More calls are
    /// refused at once. Calls that hold more than 256 KiB leave a sixteenth free for others. 0: any number. [default: 1
    /// GiB, or five times --max-message-bytes]
    #[arg(long, value_name = "BYTES", env = "EVENKEEL_MAX_BYTES_IN_FLIGHT")]
    pub max_bytes_in_flight: Option<usize>,

    /// The most calls that wait for a compute thread; more are refused at once. 0: any number.
    #[arg(long, value_name = "N", env = "EVENKEEL_MAX_QUEUED", default_value_t = DEFAULT_MAX_QUEUED)]
    pub max_queued: usize,
}

impl From<AdmissionArgs> for AdmissionConfig {
    fn from(arguments: AdmissionArgs) -> Self {
        let AdmissionArgs { max_bytes_in_flight, max_queued } = arguments;
        Self { max_bytes_in_flight, max_queued }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_room_for_two_of_the_largest_calls() {
        let default = AdmissionConfig::default();
        assert_eq!(default.bytes_in_flight(64 << 20), 1 << 30);
        assert_eq!(default.bytes_in_flight(1 << 30), 5 << 30);
        assert_eq!(default.validate(u32::MAX as usize), Ok(()));
        assert_eq!(AdmissionConfig { max_queued: 0, ..default }.queued(), usize::MAX);
    }

    #[test]
    fn flags_become_settings() {
        let config = AdmissionConfig::from(AdmissionArgs { max_bytes_in_flight: Some(7), max_queued: 5 });
        assert_eq!(config, AdmissionConfig { max_bytes_in_flight: Some(7), max_queued: 5 });
        assert_eq!((config.bytes_in_flight(1024), config.queued()), (7, 5));
    }

    #[test]
    fn a_bound_that_serves_no_call_is_refused() {
        let bytes = |bytes| AdmissionConfig { max_bytes_in_flight: Some(bytes), ..Default::default() };
        assert_eq!(bytes(2047).validate(1024).expect_err("one byte is missing").key, "max-bytes-in-flight");
        assert_eq!(bytes(2048).validate(1024), Ok(()));
        assert_eq!(bytes(0).validate(1024), Ok(()));
    }
}
