//! Aliases of collections: listed, and changed together.

use std::sync::Arc;

use omendb_engine::{AliasChange, Engine};
use serde::{Deserialize, Serialize};

use super::collections::outside_slots;
use super::params::check_collection_params;
use super::{envelope, parse};
use crate::auth::Caller;
use crate::http::{ApiError, App, Call, Reply};

#[derive(Serialize)]
struct AliasesJson {
    aliases: Vec<AliasJson>,
}

#[derive(Serialize)]
struct AliasJson {
    alias_name: String,
    collection_name: String,
}

/// `GET /aliases`: those of the collections that the caller reaches.
///
/// # Errors
/// None of its own.
pub async fn list(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let aliases = described(app, |collection| call.caller.sees(collection));
    envelope::ok(&aliases, app.clock.now().since(started))
}

/// `GET /collections/{collection}/aliases`: those of one collection.
///
/// # Errors
/// 404 without the collection.
pub async fn of_collection(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let collection = app.engine.collection(call.collection()?)?;
    let aliases = described(app, |target| target == collection.name());
    envelope::ok(&aliases, app.clock.now().since(started))
}

/// The collection that `name`, found in a body, stands for, if the credential reaches it.
pub(super) fn reached(engine: &Engine, caller: &Caller, name: String) -> Result<String, ApiError> {
    let collection = engine.alias_target(&name).unwrap_or_else(|| name.clone());
    caller.check_target(&collection, &name)?;
    Ok(collection)
}

fn described(app: &App, is_wanted: impl Fn(&str) -> bool) -> AliasesJson {
    let aliases = app.engine.aliases().into_iter();
    let wanted = aliases.filter(|(_, collection)| is_wanted(collection));
    let described = wanted.map(|(alias_name, collection_name)| AliasJson {
        alias_name,
        collection_name,
    });
    AliasesJson {
        aliases: described.collect(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesBody {
    actions: Vec<ActionBody>,
}

/// One change: the field that is given says which.
#[derive(Deserialize)]
enum ActionBody {
    #[serde(rename = "create_alias")]
    Create(CreateBody),
    #[serde(rename = "delete_alias")]
    Delete(DeleteBody),
    #[serde(rename = "rename_alias")]
    Rename(RenameBody),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    collection_name: String,
    alias_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    alias_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameBody {
    old_alias_name: String,
    new_alias_name: String,
}

impl From<ActionBody> for AliasChange {
    fn from(body: ActionBody) -> Self {
        match body {
            ActionBody::Create(CreateBody {
                collection_name: collection,
                alias_name: alias,
            }) => Self::Create { alias, collection },
            ActionBody::Delete(DeleteBody { alias_name: alias }) => Self::Delete { alias },
            ActionBody::Rename(RenameBody {
                old_alias_name: from,
                new_alias_name: to,
            }) => Self::Rename { from, to },
        }
    }
}

/// `POST /collections/aliases`: changes aliases, all of it or nothing; durable when answered.
///
/// # Errors
/// 404 without a collection or the alias to rename, 409 for the name of a collection, 403 when the credential does not
/// reach a collection that an alias stands for before or afterwards; 400 and 422 for a wrong body or name.
pub async fn change(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    check_collection_params(call)?;
    let body = call.read_body().await?;
    call.subject = Some(String::from_utf8_lossy(&body).into_owned());
    let (engine, caller) = (Arc::clone(&app.engine), call.caller.clone());
    outside_slots(move || {
        let ChangesBody { actions } = parse::body(&body)?;
        let changes: Vec<AliasChange> = actions.into_iter().map(AliasChange::from).collect();
        engine.change_aliases(&changes, |collection, name| caller.check_target(collection, name))
    })
    .await?;
    envelope::ok(&true, app.clock.now().since(started))
}
