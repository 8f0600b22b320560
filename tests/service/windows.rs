//! The windows of connections, which bound the bytes that clients have sent and that the server has not read.

use std::net::SocketAddr;

use evenkeel::{
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    peer::{PREFACE, address},
    until::within,
};

const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
const WINDOW_UPDATE: u8 = 8;
/// The window that every connection begins with.
const FIRST: u32 = 65_535;

/// Opens a connection, and returns its window when the server has opened it, and the window of each of its streams.
async fn windows(server: SocketAddr) -> (TcpStream, u32, u32) {
    let mut stream = TcpStream::connect(server).await.expect("the server listens");
    stream.write_all(PREFACE).await.expect("the connection is open");
    let opened = async {
        let mut of_stream = FIRST;
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("the connection is open");
            let [a, b, c, kind, flags, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            stream.read_exact(&mut payload).await.expect("the connection is open");
            if kind == SETTINGS && flags & ACK == 0 {
                let size = payload.chunks_exact(6).find_map(|setting| setting.strip_prefix(&INITIAL_WINDOW_SIZE));
                of_stream = size.map_or(FIRST, |size| u32::from_be_bytes(size.try_into().expect("it has four bytes")));
            }
            if kind == WINDOW_UPDATE && id == [0; 4] {
                return (FIRST + u32::from_be_bytes(payload.try_into().expect("it has four bytes")), of_stream);
            }
        }
    };
    let (of_connection, of_stream) = within("the window is opened", opened).await;
    (stream, of_connection, of_stream)
}

/// Connections share an eighth of the budget. A request whose client does not read its response keeps its stream's window of the
/// connection's, so that is shorter.
#[tokio::test]
async fn many_connections_have_small_windows() {
    const MIB: u32 = 1 << 20;
    let admission = AdmissionConfig { max_bytes_in_flight: Some(256 << 20), ..Default::default() };
    let config = ServerConfig { admission, max_message_bytes: 16 << 20, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await.expect("the server starts");
    let mut open = Vec::new();
    for expected in [16 * MIB, 16 * MIB, 32 * MIB / 3, 8 * MIB] {
        let (stream, of_connection, of_stream) = windows(address(&server)).await;
        assert_eq!((of_connection, of_stream), (expected, expected / 4), "connection {}", open.len() + 1);
        open.push(stream);
    }
}
