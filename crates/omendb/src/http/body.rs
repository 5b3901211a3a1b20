//! Request bodies, read within a limit of bytes and time, and response bodies, which are complete before they are sent.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Incoming};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::body_budget::{BodyBudget, HeldBody};
use crate::http::error::ApiError;

/// A response body: complete, so its length is known and it is never chunked.
pub type ResponseBody = Full<Bytes>;

/// Bytes per second below which a body is too slow, once its grace time is over.
const MINIMUM_RATE: u64 = 64 * 1024;

/// What bounds a request body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Longest body, bytes.
    pub bytes: u64,
    /// Grace time: every 64 KiB that arrive extend it by a second.
    pub time: Duration,
}

/// A request body, still on the wire.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    limits: BodyLimits,
    /// Of all bodies.
    budget: Arc<BodyBudget>,
    /// Whether the limit is the configured one: whoever is refused then knows what to change.
    is_configured_limit: bool,
    received: u64,
    is_complete: bool,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limits: BodyLimits, budget: Arc<BodyBudget>) -> Self {
        let is_complete = incoming.is_end_stream();
        Self {
            incoming: Some(incoming),
            limits,
            budget,
            is_configured_limit: true,
            received: 0,
            is_complete,
        }
    }

    /// Lowers the limit: what a short message is parsed from need not have room for a batch of points.
    pub(crate) fn limit_to(&mut self, bytes: u64) {
        if bytes < self.limits.bytes {
            self.limits.bytes = bytes;
            self.is_configured_limit = false;
        }
    }

    /// Bytes read so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether nothing is left to read.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Checks the announced length, if there is one.
    ///
    /// # Errors
    /// 413 when it is over the limit.
    pub(crate) fn check_announced(&self) -> Result<(), ApiError> {
        let announced = self
            .incoming
            .as_ref()
            .map_or(0, |incoming| incoming.size_hint().lower());
        if announced > self.limits.bytes {
            Err(self.too_large(announced))
        } else {
            Ok(())
        }
    }

    /// Takes and throws away what is left of a short body, so that the connection can be used again. Gives up when the
    /// body is longer than `limit` bytes or takes longer than `time`.
    pub(crate) async fn drain(&mut self, limit: u64, time: Duration) {
        let Some(incoming) = self.incoming.as_mut() else {
            return;
        };
        if self.is_complete || incoming.size_hint().upper().is_none_or(|upper| upper > limit) {
            return;
        }
        let deadline = Instant::now() + time;
        let mut timer = None;
        while let Ok(data) = next_data(incoming, &mut timer, deadline).await {
            match data {
                Some(data) => self.received += data.len() as u64,
                None => {
                    self.is_complete = true;
                    return;
                }
            }
        }
    }

    /// Reads the whole body. What came in one piece is still in the buffer of its connection; anything longer takes room in
    /// the budget of all bodies until the last of its bytes is dropped.
    ///
    /// # Errors
    /// 413 when the announced length, or what has arrived, is over the limit; 408 when it arrives too slowly; 400 when
    /// it breaks off; 503 when the bodies of other requests leave no room.
    pub async fn read(&mut self) -> Result<Bytes, ApiError> {
        let Some(mut incoming) = self.incoming.take() else {
            return Err(ApiError::internal("request body read twice"));
        };
        let announced = incoming.size_hint().lower();
        if announced > self.limits.bytes {
            return Err(self.too_large(announced));
        }
        let started = Instant::now();
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let mut first: Option<Bytes> = None;
        let mut rest: Vec<u8> = Vec::new();
        let mut share = self.budget.share();
        loop {
            let deadline = started + self.limits.time + Duration::from_secs(self.received / MINIMUM_RATE);
            let Some(data) = next_data(&mut incoming, &mut timer, deadline).await? else {
                break;
            };
            self.received += data.len() as u64;
            if self.received > self.limits.bytes {
                return Err(self.too_large(self.received));
            }
            match first.take() {
                None if rest.is_empty() => first = Some(data),
                None => {
                    share.grow(data.len() as u64)?;
                    rest.extend_from_slice(&data);
                }
                Some(head) => {
                    share.grow(self.received)?;
                    rest.reserve_exact(announced.max(self.received) as usize);
                    rest.extend_from_slice(&head);
                    rest.extend_from_slice(&data);
                }
            }
        }
        self.is_complete = true;
        Ok(first.unwrap_or_else(|| {
            Bytes::from_owner(HeldBody {
                bytes: rest,
                _share: share,
            })
        }))
    }

    /// `length` is what was announced, or what has arrived of a body that announced nothing.
    fn too_large(&self, length: u64) -> ApiError {
        let limit = self.limits.bytes;
        let key = if self.is_configured_limit {
            " (http.max_body)"
        } else {
            ""
        };
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body of {length} bytes or more is longer than {limit} bytes{key}"),
        )
    }
}

/// The next piece of the body, or none at its end. The timer is made only when there is something to wait for: most
/// bodies have arrived together with their head.
async fn next_data(
    incoming: &mut Incoming,
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
) -> Result<Option<Bytes>, ApiError> {
    poll_fn(|context| {
        loop {
            match Pin::new(&mut *incoming).poll_frame(context) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(ApiError::bad_request(format!(
                        "request body broke off: {error}"
                    ))));
                }
                Poll::Pending => {}
            }
            let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(context));
            let message = "request body arrives too slowly (http.body_timeout)";
            return Poll::Ready(Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, message)));
        }
    })
    .await
}
