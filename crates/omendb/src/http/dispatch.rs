//! One request from its head to its answer: route, authorise, hand to its handler, and record what happened.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use omendb_metrics::{Origin, Timestamp};

use crate::audit::{Action, Entry};
use crate::auth::{Caller, Grant, loopback};
use crate::http::app::App;
use crate::http::body::{BodyLimits, RequestBody, ResponseBody};
use crate::http::call::{Call, PathParams};
use crate::http::error::ApiError;
use crate::http::exchange::{Exchange, Traced};
use crate::http::identity::{Identity, REQUEST_ID};
use crate::http::reply::Reply;
use crate::http::router::Routed;
use crate::log::scope::Scope;
use crate::routes::{Access, Answer, BodyKind, ROUTES, Route};
use crate::telemetry::query_record::QueryRecord;
use crate::telemetry::requests::{EndpointLabel, RequestStats, Verb};
use crate::telemetry::tally::Tally;
use crate::traces::RequestSpan;
use crate::traces::context::TRACE_PARENT;
use crate::traces::spans::{self, RequestNames};

/// Longest body that is taken and thrown away so that its connection can go on after a refusal.
const DRAINED_BODY: u64 = 64 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_millis(100);

/// An answer, and whether the request's body was left on the wire: the connection must then linger before it closes.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) response: Response<ResponseBody>,
    pub(crate) left_body_unread: bool,
    /// To be recorded when the answer is written, if the request was for data.
    pub(crate) exchange: Option<Exchange>,
}

/// Serves one request; its first byte may be known to have come earlier.
pub(crate) async fn dispatch(
    app: Arc<App>,
    (peer, first_byte): (SocketAddr, Option<Timestamp>),
    request: Request<Incoming>,
) -> Answered {
    let mut record = Record::begin(&app, request.method(), peer.ip());
    record.first_byte = first_byte.unwrap_or(record.began);
    let scope = record.identify(request.headers());
    scope.around(respond(app, peer, request, record)).await
}

/// Answers one request, and says in `record` what happened.
async fn respond(
    app: Arc<App>,
    peer: SocketAddr,
    request: Request<Incoming>,
    mut record: Record,
) -> Answered {
    let (head, incoming) = request.into_parts();
    let expects_continue = head.headers.contains_key(header::EXPECT);
    let limits = BodyLimits {
        bytes: app.config.http_max_body.0,
        time: app.config.http_body_timeout,
    };
    let mut call = Call {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        params: PathParams::default(),
        caller: Caller::anonymous(Grant::default()),
        peer,
        subject: None,
        body: RequestBody::new(incoming, limits, Arc::clone(&app.bodies)),
        tally: Tally::new(&app.clock, (record.first_byte, record.began), record.stats.origin),
    };
    if app.telemetry.slow_queries.is_on() {
        call.tally.keep_bodies();
    }
    if record.is_traced() {
        call.tally.trace();
    }
    let result = answer(&app, &mut call, &mut record).await;
    let reply = result.unwrap_or_else(|error| {
        if let Some(detail) = error.detail() {
            tracing::error!(method = %call.method, path = call.uri.path(), status = error.status().as_u16(), detail);
        }
        error.into_reply(app.clock.now().since(record.began))
    });
    if !expects_continue {
        call.body.drain(DRAINED_BODY, DRAIN_TIME).await;
    }
    if record.is_traced() {
        record.collection = call.params.get("collection").map(str::to_owned);
    }
    record.stats.request_bytes = call.body.received();
    record.stats.status = reply.status.as_u16();
    record.stats.response_bytes = reply.body.len() as u64;
    tracing::debug!(method = %call.method, path = call.uri.path(), status = record.stats.status, caller = &*call.caller.name);
    let mut response = reply.into_response();
    response
        .headers_mut()
        .insert(REQUEST_ID, record.identity.header());
    if let Some(value) = record.trace_parent() {
        response.headers_mut().insert(TRACE_PARENT, value);
    }
    let left_body_unread = !call.body.is_complete();
    if left_body_unread {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Answered {
        response,
        left_body_unread,
        exchange: exchange(record, call.tally, call.params),
    }
}

/// Records the request as answered; what is left to record once the answer is written.
pub(super) fn exchange(mut record: Record, tally: Tally, mut params: PathParams) -> Option<Exchange> {
    let (app, began, stats) = (Arc::clone(&record.app), record.first_byte, record.stats);
    let identity = record.identity;
    // Its spans are known when the last byte is written, as its record is.
    let span = if tally.is_used { record.span.take() } else { None };
    let ready = app.clock.now();
    let is_exemplar = record.finish(ready);
    tally.is_used.then(|| Exchange {
        record: QueryRecord {
            identity,
            origin: stats.origin,
            verb: stats.verb,
            endpoint: stats.endpoint,
            db_id: tally.db_id.or_else(|| params.take("collection")),
            status: stats.status,
            began,
            whole_nanos: 0,
            stages: tally.stages,
            request_bytes: stats.request_bytes,
            response_bytes: stats.response_bytes,
            work: tally.work,
            is_exemplar: is_exemplar || tally.work.search.is_exemplar,
        },
        app,
        body: tally.body,
        ready,
        written: None,
        traced: span.zip(tally.timeline).map(|(span, timeline)| {
            Box::new(Traced {
                span: *span,
                stats,
                timeline,
            })
        }),
    })
}

/// Everything that can be decided from the head is decided before the handler may read the body.
async fn answer(app: &Arc<App>, call: &mut Call, record: &mut Record) -> Result<Reply, ApiError> {
    let routed = app.router.route(&call.method, call.uri.path())?;
    if let Routed::Found(index, _) | Routed::WrongMethod(index, _) = &routed {
        record.is_for(EndpointLabel::of_route(*index));
    }
    if app.auth.is_open() {
        loopback::check(&call.uri, &call.headers)?;
    }
    let route = match routed {
        Routed::Found(index, params) => {
            call.params = params;
            &ROUTES[index]
        }
        Routed::WrongMethod(_, allow) => return Err(method_not_allowed(&call.method, &allow)),
        Routed::Unmatched => return Err(ApiError::not_found(format!("no such path: {}", call.uri.path()))),
    };
    let result = serve(app, call, route, record).await;
    if let (Err(error), Access::Needs(permission)) = (&result, route.access)
        && error.status() == StatusCode::FORBIDDEN
    {
        // Whatever was not permitted: the route, or the collection that a handler found in the body.
        app.telemetry.web.authorization_failures.increment(permission);
        record.audit(Action::AccessDenied, call, Some(error.message()));
    }
    result
}

/// Authorises the caller of `route`, then lets the route's handler answer.
async fn serve(
    app: &Arc<App>,
    call: &mut Call,
    route: &Route,
    record: &mut Record,
) -> Result<Reply, ApiError> {
    match app.auth.identify(&call.headers, route.access) {
        Ok(caller) => call.caller = caller,
        Err(error) => {
            if has_credential(&call.headers) {
                record.audit(Action::TokenRefused, call, Some(error.message()));
            }
            return Err(error);
        }
    }
    if call.caller.is_first_use {
        let first_use = Entry::new(Action::TokenFirstUsed, Arc::clone(&call.caller.name));
        let request = (record.identity.request_id(), record.peer);
        app.audit.record(&first_use, request, StatusCode::OK.as_u16());
    }
    call.caller.check_access(route.access)?;
    if let Some(name) = call.params.get("collection") {
        match app.engine.alias_target(name).filter(|_| !route.takes_no_alias()) {
            None => call.caller.check_collection(name)?,
            Some(collection) => {
                call.caller.check_target(&collection, name)?;
                // From here on it is the collection's own name, in figures too.
                call.params.insert("collection", collection);
            }
        }
    }
    if route.body == BodyKind::Json {
        check_content_type(&call.headers)?;
        call.body.check_announced()?;
    }
    let Some(action) = route.audited else {
        return guarded((route.handler)(app, call)).await;
    };
    // Before the handler too: a client that goes away while it works ends this future, not what it has begun.
    record.audit(action, call, None);
    let result = guarded((route.handler)(app, call)).await;
    record.audit(action, call, result.as_ref().err().map(ApiError::message));
    result
}

/// Whether somebody has tried a credential, rather than none.
fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key("api-key")
}

/// A panic in a handler costs its own request an answer of 500, not its connection.
async fn guarded(mut answer: Answer<'_>) -> Result<Reply, ApiError> {
    poll_fn(|context| {
        let poll = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        poll.unwrap_or_else(|_| Poll::Ready(Err(ApiError::internal("a handler panicked"))))
    })
    .await
}

fn method_not_allowed(method: &Method, allow: &str) -> ApiError {
    let error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("method {method} is not served here, only {allow}"),
    );
    match HeaderValue::from_str(allow) {
        Ok(value) => error.with_header(header::ALLOW, value),
        Err(_) => error,
    }
}

/// JSON must say so, or say nothing. A page of another origin can send forms and plain text without asking first, but
/// not JSON, so this also keeps browsers out.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or("(not text)");
    let media_type = text.split(';').next().unwrap_or_default().trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json")
        || (media_type.len() > 5 && media_type.to_ascii_lowercase().ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let message = format!("content-type \"{text}\" is not application/json");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

/// A request being served; recorded when dropped, so also when its client hangs up and its future is dropped with it.
pub(super) struct Record {
    app: Arc<App>,
    pub(super) began: Timestamp,
    pub(super) stats: RequestStats,
    identity: Identity,
    /// When it is sampled.
    span: Option<Box<RequestSpan>>,
    /// The collection in its path, for the span; nothing without one.
    collection: Option<String>,
    /// The other end of the connection, for the audit log.
    peer: IpAddr,
    /// What is written down of it.
    audited: Option<Box<Entry>>,
    is_recorded: bool,
    /// When its first byte was read.
    first_byte: Timestamp,
}

/// The status recorded for a request whose client went away first.
const CLIENT_CLOSED: u16 = 499;

impl Record {
    pub(super) fn begin(app: &Arc<App>, method: &Method, peer: IpAddr) -> Self {
        let stats = RequestStats {
            verb: Verb::of(method),
            endpoint: EndpointLabel::UNMATCHED,
            status: CLIENT_CLOSED,
            duration_nanos: 0,
            request_bytes: 0,
            response_bytes: 0,
            origin: None,
        };
        app.telemetry.windows.in_flight(stats.endpoint()).add(1);
        let began = app.clock.now();
        Self {
            app: Arc::clone(app),
            began,
            first_byte: began,
            stats,
            identity: Identity::default(),
            span: None,
            collection: None,
            peer,
            audited: None,
            is_recorded: false,
        }
    }

    /// It was routed.
    pub(super) fn is_for(&mut self, endpoint: EndpointLabel) {
        let windows = &self.app.telemetry.windows;
        windows.in_flight(self.stats.endpoint()).sub(1);
        self.stats.endpoint = endpoint;
        windows.in_flight(self.stats.endpoint()).add(1);
    }

    /// Gives it its names, and a span if it is sampled.
    pub(super) fn identify(&mut self, headers: &HeaderMap) -> Scope {
        let ids = &self.app.telemetry.request_ids;
        self.identity = Identity::of(headers, ids);
        let Identity { request, parent } = self.identity;
        self.span = self.app.traces.sample(parent, headers, || ids.next_number());
        let sampled = self.span.as_ref().map(|span| span.context);
        let trace = sampled.or(parent).map(|context| context.trace);
        let origin = trace.and_then(|trace| Origin::trace(&trace.to_string()));
        self.stats.origin = origin.or(request);
        Scope { request, trace }
    }

    /// Has the request written down when it is over, instead of what was to be written before.
    fn audit(&mut self, action: Action, call: &Call, detail: Option<&str>) {
        let in_path = call.params.get("collection").or_else(|| call.params.get("token"));
        self.audited = Some(Box::new(Entry {
            target: call.subject.clone().or_else(|| in_path.map(str::to_owned)),
            detail: detail.map(str::to_owned),
            ..Entry::new(action, Arc::clone(&call.caller.name))
        }));
    }

    /// Whether it is sampled.
    pub(super) fn is_traced(&self) -> bool {
        self.span.is_some()
    }

    /// What a sampled request's answer says of its span.
    fn trace_parent(&self) -> Option<HeaderValue> {
        let span = self.span.as_ref()?;
        HeaderValue::try_from(span.context.to_string()).ok()
    }

    /// The answer was ready at `now`; whether the request's latency is shown as an exemplar.
    fn finish(mut self, now: Timestamp) -> bool {
        self.is_recorded = true;
        self.record(now)
    }

    fn record(&mut self, now: Timestamp) -> bool {
        self.app.telemetry.windows.in_flight(self.stats.endpoint()).sub(1);
        self.stats.duration_nanos = now.nanos_since(self.began);
        let is_exemplar = self.app.telemetry.record_request(&self.stats);
        if let Some(entry) = self.audited.take() {
            let request = (self.identity.request_id(), self.peer);
            self.app.audit.record(&entry, request, self.stats.status);
        }
        if let Some(span) = self.span.take() {
            let names = RequestNames {
                request_id: self.identity.request_id(),
                collection: self.collection.as_deref(),
            };
            let began = self.app.clock.wall().saturating_sub(self.stats.duration_nanos);
            let root = spans::of_request(*span, &self.stats, names, began);
            self.app.traces.record(vec![root]);
        }
        is_exemplar
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_recorded {
            self.record(self.app.clock.now());
        }
    }
}
