//! The accept loop: every accepted connection is counted, waits for a slot of pool "http", and is served or refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::http::app::App;
use crate::http::connection;
use crate::http::error::ApiError;

/// Refusals written at the same time. A flood beyond it is simply cut off: answering it politely would take the
/// descriptors that served connections need.
const POLITE_REFUSALS: usize = 64;

/// How long to rest when the process has no descriptor for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the server drains, then waits for the connections to end, at most as long as configured.
pub(crate) async fn accept(app: Arc<App>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let refusals = Arc::new(Semaphore::new(POLITE_REFUSALS));
    let draining = app.lifecycle.draining();
    tokio::pin!(draining);
    loop {
        tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(Arc::clone(&app), stream, peer, Arc::clone(&refusals)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    drop(listener);
    app.connections.close();
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(app.config.drain_timeout, all_ended)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "cutting off connections that did not finish (drain.timeout)"
        );
        connections.shutdown().await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// One connection's life.
async fn converse(app: Arc<App>, stream: TcpStream, peer: SocketAddr, refusals: Arc<Semaphore>) {
    let accepted = app.clock.now();
    app.telemetry.web.connections.increment();
    // Answers are written whole, so waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "setting TCP_NODELAY failed");
    }
    match app.connections.enter().await {
        Ok(_slot) => connection::serve(Arc::clone(&app), stream, peer).await,
        Err(rejected) => {
            connection::count_refusal(&app, hyper::StatusCode::SERVICE_UNAVAILABLE);
            if let Ok(_permit) = refusals.try_acquire() {
                let error = ApiError::from(rejected);
                connection::refuse(Arc::clone(&app), stream, error).await;
            }
        }
    }
    let lifetime = app.clock.now().nanos_since(accepted);
    app.telemetry.web.connection_lifetime.record(lifetime);
}
