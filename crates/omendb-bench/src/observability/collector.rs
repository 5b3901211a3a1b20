//! A trace collector that takes everything and keeps nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest message that is taken, bytes.
const MAX_MESSAGE: u64 = 16 << 20;

/// Listens until the process ends.
pub(crate) struct Collector {
    address: SocketAddr,
    messages: Arc<AtomicU64>,
}

impl Collector {
    pub(crate) fn start() -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("a trace collector: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let messages = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&messages);
        let accept = move || {
            // One connection at a time: there is one server that sends.
            for stream in listener.incoming().flatten() {
                // It ends when the server closes it.
                drop(serve(&stream, &counted));
            }
        };
        std::thread::Builder::new()
            .name("trace-collector".to_owned())
            .spawn(accept)
            .map_err(cannot)?;
        Ok(Self { address, messages })
    }

    /// Where spans are sent to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Messages that came.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }
}

/// Reads one message after the other and accepts each.
fn serve(mut stream: &TcpStream, messages: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let body = &mut (&mut reader).take(u64::min(length, MAX_MESSAGE));
        std::io::copy(body, &mut std::io::sink())?;
        messages.fetch_add(1, Ordering::Relaxed);
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}
