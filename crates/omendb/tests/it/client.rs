//! A blocking HTTP/1.1 client on one connection, small enough that a test can make it misbehave.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than anything here should take, so that a hang is a failed test and not a stuck run.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A client that keeps its connection between requests.
pub(crate) struct Client {
    address: SocketAddr,
    token: Option<String>,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
            connection: None,
        }
    }

    /// The same, sending `Authorization: Bearer token`.
    pub(crate) fn with_token(address: SocketAddr, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..Self::new(address)
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn delete(&mut self, path: &str) -> Response {
        self.send("DELETE", path, &[], b"")
    }

    pub(crate) fn put(&mut self, path: &str, body: &Value) -> Response {
        self.send("PUT", path, &[], body.to_string().as_bytes())
    }

    pub(crate) fn patch(&mut self, path: &str, body: &Value) -> Response {
        self.send("PATCH", path, &[], body.to_string().as_bytes())
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Response {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    /// One request and its answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let answer = self.try_send(method, path, headers, body);
        answer.unwrap_or_else(|error| unreachable!("{method} {path} on {}: {error}", self.address))
    }

    /// The same for a server that may be killed meanwhile.
    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            line("host", &self.address.to_string());
        }
        if let Some(token) = &self.token {
            line("authorization", &format!("Bearer {token}"));
        }
        if !body.is_empty() {
            line("content-type", "application/json");
        }
        line("content-length", &body.len().to_string());
        headers.iter().for_each(|(name, value)| line(name, value));
        head.push_str("\r\n");

        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(self.address)?),
        };
        // A refused body may be answered before it is all sent; the answer is what counts then.
        let sent = connection.get_mut().write_all(&[head.as_bytes(), body].concat());
        let answer = read_answer(&mut connection, method != "HEAD");
        let response = match (answer, sent) {
            (Ok(response), _) => response,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        };
        if response.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}

/// Sends `bytes` as they are on a connection of their own, then closes its sending half and reads the answer, if any.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> io::Result<Response> {
    let mut stream = connect(address)?;
    stream.write_all(bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    read(&mut BufReader::new(stream))
}

/// A bare connection, with time-outs.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one answer, passing over `100 Continue`.
pub(crate) fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Response> {
    read_answer(stream, true)
}

/// The answer to a HEAD has no body, whatever length it names.
fn read_answer(stream: &mut BufReader<TcpStream>, has_body: bool) -> io::Result<Response> {
    loop {
        let status_line = read_line(stream)?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::other(format!("not HTTP: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = read_line(stream)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        if status >= 200 {
            if has_body {
                response.body = read_body(stream, &response)?;
            }
            return Ok(response);
        }
    }
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn read_body(stream: &mut BufReader<TcpStream>, head: &Response) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = read_line(stream)?;
            let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
            stream.take(size).read_to_end(&mut body)?;
            read_line(stream)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match head.header("content-length") {
        Some(length) => {
            body.resize(length.parse().map_err(io::Error::other)?, 0);
            stream.read_exact(&mut body)?;
        }
        None if head.status != 204 => drop(stream.read_to_end(&mut body)?),
        None => {}
    }
    Ok(body)
}

impl Response {
    /// The value of a header, its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("an answer is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| unreachable!("{error} in {:?}", self.text()))
    }

    /// The `result` of a successful answer in the dialect's envelope.
    pub(crate) fn result(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let mut body = self.json();
        assert_eq!(body["status"], "ok", "{body}");
        assert!(body["time"].is_number(), "{body}");
        body["result"].take()
    }

    /// The message of an error answer, whose envelope is checked.
    pub(crate) fn error(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        let body = self.json();
        assert!(body["time"].is_number(), "{body}");
        body["status"]["error"]
            .as_str()
            .unwrap_or_else(|| unreachable!("no message in {body}"))
            .to_owned()
    }
}
