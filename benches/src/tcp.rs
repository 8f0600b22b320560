//! A raw TCP echo: the cost of moving the bytes without any protocol.
//!
//! A message is its length, in eight little-endian bytes, and its bytes. The server reads all of it into one buffer,
//! which it keeps from message to message, and then writes it back. It uses blocking calls and one thread for each
//! connection, which is the cheapest way for one call at a time.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use bytes::Bytes;
use evenkeel_load::Until;

use crate::{Result, burst::Burst};

/// The most bytes of one read: as many as the HTTP/2 frames of the other contenders hold.
const CHUNK: usize = 1 << 20;

/// Serves until it is killed.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?);
    for connection in listener.incoming() {
        let connection = connection?;
        // An error of a connection, such as a client that leaves, does not end the server.
        thread::spawn(move || echo(connection));
    }
    Ok(())
}

fn echo(mut connection: TcpStream) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut message = vec![0; size_of::<u64>()];
    loop {
        let (len, _) = message.split_first_chunk_mut().expect("it begins with the length");
        connection.read_exact(len)?;
        let end = size_of::<u64>() + usize::try_from(u64::from_le_bytes(*len))?;
        message.resize(end.max(message.len()), 0);
        connection.read_exact(&mut message[size_of::<u64>()..end])?;
        connection.write_all(&message[..end])?;
    }
}

/// A client with one connection.
#[derive(Debug)]
pub(crate) struct Client {
    connection: TcpStream,
    message: Bytes,
    chunk: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, data: &[u8]) -> Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        let message = [&(data.len() as u64).to_le_bytes(), data].concat().into();
        Ok(Self { connection, message, chunk: vec![0; CHUNK] })
    }

    /// Makes one call and compares the bytes that come back.
    pub(crate) fn verify(&mut self) -> Result<()> {
        self.connection.write_all(&self.message)?;
        let mut answer = vec![0; self.message.len()];
        self.connection.read_exact(&mut answer)?;
        if answer == self.message { Ok(()) } else { Err("the echo is not what was sent".into()) }
    }

    /// Makes one call after the other.
    pub(crate) fn run(&mut self, until: &Until) -> Result<Burst> {
        let (started, mut latencies) = (Instant::now(), Vec::new());
        while until.goes_on(started.elapsed(), latencies.len() as u64) {
            let sent = Instant::now();
            self.connection.write_all(&self.message)?;
            let mut missing = self.message.len();
            while missing > 0 {
                let read = self.connection.read(&mut self.chunk[..missing.min(CHUNK)])?;
                if read == 0 {
                    return Err("the echo ended".into());
                }
                missing -= read;
            }
            latencies.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok(Burst { calls: latencies.len() as u64, elapsed: started.elapsed(), latencies })
    }
}
