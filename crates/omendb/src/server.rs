//! Building a server from its configuration, serving, and stopping without losing an answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use omendb_engine::{Engine, EngineOptions, HealthLimits};
use omendb_metrics::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::audit::{Action, Audit};
use crate::auth::{Auth, CredentialFiles, LoginOptions};
use crate::config::{Config, ConfigError};
use crate::health::{self, Health, Monitor, Patience};
use crate::http::app::App;
use crate::http::body_budget::BodyBudget;
use crate::http::listener;
use crate::http::router::Router;
use crate::lifecycle::{Lifecycle, Phase};
use crate::log::LogLevel;
use crate::pool::slots::SlotOptions;
use crate::pool::{ConnectionPool, Slots};
use crate::telemetry::history::History;
use crate::telemetry::web::{Pool, PoolMetrics, WebMetrics};
use crate::telemetry::{PoolOccupancy, Sources, Telemetry, max_open_files};
use crate::traces::Traces;

/// How often windows are turned and credential files looked at.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration, or a file it names, cannot be used.
    Config(ConfigError),
    /// The engine could not open its directory.
    Engine(omendb_engine::Error),
    /// The operating system refused something.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(formatter, "configuration: {error}"),
            Self::Engine(error) => write!(formatter, "{error}"),
            Self::System(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for StartError {}

/// A server that accepts connections. Its data may still be loading.
#[derive(Debug)]
pub struct Server {
    /// Where it listens; the port is the real one when 0 was asked for.
    pub address: SocketAddr,
    /// Its parts.
    pub app: Arc<App>,
    accepting: JoinHandle<()>,
    loading: JoinHandle<Result<(), omendb_engine::Error>>,
    housekeeping: JoinHandle<()>,
}

impl Server {
    /// Checks what the configuration names, opens the engine, binds the port, and begins to load. `log_level` is that of
    /// the process's log.
    ///
    /// # Errors
    /// Why it cannot start; nothing is left running then.
    pub async fn start(config: Config, log_level: LogLevel) -> Result<Self, StartError> {
        Self::start_with(config, log_level, |_| ()).await
    }

    /// [`start`](Self::start) with an engine that is opened in another way: on another file system, say.
    ///
    /// # Errors
    /// As for `start`.
    pub async fn start_with(
        config: Config,
        log_level: LogLevel,
        change: impl FnOnce(&mut EngineOptions),
    ) -> Result<Self, StartError> {
        let clock = Clock::system();
        let web = Arc::new(WebMetrics::default());
        let auth = open_credentials(&config, &clock, &web)?;
        let mut options = engine_options(&config, &clock)?;
        change(&mut options);
        let engine = Engine::open(options).map_err(StartError::Engine)?;
        let (listen, router) = (config.listen, Router::new());
        let slots = Arc::new(start_slots(&config, &clock, &web, &engine)?);
        let connections = Arc::new(ConnectionPool::new(
            config.http_max_connections,
            config.http_connection_queue,
            config.http_connection_queue_timeout,
            clock.clone(),
            PoolMetrics::new(Arc::clone(&web), Pool::Http),
        ));
        let bodies = BodyBudget::new(config.http_max_bodies.0);
        let audit = Audit::new(&config, clock.clone(), Arc::clone(&web));
        let traces = Traces::start(&config, &clock, Arc::clone(&web))
            .map_err(|error| StartError::System(format!("starting the trace exporter: {error}")))?;
        let monitor = Arc::new(Monitor::new(clock.clone(), patience(&config)));
        let telemetry = Telemetry::new(
            &config,
            clock.clone(),
            Sources {
                web,
                token_uses: auth.token_uses(),
                engine: Arc::clone(&engine),
                pools: PoolOccupancy {
                    slots: Arc::clone(&slots),
                    connections: Arc::clone(&connections),
                },
                bodies: Arc::clone(&bodies),
                monitor: Arc::clone(&monitor),
                history: History::new(clock.clone(), config.metrics_history),
            },
        )
        .map_err(|error| StartError::System(format!("metrics: {error}")))?;
        let (listener, address) = listen_on(listen).await?;
        warn_of_few_descriptors(&config);
        let lifecycle = Lifecycle::default();
        let app = Arc::new(App {
            config,
            clock,
            engine,
            slots,
            connections,
            bodies,
            router,
            auth,
            lifecycle,
            audit,
            log_level,
            telemetry,
            health: Health::new(monitor),
            traces,
        });
        app.audit
            .note(Action::ServerStarted, "server", Some(&address.to_string()));
        Ok(Self {
            address,
            accepting: tokio::spawn(listener::accept(Arc::clone(&app), listener)),
            loading: tokio::task::spawn_blocking({
                let app = Arc::clone(&app);
                move || load(&app)
            }),
            housekeeping: tokio::spawn(keep_house(Arc::clone(&app))),
            app,
        })
    }

    /// Waits until all data is loaded. Requests are answered before that, those for data with 503.
    ///
    /// # Errors
    /// What is wrong with the data.
    pub async fn loaded(&mut self) -> Result<(), StartError> {
        match (&mut self.loading).await {
            Ok(result) => result.map_err(StartError::Engine),
            Err(error) => Err(StartError::System(format!("loading: {error}"))),
        }
    }

    /// Stops: `/readyz` answers 503 at once; after `drain.delay` no connection is accepted any more, requests in flight
    /// are finished within `drain.timeout`, and the engine is closed.
    pub async fn stop(self) {
        let app = self.app;
        app.lifecycle.enter(Phase::Leaving);
        tokio::time::sleep(app.config.drain_delay).await;
        app.lifecycle.enter(Phase::Draining);
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "the accept loop ended badly");
        }
        self.housekeeping.abort();
        let closing = tokio::task::spawn_blocking(move || {
            app.slots.close();
            app.traces.flush(app.config.traces_timeout);
            app.engine.close();
            app.audit.note(Action::ServerStopped, "server", None);
            app.audit.sync();
        });
        if let Err(error) = closing.await {
            tracing::error!(%error, "closing the engine failed");
        }
    }
}

/// A socket that takes connections, and its address with the port that was chosen.
async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).await;
    let listener =
        bound.map_err(|error| StartError::System(format!("cannot listen on {address}: {error}")))?;
    let address = listener
        .local_addr()
        .map_err(|error| StartError::System(error.to_string()))?;
    Ok((listener, address))
}

fn engine_options(config: &Config, clock: &Clock) -> Result<EngineOptions, StartError> {
    let seed = getrandom::u64().map_err(|error| StartError::System(format!("no randomness: {error}")))?;
    Ok(EngineOptions {
        clock: clock.clone(),
        max_series: config.metrics_max_collections,
        recall_cpu_share: config.recall_probe_share.get(),
        health: HealthLimits {
            min_disk_free: config.health_min_disk_free.0,
            max_fsync: config.health_max_fsync,
            min_recall: config.health_min_recall.get(),
            recall_samples: config.health_recall_samples as u64,
            stall_after: config.health_stall_after,
        },
        ..EngineOptions::new(&config.data_dir, seed)
    })
}

/// Reads the credentials and refuses to be open to more than this machine.
fn open_credentials(config: &Config, clock: &Clock, web: &Arc<WebMetrics>) -> Result<Auth, StartError> {
    let files = CredentialFiles {
        directory: config.data_dir.clone(),
        tokens_file: config.auth_tokens_file.clone(),
        bootstrap_file: config.bootstrap_token_file.clone(),
    };
    let logins = LoginOptions {
        session_ttl: config.auth_session_ttl,
        concurrency: config.auth_login_concurrency,
        per_minute: config.auth_login_rate,
    };
    let auth = Auth::open(files, logins, clock.clone(), Arc::clone(web)).map_err(|unusable| {
        StartError::Config(ConfigError::new(
            unusable.key,
            unusable.path.to_string_lossy(),
            "file",
            unusable.reason,
        ))
    })?;
    if auth.is_open() && !is_loopback(config.listen.ip()) {
        let reason = "without any credential only a loopback address is served; create one with \
                      \"omendb token create\", or set bootstrap_token_file or auth.tokens_file";
        return Err(StartError::Config(ConfigError::new(
            "listen",
            config.listen.to_string(),
            "checked",
            reason,
        )));
    }
    Ok(auth)
}

/// Connections that the process has no descriptors for would be refused by the kernel, without an answer.
fn warn_of_few_descriptors(config: &Config) {
    /// Files, pipes and the listener.
    const OTHERS: u64 = 64;
    let wanted = (config.http_max_connections + config.http_connection_queue) as u64 + OTHERS;
    if let Some(limit) = max_open_files().filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "few file descriptors for http.max_connections: raise the limit (ulimit -n)"
        );
    }
}

/// `::ffff:127.0.0.1` is loopback too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn patience(config: &Config) -> Patience {
    Patience {
        worsen_after: config.health_worsen_after,
        recover_after: config.health_recover_after,
    }
}

fn start_slots(
    config: &Config,
    clock: &Clock,
    web: &Arc<WebMetrics>,
    engine: &Arc<Engine>,
) -> Result<Slots<omendb_engine::Worker>, StartError> {
    let count = match config.slots_count {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let options = SlotOptions {
        count,
        queue: config.slots_queue,
        queue_timeout: config.slots_queue_timeout,
    };
    let metrics = PoolMetrics::new(Arc::clone(web), Pool::Main);
    let engine = Arc::clone(engine);
    Slots::start(options, clock.clone(), metrics, move || engine.worker())
        .map_err(|error| StartError::System(format!("starting execution slots: {error}")))
}

fn load(app: &App) -> Result<(), omendb_engine::Error> {
    let began = app.clock.now();
    match app.engine.load() {
        Ok(report) => {
            app.lifecycle.set_loaded();
            tracing::info!(
                ?report,
                seconds = app.clock.now().since(began).as_secs_f64(),
                "data loaded"
            );
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "loading failed");
            Err(error)
        }
    }
}

/// What happens by the clock: a scrape turns no window and a request reads no file.
async fn keep_house(app: Arc<App>) {
    let mut interval = tokio::time::interval(HOUSEKEEPING_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        app.telemetry.turn_windows();
        let app = Arc::clone(&app);
        let look = move || {
            app.telemetry.turn_history();
            health::look(&app);
            if let Some(result) = app.auth.reload_if_changed() {
                app.audit.note_reload(&result);
            }
            app.audit.sync();
        };
        // Files are read where waiting for a disk stops no connection.
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(%error, "looking after health and credentials failed");
        }
    }
}
