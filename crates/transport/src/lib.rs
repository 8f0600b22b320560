#![doc = include_str!("../README.md")]

mod accept;
mod backlog;
mod chunk;
mod connection;
mod ended;
mod handle;
mod handshakes;
mod io;
mod keep_alive;
mod limits;
mod listener;
mod metrics;
mod min_rate;
mod ping_timer;
mod preface;
mod response_body;
mod send_progress;
mod send_timeout;
mod send_window;
mod settings;
mod tls;
mod turn;

pub use self::{
    accept::Transport,
    connection::{MakeService, Version},
    handle::ConnectionHandle,
    listener::Listener,
    metrics::{Counter, Gauge, Metrics},
    min_rate::{BYTES_PER_SECOND, MinRateTimeout},
    send_progress::SendProgress,
    settings::{Http1Settings, Http2Settings, Settings},
    tls::TlsSettings,
    turn::Turn,
};
