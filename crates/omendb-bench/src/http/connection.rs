//! A kept connection on which requests are sent as the bytes they are and answers are read into one buffer: a load
//! generator should cost little beside what it measures.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

/// How long a server may take to say something.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Longest answer that is read, bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A request as it goes over the wire.
pub(crate) fn request(host: &str, (method, path): (&str, &str), body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read of the present answer.
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 << 10),
        })
    }

    /// Sends a request and returns the answer's status and body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8]), Error> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some((status, body)) = answer(&mut self.buffer)? {
                return Ok((status, &self.buffer[body]));
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 || self.buffer.len() > MAX_ANSWER {
                return Err(malformed(&self.buffer));
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// The status, and where the body is, once all of it has come; a body in chunks is put together first.
fn answer(buffer: &mut Vec<u8>) -> Result<Option<(u16, Range<usize>)>, Error> {
    let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&buffer[..end]).map_err(|_| malformed(buffer))?;
    let body = end + 4;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| malformed(buffer))?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    if let Some(length) = header("content-length") {
        let length: usize = length.parse().map_err(|_| malformed(buffer))?;
        return Ok((buffer.len() >= body + length).then_some((status, body..body + length)));
    }
    let Some(whole) = joined(&buffer[body..]) else {
        return Ok(None);
    };
    *buffer = whole;
    Ok(Some((status, 0..buffer.len())))
}

/// The content of a body in chunks, if its end is there.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = chunks.windows(2).position(|bytes| bytes == b"\r\n")?;
        let length = std::str::from_utf8(&chunks[..end]).ok()?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        let content = chunks.get(end + 2..end + 2 + length)?;
        whole.extend_from_slice(content);
        chunks = chunks.get(end + 2 + length + 2..)?;
        if length == 0 {
            return Some(whole);
        }
    }
}

fn malformed(buffer: &[u8]) -> Error {
    let begin = String::from_utf8_lossy(&buffer[..buffer.len().min(200)]);
    Error::new(
        ErrorKind::InvalidData,
        format!("not a whole HTTP answer: {begin:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u16, &str)>) {
        let mut buffer = text.as_bytes().to_vec();
        let found = answer(&mut buffer).expect("an answer, or the beginning of one");
        let found = found.map(|(status, body)| (status, String::from_utf8_lossy(&buffer[body]).into_owned()));
        let expected = expected.map(|(status, body)| (status, body.to_owned()));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn an_answer_is_whole_or_waited_for() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            Some((200, "hi")),
        );
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", None);
        check("HTTP/1.1 200 OK\r\nContent-Le", None);
        check("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", Some((404, "")));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}2\r\nhi\r\nA\r\n, and more\r\n0\r\n\r\n"),
            Some((200, "hi, and more")),
        );
        check(&format!("{chunked}2\r\nhi\r\n0\r\n"), None);
        check(&format!("{chunked}5\r\nhi"), None);
        assert!(answer(&mut b"220 mail.example.org\r\n\r\n".to_vec()).is_err());
    }
}
