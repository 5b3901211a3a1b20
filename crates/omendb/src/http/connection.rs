//! One client connection from its acceptance to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::http::activity::{Activity, Patience, Verdict};
use crate::http::app::App;
use crate::http::body::ResponseBody;
use crate::http::dispatch::dispatch;
use crate::http::error::ApiError;
use crate::http::identity::REQUEST_ID;
use crate::http::socket::Socket;
use crate::telemetry::requests::{EndpointLabel, RequestStats, Verb};

/// Longest head, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// What is still read from a client whose body was refused.
const LINGER_BYTES: u64 = 1 << 20;
/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// hyper is done with it.
    Done(hyper::Result<()>),
    /// A time-out, which is not [`Verdict::Wait`].
    Overdue(Verdict),
}

type ServiceFuture = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

/// Serves the requests of one connection until either side ends it.
pub(crate) async fn serve(app: Arc<App>, stream: TcpStream, peer: SocketAddr) {
    let activity = Arc::new(Activity::new(app.clock.now()));
    let socket = Socket::new(stream, Arc::clone(&app), Arc::clone(&activity));
    let service = {
        let (app, activity) = (Arc::clone(&app), Arc::clone(&activity));
        service_fn(move |request: Request<Incoming>| -> ServiceFuture {
            let (app, activity) = (Arc::clone(&app), Arc::clone(&activity));
            Box::pin(async move {
                let first_byte = activity.service_began();
                let answered = dispatch(Arc::clone(&app), (peer, first_byte), request).await;
                if answered.left_body_unread {
                    activity.set_left_body_unread();
                }
                activity.service_ended(app.clock.now());
                activity.answers(answered.exchange);
                Ok(answered.response)
            })
        })
    };
    let mut connection = http1::Builder::new()
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(socket), service);
    let patience = Patience {
        header: app.config.http_header_timeout,
        idle: app.config.http_idle_timeout,
        write: app.config.http_write_timeout,
    };
    let timer = tokio::time::sleep(patience.shortest());
    let draining = app.lifecycle.draining();
    tokio::pin!(timer, draining);
    let mut is_draining = false;
    let end = loop {
        tokio::select! {
            biased;
            result = poll_fn(|context| connection.poll_without_shutdown(context)) => break End::Done(result),
            () = &mut timer => match activity.verdict(app.clock.now(), patience) {
                Verdict::Wait(wait) => timer.as_mut().reset(tokio::time::Instant::now() + wait),
                overdue @ (Verdict::HeadTooSlow | Verdict::Idle | Verdict::WriteStalled) => break End::Overdue(overdue),
            },
            () = &mut draining, if !is_draining => {
                is_draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let socket = connection.into_parts().io.into_inner();
    finish(&app, socket, &activity, end).await;
}

/// Counts what hyper refused by itself, tells a slow client why it is cut off, and closes without losing the answer.
async fn finish(app: &App, mut socket: Socket, activity: &Activity, end: End) {
    let refused = match &end {
        End::Done(Ok(())) => None,
        End::Done(Err(error)) => refused_head(error, activity),
        End::Overdue(Verdict::HeadTooSlow) => Some(StatusCode::REQUEST_TIMEOUT),
        End::Overdue(Verdict::Idle | Verdict::WriteStalled | Verdict::Wait(_)) => None,
    };
    if let Some(status) = refused {
        count_refusal(app, status);
    }
    if matches!(end, End::Overdue(Verdict::HeadTooSlow)) {
        let message = "request head arrives too slowly (http.header_timeout)";
        let answer = raw_answer(app, ApiError::new(StatusCode::REQUEST_TIMEOUT, message));
        // A client that has gone away meanwhile needs no answer.
        let _ = tokio::time::timeout(LINGER_TIME, socket.write_all(&answer)).await;
    }
    if refused.is_some() || activity.left_body_unread() {
        let _ = tokio::time::timeout(LINGER_TIME, socket.linger(LINGER_BYTES)).await;
    } else if matches!(end, End::Done(Ok(()))) {
        let _ = socket.shutdown().await;
    }
}

/// The status hyper has answered a malformed head with; none when no request had begun.
fn refused_head(error: &hyper::Error, activity: &Activity) -> Option<StatusCode> {
    if !error.is_parse() && !error.is_parse_too_large() {
        // A head that breaks off has no answer, but it was a request that failed.
        return (error.is_incomplete_message() && activity.is_reading_head())
            .then_some(StatusCode::BAD_REQUEST);
    }
    if !error.is_parse_too_large() {
        return Some(StatusCode::BAD_REQUEST);
    }
    // hyper does not tell the two apart by type.
    let is_target = error.to_string().contains("URI");
    Some(if is_target {
        StatusCode::URI_TOO_LONG
    } else {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    })
}

/// Answers a connection that gets no slot.
pub(crate) async fn refuse(app: Arc<App>, stream: TcpStream, error: ApiError) {
    let activity = Arc::new(Activity::new(app.clock.now()));
    let mut socket = Socket::new(stream, Arc::clone(&app), activity);
    let answer = raw_answer(&app, error);
    let _ = tokio::time::timeout(LINGER_TIME, async {
        socket.write_all(&answer).await?;
        socket.linger(LINGER_BYTES).await
    })
    .await;
}

/// Counts an answer given outside hyper, or by hyper alone, like that of any failed request.
pub(crate) fn count_refusal(app: &App, status: StatusCode) {
    app.telemetry.record_request(&RequestStats {
        verb: Verb::Other,
        endpoint: EndpointLabel::UNMATCHED,
        status: status.as_u16(),
        duration_nanos: 0,
        request_bytes: 0,
        response_bytes: 0,
        origin: None,
    });
}

/// An answer outside hyper, which closes the connection.
fn raw_answer(app: &App, error: ApiError) -> Vec<u8> {
    let reply = error.into_reply(Duration::ZERO);
    let mut text = format!(
        "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n{REQUEST_ID}: {}\r\n",
        reply.status,
        reply.content_type,
        reply.body.len(),
        app.telemetry.request_ids.next().id(),
    )
    .into_bytes();
    for (name, value) in &reply.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&reply.body);
    text
}
