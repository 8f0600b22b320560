//! TCP's own probes of silent connections. They find a client that has vanished where HTTP/2's pings cannot: on a connection of
//! HTTP/1.1.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl};

use crate::settings::Settings;

/// The probes that may stay without an answer.
const PROBES: u32 = 4;
/// The limits of the kernel for a time.
const TIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(32_767));

/// The times of the probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    /// How long a connection is silent before the first probe.
    idle: Duration,
    /// The time between two probes.
    between: Duration,
}

impl KeepAlive {
    /// The times of the settings, which are also those of pings; `None`: there are no probes.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        let Settings { keep_alive_interval: interval, keep_alive_timeout: timeout, .. } = settings;
        let within = |time: Duration| time.clamp(TIMES.0, TIMES.1);
        (!interval.is_zero()).then(|| Self { idle: within(*interval), between: within(*timeout / PROBES) })
    }

    /// Switches the probes of a connection on.
    ///
    /// # Errors
    /// Errors of the system.
    pub(crate) fn set(self, connection: impl AsFd) -> io::Result<()> {
        set_tcp_keepidle(&connection, self.idle)?;
        set_tcp_keepintvl(&connection, self.between)?;
        set_tcp_keepcnt(&connection, PROBES)?;
        Ok(set_socket_keepalive(&connection, true)?)
    }
}
