//! What a handler answers: a status, a content type and the bytes of the body.

use std::borrow::Cow;

use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode, header};
use serde::Serialize;

use crate::http::body::ResponseBody;
use crate::http::error::ApiError;

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    /// The status line.
    pub status: StatusCode,
    /// The `Content-Type`.
    pub content_type: Cow<'static, str>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// 200 with a body that is already JSON.
    pub fn json_bytes(body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Cow::Borrowed("application/json"),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// 200 with `value` as JSON.
    ///
    /// # Errors
    /// 500 when `value` cannot be JSON (a map with keys that are not strings).
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, ApiError> {
        let body =
            serde_json::to_vec(value).map_err(|error| ApiError::internal(format!("serialising: {error}")))?;
        Ok(Self::json_bytes(body))
    }

    /// 200 with text of the given media type.
    pub fn text(content_type: impl Into<Cow<'static, str>>, body: impl Into<Bytes>) -> Self {
        Self {
            content_type: content_type.into(),
            ..Self::json_bytes(body)
        }
    }

    /// The same answer with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        match self.content_type {
            Cow::Borrowed(text) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            }
            Cow::Owned(text) => {
                if let Ok(value) = HeaderValue::from_str(&text) {
                    headers.insert(header::CONTENT_TYPE, value);
                }
            }
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}
