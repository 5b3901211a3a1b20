//! A trace collector of a hundred lines: takes OTLP over HTTP, reads the real messages, and answers as a test wants it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// How the collector answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// It takes everything.
    Willing,
    /// It takes all spans of a message but this many.
    Picky(i64),
    /// It answers with this status.
    Refusing(u16),
    /// It takes connections and says nothing.
    Silent,
}

/// A collector on a port of its own, until the test ends.
pub(crate) struct Collector {
    port: u16,
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let taken = Arc::new(Mutex::default());
        let shelf = Arc::clone(&taken);
        // Ends with the test's process: nothing but the test knows the port.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shelf);
                std::thread::spawn(move || converse(stream, manner, &shelf));
            }
        });
        Self { port, taken }
    }

    /// What `traces.endpoint` is to be.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn messages(&self) -> Vec<ExportTraceServiceRequest> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let messages = self.messages().into_iter();
        let resources = messages.flat_map(|message| message.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Waits until there are `count` spans.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Span> {
        let begin = Instant::now();
        loop {
            let spans = self.spans();
            if spans.len() >= count {
                return spans;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{} of {count} spans",
                spans.len()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The text of an attribute, numbers as digits.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key == key)?;
    let value = found.value.as_ref()?.value.as_ref()?;
    if let Value::IntValue(number) = value {
        return Some(number.to_string());
    }
    let Value::StringValue(text) = value else {
        unreachable!("{key} is {value:?}")
    };
    Some(text.clone())
}

fn converse(stream: TcpStream, manner: Manner, shelf: &Mutex<Vec<ExportTraceServiceRequest>>) {
    let mut stream = BufReader::new(stream);
    while let Some(body) = read_request(&mut stream) {
        let (status, answer) = match manner {
            Manner::Silent => continue,
            Manner::Refusing(status) => (status, Vec::new()),
            Manner::Willing => (200, Vec::new()),
            Manner::Picky(rejected_spans) => {
                let partial = ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: "too many".to_owned(),
                };
                let answer = ExportTraceServiceResponse {
                    partial_success: Some(partial),
                };
                (200, answer.encode_to_vec())
            }
        };
        let message = ExportTraceServiceRequest::decode(body.as_slice()).expect("the real message");
        shelf.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", answer.len());
        let answer = [head.as_bytes(), &answer].concat();
        if stream.get_mut().write_all(&answer).is_err() {
            return;
        }
    }
}

/// The body of one request as OTLP/HTTP prescribes it, or nothing when the other side has gone.
fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    assert_eq!(
        lines.first().map(String::as_str),
        Some("post /v1/traces http/1.1")
    );
    assert!(
        lines.contains(&"content-type: application/x-protobuf".to_owned()),
        "{lines:?}"
    );
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length?.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
