//! The route table: every path the server answers, with the permission it asks for and the function that serves it.
//!
//! Routing, authorisation, the `endpoint` label of the metrics and the tests are all read from this table.

use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use crate::api;
use crate::audit::Action::{
    self, AliasesChanged, BundleTaken, CollectionChanged, CollectionCreated, CollectionDeleted,
    LogLevelChanged, Login, Logout, TokenCreated, TokenRevoked,
};
use crate::auth;
use crate::auth::Permission::{self, Admin, DataRead, DataWrite, MetricsRead};
use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::{debug, health, log, telemetry};

/// What a handler returns.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send + 'a>>;

/// Serves one request whose caller may make it.
pub type Handler = for<'a> fn(&'a Arc<App>, &'a mut Call) -> Answer<'a>;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; a credential that is presented is still looked at.
    Public,
    /// Any valid credential.
    Own,
    /// A credential with this permission.
    Needs(Permission),
}

/// What a route does with a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Nothing: it is left unread.
    Unused,
    /// JSON: another `Content-Type` is answered with 415.
    Json,
}

/// One row of the table.
pub struct Route {
    /// The method; `GET` answers `HEAD` too.
    pub method: Method,
    /// The path template, parameters in braces.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does with a body.
    pub body: BodyKind,
    /// What the audit log calls it, if it is written down.
    pub audited: Option<Action>,
    /// What serves it.
    pub handler: Handler,
}

impl Route {
    /// The same route, written down in the audit log as `action`.
    const fn audited(mut self, action: Action) -> Self {
        self.audited = Some(action);
        self
    }

    /// The `endpoint` label: the template with `:name` for parameters.
    pub fn endpoint(&self) -> String {
        self.path.replace('{', ":").replace('}', "")
    }

    /// Whether `{collection}` is the name of a collection itself, which is created or deleted, and no alias.
    pub fn takes_no_alias(&self) -> bool {
        self.path == "/collections/{collection}" && [Method::PUT, Method::DELETE].contains(&self.method)
    }
}

const fn get(path: &'static str, access: Access, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        path,
        access,
        body: BodyKind::Unused,
        audited: None,
        handler,
    }
}

const fn post(path: &'static str, access: Access, handler: Handler) -> Route {
    Route {
        method: Method::POST,
        path,
        access,
        body: BodyKind::Json,
        audited: None,
        handler,
    }
}

const fn put(path: &'static str, access: Access, handler: Handler) -> Route {
    Route {
        method: Method::PUT,
        path,
        access,
        body: BodyKind::Json,
        audited: None,
        handler,
    }
}

const fn patch(path: &'static str, access: Access, handler: Handler) -> Route {
    Route {
        method: Method::PATCH,
        path,
        access,
        body: BodyKind::Json,
        audited: None,
        handler,
    }
}

const fn delete(path: &'static str, access: Access, handler: Handler) -> Route {
    Route {
        method: Method::DELETE,
        path,
        access,
        body: BodyKind::Unused,
        audited: None,
        handler,
    }
}

const PUBLIC: Access = Access::Public;
const OWN: Access = Access::Own;
const READ: Access = Access::Needs(DataRead);
const WRITE: Access = Access::Needs(DataWrite);
const METRICS: Access = Access::Needs(MetricsRead);
const ADMIN: Access = Access::Needs(Admin);

/// Every route.
pub const ROUTES: &[Route] = &[
    get("/", PUBLIC, |app, call| Box::pin(health::version(app, call))),
    get("/health", PUBLIC, |app, call| Box::pin(health::health(app, call))),
    get("/healthz", PUBLIC, |app, call| Box::pin(health::live(app, call))),
    get("/livez", PUBLIC, |app, call| Box::pin(health::live(app, call))),
    get("/readyz", PUBLIC, |app, call| Box::pin(health::ready(app, call))),
    get("/metrics", METRICS, |app, call| {
        Box::pin(telemetry::page::metrics(app, call))
    }),
    get("/metrics/json", METRICS, |app, call| {
        Box::pin(telemetry::page::metrics_json(app, call))
    }),
    get("/metrics/catalog", METRICS, |app, call| {
        Box::pin(telemetry::page::catalog(app, call))
    }),
    get("/debug/recall", ADMIN, |app, call| {
        Box::pin(debug::recall::recall(app, call))
    }),
    get("/debug/slow-queries", ADMIN, |app, call| {
        Box::pin(debug::slow_queries::list(app, call))
    }),
    get("/metrics/history", METRICS, |app, call| {
        Box::pin(telemetry::history::page::history(app, call))
    }),
    get("/debug/bundle", ADMIN, |app, call| {
        Box::pin(debug::bundle::bundle(app, call))
    })
    .audited(BundleTaken),
    post("/auth/login", PUBLIC, |app, call| {
        Box::pin(auth::api::login(app, call))
    })
    .audited(Login),
    post("/auth/logout", OWN, |app, call| {
        Box::pin(auth::api::logout(app, call))
    })
    .audited(Logout),
    get("/auth/tokens", ADMIN, |app, call| {
        Box::pin(auth::api::list_tokens(app, call))
    }),
    post("/auth/tokens", ADMIN, |app, call| {
        Box::pin(auth::api::create_token(app, call))
    })
    .audited(TokenCreated),
    delete("/auth/tokens/{token}", ADMIN, |app, call| {
        Box::pin(auth::api::revoke_token(app, call))
    })
    .audited(TokenRevoked),
    get("/debug/log-level", ADMIN, |app, call| {
        Box::pin(log::api::show(app, call))
    }),
    put("/debug/log-level", ADMIN, |app, call| {
        Box::pin(log::api::change(app, call))
    })
    .audited(LogLevelChanged),
    post("/query", READ, |app, call| {
        Box::pin(api::native::query(app, call))
    }),
    get("/collections", READ, |app, call| {
        Box::pin(api::collections::list(app, call))
    }),
    put("/collections/{collection}", WRITE, |app, call| {
        Box::pin(api::collections::create(app, call))
    })
    .audited(CollectionCreated),
    get("/collections/{collection}", READ, |app, call| {
        Box::pin(api::collections::get(app, call))
    }),
    patch("/collections/{collection}", WRITE, |app, call| {
        Box::pin(api::change::change(app, call))
    })
    .audited(CollectionChanged),
    delete("/collections/{collection}", WRITE, |app, call| {
        Box::pin(api::collections::delete(app, call))
    })
    .audited(CollectionDeleted),
    get("/collections/{collection}/exists", READ, |app, call| {
        Box::pin(api::collections::exists(app, call))
    }),
    get("/aliases", READ, |app, call| {
        Box::pin(api::aliases::list(app, call))
    }),
    post("/collections/aliases", WRITE, |app, call| {
        Box::pin(api::aliases::change(app, call))
    })
    .audited(AliasesChanged),
    get("/collections/{collection}/aliases", READ, |app, call| {
        Box::pin(api::aliases::of_collection(app, call))
    }),
    put("/collections/{collection}/index", WRITE, |app, call| {
        Box::pin(api::payload_index::create(app, call))
    }),
    delete("/collections/{collection}/index/{field}", WRITE, |app, call| {
        Box::pin(api::payload_index::delete(app, call))
    }),
    put(
        "/collections/{collection}/vectors/{vector}",
        WRITE,
        |app, call| Box::pin(api::vector_names::create(app, call)),
    )
    .audited(CollectionChanged),
    delete(
        "/collections/{collection}/vectors/{vector}",
        WRITE,
        |app, call| Box::pin(api::vector_names::delete(app, call)),
    )
    .audited(CollectionChanged),
    put("/collections/{collection}/points", WRITE, |app, call| {
        Box::pin(api::points::upsert(app, call))
    }),
    post("/collections/{collection}/points", READ, |app, call| {
        Box::pin(api::points::retrieve(app, call))
    }),
    get("/collections/{collection}/points/{id}", READ, |app, call| {
        Box::pin(api::points::get(app, call))
    }),
    post("/collections/{collection}/points/delete", WRITE, |app, call| {
        Box::pin(api::points::delete(app, call))
    }),
    post("/collections/{collection}/points/batch", WRITE, |app, call| {
        Box::pin(api::batch_update::update(app, call))
    }),
    post("/collections/{collection}/points/payload", WRITE, |app, call| {
        Box::pin(api::payload_changes::set(app, call))
    }),
    put("/collections/{collection}/points/payload", WRITE, |app, call| {
        Box::pin(api::payload_changes::overwrite(app, call))
    }),
    post(
        "/collections/{collection}/points/payload/delete",
        WRITE,
        |app, call| Box::pin(api::payload_changes::delete(app, call)),
    ),
    post(
        "/collections/{collection}/points/payload/clear",
        WRITE,
        |app, call| Box::pin(api::payload_changes::clear(app, call)),
    ),
    put("/collections/{collection}/points/vectors", WRITE, |app, call| {
        Box::pin(api::vector_changes::update(app, call))
    }),
    post(
        "/collections/{collection}/points/vectors/delete",
        WRITE,
        |app, call| Box::pin(api::vector_changes::delete(app, call)),
    ),
    post("/collections/{collection}/points/query", READ, |app, call| {
        Box::pin(api::search::query(app, call))
    }),
    post(
        "/collections/{collection}/points/query/batch",
        READ,
        |app, call| Box::pin(api::search::query_batch(app, call)),
    ),
    post(
        "/collections/{collection}/points/query/groups",
        READ,
        |app, call| Box::pin(api::groups::query_groups(app, call)),
    ),
    post(
        "/collections/{collection}/points/search/matrix/pairs",
        READ,
        |app, call| Box::pin(api::matrix::pairs(app, call)),
    ),
    post(
        "/collections/{collection}/points/search/matrix/offsets",
        READ,
        |app, call| Box::pin(api::matrix::offsets(app, call)),
    ),
    post("/collections/{collection}/facet", READ, |app, call| {
        Box::pin(api::facet::facet(app, call))
    }),
    post("/collections/{collection}/points/count", READ, |app, call| {
        Box::pin(api::scroll::count(app, call))
    }),
    post("/collections/{collection}/points/scroll", READ, |app, call| {
        Box::pin(api::scroll::scroll(app, call))
    }),
];
