//! What a request's spans say, in the names of OpenTelemetry's semantic conventions for HTTP servers.

use omendb_metrics::redacted;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::telemetry::requests::RequestStats;
use crate::telemetry::timeline::Stay;
use crate::traces::RequestSpan;

/// What a span is told beside the facts that metrics are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestNames<'a> {
    /// What the request is called.
    pub(crate) request_id: &'a str,
    /// The collection in its path.
    pub(crate) collection: Option<&'a str>,
}

/// The span of a request that began `began_nanos` after 1970.
pub(crate) fn of_request(
    span: RequestSpan,
    stats: &RequestStats,
    names: RequestNames<'_>,
    began_nanos: u64,
) -> Span {
    let RequestStats {
        verb,
        endpoint,
        status,
        duration_nanos,
        request_bytes,
        response_bytes,
        origin: _,
    } = *stats;
    let RequestNames {
        request_id,
        collection,
    } = names;
    let route = endpoint.name();
    let mut attributes = vec![
        text("http.request.method", verb.as_str()),
        text("http.route", route),
        number("http.response.status_code", status.into()),
        number("http.request.body.size", request_bytes),
        number("http.response.body.size", response_bytes),
        text("omendb.request_id", request_id),
    ];
    attributes.extend(collection.map(|name| text("omendb.collection", redacted(name))));
    Span {
        trace_id: span.context.trace.0.to_be_bytes().to_vec(),
        span_id: span.context.span.0.to_be_bytes().to_vec(),
        parent_span_id: span
            .parent
            .map(|parent| parent.0.to_be_bytes().to_vec())
            .unwrap_or_default(),
        trace_state: span.state,
        name: format!("{} {route}", verb.as_str()),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: began_nanos,
        end_time_unix_nano: began_nanos.saturating_add(duration_nanos),
        attributes,
        status: (status >= 500).then(failed),
        ..Span::default()
    }
}

/// The span called `id` of a request's stay in a stage that began `began_nanos` after 1970, a child of the request's own.
pub(crate) fn of_stage(root: &Span, id: u64, stay: &Stay, began_nanos: u64) -> Span {
    Span {
        trace_id: root.trace_id.clone(),
        span_id: id.max(1).to_be_bytes().to_vec(),
        parent_span_id: root.span_id.clone(),
        trace_state: root.trace_state.clone(),
        name: stay.stage.as_str().to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: began_nanos,
        end_time_unix_nano: began_nanos.saturating_add(stay.nanos),
        ..Span::default()
    }
}

/// The server's own failure; what a client did wrong is no error of the span.
fn failed() -> Status {
    Status {
        message: String::new(),
        code: StatusCode::Error.into(),
    }
}

/// An attribute that is text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

/// An attribute that is a count.
fn number(key: &str, value: u64) -> KeyValue {
    attribute(
        key,
        any_value::Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::requests::{EndpointLabel, Verb};
    use crate::traces::context::{SpanId, TraceId, TraceParent};

    #[test]
    fn only_what_the_server_failed_at_is_an_error() {
        let check = |status: u16, expected: Option<StatusCode>| {
            let stats = RequestStats {
                verb: Verb::Get,
                endpoint: EndpointLabel::UNMATCHED,
                status,
                duration_nanos: 7,
                request_bytes: 0,
                response_bytes: 0,
                origin: None,
            };
            let span = RequestSpan {
                context: TraceParent {
                    trace: TraceId(1),
                    span: SpanId(2),
                    is_sampled: true,
                },
                parent: None,
                state: String::new(),
            };
            let names = RequestNames {
                request_id: "r",
                collection: None,
            };
            let span = of_request(span, &stats, names, 100);
            assert_eq!(span.status.as_ref().map(Status::code), expected, "{status}");
            assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (100, 107));
            assert!(span.parent_span_id.is_empty());
        };
        check(200, None);
        check(404, None);
        check(499, None);
        check(500, Some(StatusCode::Error));
        check(503, Some(StatusCode::Error));
    }
}
