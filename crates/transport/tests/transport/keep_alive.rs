//! TCP's probes, as Linux shows them.

use std::{fs, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use evenkeel_testing::until::until;
use evenkeel_transport::Settings;
use tokio::net::TcpStream;

use crate::running::{self, Running};

/// The kernel's number for a timer that will send a probe.
const PROBE: &str = "02";

/// The timer of the server's end of a connection, as `/proc/net/tcp` has it.
fn timer(server: SocketAddr, client: SocketAddr) -> io::Result<Option<String>> {
    let [server, client] = [server, client].map(|address| format!(":{:04X}", address.port()));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row[1].ends_with(&server) && row[2].ends_with(&client));
    Ok(row.map(|row| row[5][..2].to_owned()))
}

/// A silent connection has a timer for TCP's probes, unless they are switched off. The server has taken it when its metrics say so.
#[tokio::test]
async fn silent_connections_are_probed() -> io::Result<()> {
    for (keep_alive_interval, is_probed) in [(Duration::from_secs(60), true), (Duration::ZERO, false)] {
        let settings = Settings { keep_alive_interval, ..Settings::default() };
        let Running { address, metrics, shutdown: _shutdown, .. } =
            running::start(settings, Duration::ZERO, async |_| Bytes::new());
        let client = TcpStream::connect(address).await?;
        until("the connection is accepted", async || metrics.connections_open.get() == 1).await;
        let timer = timer(address, client.local_addr()?)?;
        assert_eq!(timer.as_deref() == Some(PROBE), is_probed, "{timer:?}");
    }
    Ok(())
}
