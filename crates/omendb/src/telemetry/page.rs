//! The pages under `/metrics`: one snapshot, filtered as asked, rendered once.

use std::sync::Arc;

use hyper::header::{self, HeaderName, HeaderValue};
use omendb_metrics::{Format, Selection, Snapshot, accepts_gzip, gzip};

use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::log::scope::Scope;

/// Shortest page worth compressing, bytes.
const SHORTEST_COMPRESSED: usize = 1024;

/// `GET /metrics`: text 0.0.4, OpenMetrics or protocol buffers, as the scraper asks.
///
/// # Errors
/// None of its own.
pub async fn metrics(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let format = Format::negotiate(joined(call, &header::ACCEPT).as_deref());
    let (selection, is_compressed) = (selection(call), wants_gzip(call));
    let page = render(app, move |app| {
        let page = app
            .telemetry
            .registry
            .scrape(selection, |snapshot| snapshot.to_page(format));
        Page::new(page, is_compressed)
    })
    .await?;
    Ok(page.into_reply(format.content_type()))
}

/// `GET /metrics/json`: the same snapshot for programs without a Prometheus parser.
///
/// # Errors
/// None of its own.
pub async fn metrics_json(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let (selection, is_compressed) = (selection(call), wants_gzip(call));
    let page = render(app, move |app| {
        let page = app.telemetry.registry.scrape(selection, Snapshot::to_json);
        Page::new(page.into_bytes(), is_compressed)
    })
    .await?;
    Ok(page.into_reply("application/json"))
}

/// `GET /metrics/catalog`: what every family means, whether it has series yet or not.
///
/// # Errors
/// None of its own.
pub async fn catalog(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let page = app.telemetry.registry.catalogue().to_json();
    let page = Page::new(page.into_bytes(), wants_gzip(call));
    Ok(page.into_reply("application/json"))
}

/// A rendered page.
pub(crate) struct Page {
    body: Vec<u8>,
    is_compressed: bool,
}

impl Page {
    /// Compressed if the client takes that, and it is long enough to be worth it.
    pub(crate) fn new(page: Vec<u8>, wants_gzip: bool) -> Self {
        let is_compressed = wants_gzip && page.len() >= SHORTEST_COMPRESSED;
        let body = if is_compressed { gzip(&page) } else { page };
        Self { body, is_compressed }
    }

    pub(crate) fn into_reply(self, content_type: &'static str) -> Reply {
        let reply = Reply::text(content_type, self.body)
            .with_header(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        if self.is_compressed {
            reply.with_header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
        } else {
            reply
        }
    }
}

/// Renders off the connections' threads: a page of many series takes milliseconds, and queries do not wait for it.
/// Scrapers wait for each other beyond a few: pages are memory too.
pub(crate) async fn render<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let permit = app.telemetry.renderings.acquire().await;
    let _permit = permit.map_err(|_| ApiError::internal("renderings are closed"))?;
    let app = Arc::clone(app);
    let rendered = tokio::task::spawn_blocking(Scope::carry(move || work(&app))).await;
    rendered.map_err(|error| ApiError::internal(format!("rendering metrics: {error}")))
}

/// What the query string chooses, within the collections the caller may see. A credential limited to collections gets
/// their series only: not other collections', and not the whole server's.
fn selection(call: &Call) -> Selection {
    let mut selection = Selection::from_query(call.uri.query().unwrap_or_default());
    if let Some(visible) = call.caller.grant.collections() {
        if selection.open_values.is_empty() {
            selection.open_values = visible.to_vec();
        } else {
            selection.open_values.retain(|value| call.caller.sees(value));
        }
        if selection.open_values.is_empty() {
            // Nothing of what was asked for may be seen, and an empty choice would mean everything.
            selection.open_values.push(String::new());
        }
    }
    selection
}

pub(crate) fn wants_gzip(call: &Call) -> bool {
    accepts_gzip(joined(call, &header::ACCEPT_ENCODING).as_deref())
}

/// A list header as one text, however many lines it came in.
fn joined(call: &Call, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = call
        .headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}
