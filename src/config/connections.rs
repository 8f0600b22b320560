//! The bounds on connections: how many there may be, and how long each may keep the server waiting.

use std::time::Duration;

use clap::Args;

use super::Error;

/// The default for the most connections at the same time.
pub const DEFAULT_MAX_CONNECTIONS: usize = 1024;
/// The default for the most connections of one address: a quarter of all, so that one client cannot take every one.
pub const DEFAULT_MAX_CONNECTIONS_PER_PEER: usize = 256;
/// The default for the time that a connection may take to begin to speak HTTP/2.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The default for the time that a connection without calls is kept.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// The default for the time that a call waits for its client.
pub const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The default for the time that a connection may be silent before it is pinged.
pub const DEFAULT_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// The default for the time that the answer to a ping may take.
pub const DEFAULT_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The default for the age that a connection may reach: any.
pub const DEFAULT_MAX_CONNECTION_AGE: Duration = Duration::ZERO;
/// The default for the time that the calls of a connection that is too old have to end.
pub const DEFAULT_MAX_CONNECTION_AGE_GRACE: Duration = Duration::from_secs(60);
/// The longest duration of a setting; a longer one is taken for a typing error.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// The bounds on connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// The most connections at the same time; more are closed as soon as they come. The last
    /// sixteenth is for addresses that have no connection. 0: any number.
    pub max_connections: usize,
    /// The most connections from one IP address (of IPv6, one network of 64 bits). 0: any number.
    pub max_connections_per_peer: usize,
    /// How long a connection may take to become one of HTTP/2, TLS included. Over HTTP/1.1: how long the headers of a request may
    /// take, also of the next one on a connection that is idle. Above zero.
    pub handshake_timeout: Duration,
    /// How long a connection of HTTP/2 without calls is kept. Zero: for ever.
    pub idle_timeout: Duration,
    /// How long a call waits for its client, to send or to take: bytes that come buy time back. Zero: for ever.
    pub body_timeout: Duration,
    /// How long a connection may be silent before it is pinged. Zero: for ever.
    pub keep_alive_interval: Duration,
    /// How long a client that was pinged may give no sign of life. Above zero.
    pub keep_alive_timeout: Duration,
    /// How old a connection may become before its client is told to open another. Zero: any age.
    pub max_connection_age: Duration,
    /// How long the calls of a connection that is too old have to end. Zero: as long as they take.
    pub max_connection_age_grace: Duration,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_connections_per_peer: DEFAULT_MAX_CONNECTIONS_PER_PEER,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            body_timeout: DEFAULT_BODY_TIMEOUT,
            keep_alive_interval: DEFAULT_KEEP_ALIVE_INTERVAL,
            keep_alive_timeout: DEFAULT_KEEP_ALIVE_TIMEOUT,
            max_connection_age: DEFAULT_MAX_CONNECTION_AGE,
            max_connection_age_grace: DEFAULT_MAX_CONNECTION_AGE_GRACE,
        }
    }
}

impl ConnectionConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first that is out of range, by name.
    pub fn validate(&self) -> Result<(), Error> {
        let Self {
            max_connections: _,
            max_connections_per_peer: _,
            handshake_timeout,
            idle_timeout,
            body_timeout,
            keep_alive_interval,
            keep_alive_timeout,
            max_connection_age,
            max_connection_age_grace,
        } = *self;
        for (key, value, may_be_zero) in [
            ("handshake-timeout", handshake_timeout, false),
            ("idle-timeout", idle_timeout, true),
            ("body-timeout", body_timeout, true),
            ("keep-alive-interval", keep_alive_interval, true),
            ("keep-alive-timeout", keep_alive_timeout, false),
            ("max-connection-age", max_connection_age, true),
            ("max-connection-age-grace", max_connection_age_grace, true),
        ] {
            check_longest(key, value)?;
            if value.is_zero() && !may_be_zero {
                return Err(Error { key, reason: "it must be above zero".to_owned() });
            }
        }
        Ok(())
    }
}

/// Refuses a duration above [`MAX_DURATION`].
pub(super) fn check_longest(key: &'static str, value: Duration) -> Result<(), Error> {
    if value > MAX_DURATION {
        return Err(Error { key, reason: format!("{value:?} is more than 365 days") });
    }
    Ok(())
}

/// The flags of `evenkeel serve` that bound connections.
#[derive(Args, Clone, Debug)]
pub struct ConnectionArgs {
    /// The most connections at the same time; more are closed as soon as they come. The last
    /// sixteenth is for addresses that have no connection. 0: any number.
    #[arg(long, value_name = "N", env = "EVENKEEL_MAX_CONNECTIONS", default_value_t = DEFAULT_MAX_CONNECTIONS)]
    pub max_connections: usize,

    /// The most connections at the same time from one IP address. 0: any number.
    #[arg(
        long,
        value_name = "N",
        env = "EVENKEEL_MAX_CONNECTIONS_PER_PEER",
        default_value_t = DEFAULT_MAX_CONNECTIONS_PER_PEER
    )]
    pub max_connections_per_peer: usize,

    /// How long a connection may take to begin to speak HTTP/2; over HTTP/1.1, how long it may take until the headers of the
    /// first or next request are there.
    #[arg(
        long,
        value_name = "DURATION",
        env = "EVENKEEL_HANDSHAKE_TIMEOUT",
        default_value_t = DEFAULT_HANDSHAKE_TIMEOUT.into()
    )]
    pub handshake_timeout: humantime::Duration,

    /// How long a connection of HTTP/2 without calls is kept. 0s: for ever.
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_IDLE_TIMEOUT", default_value_t = DEFAULT_IDLE_TIMEOUT.into())]
    pub idle_timeout: humantime::Duration,

    /// How long a call waits for its client, all in all; a second comes back with every 16 KiB. 0s: for ever.
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_BODY_TIMEOUT", default_value_t = DEFAULT_BODY_TIMEOUT.into())]
    pub body_timeout: humantime::Duration,

    /// How long a connection may be silent before it is pinged. 0s: for ever.
    #[arg(
        long,
        value_name = "DURATION",
        env = "EVENKEEL_KEEP_ALIVE_INTERVAL",
        default_value_t = DEFAULT_KEEP_ALIVE_INTERVAL.into()
    )]
    pub keep_alive_interval: humantime::Duration,

    /// How long a pinged client may neither send nor take a byte before its connection is closed. If the socket is full,
    /// `--body-timeout` decides.
    #[arg(
        long,
        value_name = "DURATION",
        env = "EVENKEEL_KEEP_ALIVE_TIMEOUT",
        default_value_t = DEFAULT_KEEP_ALIVE_TIMEOUT.into()
    )]
    pub keep_alive_timeout: humantime::Duration,

    /// How old a connection may become before its client is told to open another, which may go to another server. 0s:
    /// any age.
    #[arg(
        long,
        value_name = "DURATION",
        env = "EVENKEEL_MAX_CONNECTION_AGE",
        default_value_t = DEFAULT_MAX_CONNECTION_AGE.into()
    )]
    pub max_connection_age: humantime::Duration,

    /// How long the calls of a connection that is too old have to end. 0s: as long as they take.
    #[arg(
        long,
        value_name = "DURATION",
        env = "EVENKEEL_MAX_CONNECTION_AGE_GRACE",
        default_value_t = DEFAULT_MAX_CONNECTION_AGE_GRACE.into()
    )]
    pub max_connection_age_grace: humantime::Duration,
}

impl From<ConnectionArgs> for ConnectionConfig {
    fn from(arguments: ConnectionArgs) -> Self {
        let ConnectionArgs {
            max_connections,
            max_connections_per_peer,
            handshake_timeout,
            idle_timeout,
            body_timeout,
            keep_alive_interval,
            keep_alive_timeout,
            max_connection_age,
            max_connection_age_grace,
        } = arguments;
        Self {
            max_connections,
            max_connections_per_peer,
            handshake_timeout: handshake_timeout.into(),
            idle_timeout: idle_timeout.into(),
            body_timeout: body_timeout.into(),
            keep_alive_interval: keep_alive_interval.into(),
            keep_alive_timeout: keep_alive_timeout.into(),
            max_connection_age: max_connection_age.into(),
            max_connection_age_grace: max_connection_age_grace.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_out_of_range_name_their_key() {
        let default = ConnectionConfig::default;
        let long = MAX_DURATION + Duration::from_secs(1);
        assert_eq!(default().validate(), Ok(()));
        for (config, key) in [
            (ConnectionConfig { handshake_timeout: Duration::ZERO, ..default() }, "handshake-timeout"),
            (ConnectionConfig { keep_alive_timeout: Duration::ZERO, ..default() }, "keep-alive-timeout"),
            (ConnectionConfig { handshake_timeout: long, ..default() }, "handshake-timeout"),
            (ConnectionConfig { idle_timeout: long, ..default() }, "idle-timeout"),
            (ConnectionConfig { body_timeout: long, ..default() }, "body-timeout"),
            (ConnectionConfig { keep_alive_interval: long, ..default() }, "keep-alive-interval"),
            (ConnectionConfig { max_connection_age: Duration::MAX, ..default() }, "max-connection-age"),
            (ConnectionConfig { max_connection_age_grace: long, ..default() }, "max-connection-age-grace"),
        ] {
            assert_eq!(config.validate().expect_err(key).key, key);
        }
        let off = ConnectionConfig {
            max_connections: 0,
            max_connections_per_peer: 0,
            idle_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            keep_alive_interval: Duration::ZERO,
            max_connection_age_grace: Duration::ZERO,
            ..default()
        };
        assert_eq!(off.validate(), Ok(()));
    }
}
