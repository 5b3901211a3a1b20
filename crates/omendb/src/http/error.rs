//! What a request is answered with when it cannot be served, and the one place where kinds of errors become status
//! codes.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{StatusCode, header};
use omendb_engine::{Error, ErrorKind};
use omendb_metrics::redacted;
use serde_json::json;

use crate::http::reply::Reply;

/// A refusal or failure: a status code and a message that names the field and the value.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log only: what the client is not told.
    detail: Option<String>,
    /// Whether what is refused is a number that is not finite.
    is_not_finite: bool,
}

impl ApiError {
    /// An answer of `status` with `message`: lower case, no full stop, naming field and value.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
            detail: None,
            is_not_finite: false,
        }
    }

    /// 400: malformed, or wrong for the collection.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403: the credential is good and does not permit this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 409: it exists already.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 422: well-formed, and fails validation.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 401 with the challenge that tells clients how to authenticate.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message).with_header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"omendb\""),
        )
    }

    /// 500. `detail` goes to the log; the client is only told to look there.
    pub fn internal(detail: impl Into<String>) -> Self {
        let mut error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error; the server's log has the details",
        );
        error.detail = Some(detail.into());
        error
    }

    /// 503 with `Retry-After`: full, loading or draining.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).with_retry_after(retry_after)
    }

    /// 429 with `Retry-After`: this caller asks too often.
    pub fn too_many_requests(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, message).with_retry_after(retry_after)
    }

    /// 400 for what is not JSON, 422 for JSON of another shape than asked for.
    pub fn from_json(error: &serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Data => Self::unprocessable(format!("invalid body: {error}")),
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => Self::bad_request(format!("malformed JSON: {error}")),
        }
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client is told.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What only the log is told.
    pub(crate) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Whether what is refused is a number that is not finite: NaN, an infinity, or one beyond every float.
    pub(crate) fn is_not_finite(&self) -> bool {
        self.is_not_finite
    }

    /// The same error, saying that of itself.
    #[must_use]
    pub(crate) fn about_not_finite(self, is_not_finite: bool) -> Self {
        Self {
            is_not_finite,
            ..self
        }
    }

    /// The same error with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same error with `Retry-After` in whole seconds, rounded up, at least one.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// `{"status":{"error":"..."},"time":seconds}`. A value that looks like a secret is not told again: answers are
    /// logged by proxies and clients.
    pub(crate) fn into_reply(self, elapsed: Duration) -> Reply {
        let body = json!({"status": {"error": redacted(&self.message)}, "time": elapsed.as_secs_f64()});
        Reply {
            headers: self.headers,
            ..Reply::json_bytes(body.to_string()).with_status(self.status)
        }
    }
}

/// How long a client is asked to wait before it tries again what was unavailable or full inside the engine.
const ENGINE_RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error.kind() {
            ErrorKind::Invalid => Self::bad_request(message),
            ErrorKind::NotFound => Self::not_found(message),
            ErrorKind::Conflict => Self::conflict(message),
            ErrorKind::Unauthorized => Self::unauthorized(message),
            ErrorKind::Forbidden => Self::forbidden(message),
            ErrorKind::Unavailable => Self::unavailable(message, ENGINE_RETRY_AFTER),
            ErrorKind::ResourceExhausted => Self::new(StatusCode::INSUFFICIENT_STORAGE, message),
            ErrorKind::Corrupt | ErrorKind::Internal => Self::internal(message),
        }
    }
}
