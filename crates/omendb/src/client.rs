//! A blocking HTTP client of a hundred lines: enough for the demo and the benchmarks to use the server as a user would,
//! and to send spans to a collector.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest answer that is read, bytes.
const MAX_ANSWER: usize = 16 << 20;
/// How long the server may take to say something, unless it is told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One kept connection to the server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    /// What the server is called in requests.
    host: String,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

/// A status and a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the server at `address`; it connects when it is first used.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            timeout: TIMEOUT,
            connection: None,
        }
    }

    /// The same, calling the server `host`.
    #[must_use]
    pub fn with_host(self, host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            ..self
        }
    }

    /// The same, giving the server this long for each step.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends one request with a JSON body and reads the answer.
    ///
    /// # Errors
    /// When the server cannot be reached, breaks off, or speaks something else.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.exchange(method, path, "application/json", body.as_bytes())
    }

    /// Sends one request with a body of any kind and reads the answer.
    ///
    /// # Errors
    /// When the server cannot be reached, breaks off, or speaks something else.
    pub fn exchange(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let Self { host, .. } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        let stream = connection.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (answer, is_kept) = read_answer(&mut connection)?;
        // After an error the connection is dropped with everything unread on it; the next request opens another.
        self.connection = is_kept.then_some(connection);
        Ok(answer)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(BufReader::new(stream))
    }
}

/// One answer, and whether the connection may be used again. Our own server always announces a length; the body of a
/// server that does not is left alone.
fn read_answer(reader: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let status_line = read_line(reader)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| malformed("status line", &status_line))?;
    let (mut length, mut is_kept) = (0, true);
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("header", &line))?;
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", digits) => length = digits.parse().map_err(|_| malformed("length", digits))?,
            ("connection", "close") | ("transfer-encoding", _) => is_kept = false,
            _ => {}
        }
    }
    if length > MAX_ANSWER {
        return Err(malformed("length", &length.to_string()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((Answer { status, body }, is_kept))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    // A head of more than 64 KiB is not one of ours.
    if reader.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection",
        ));
    }
    Ok(line.trim_end().to_owned())
}

fn malformed(what: &str, text: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not an HTTP {what}: {text:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u16, &str, bool)>) {
        let read = read_answer(&mut text.as_bytes()).ok();
        let expected = expected.map(|(status, body, is_kept)| {
            (
                Answer {
                    status,
                    body: body.as_bytes().to_vec(),
                },
                is_kept,
            )
        });
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn answers_are_read_to_their_length() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and more",
            Some((200, "hi", true)),
        );
        check(
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
            Some((404, "", false)),
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            Some((200, "", false)),
        );
        check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", None);
        check("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", None);
        check("220 mail.example.org\r\n", None);
        check("", None);
    }
}
