//! Handlers under `/auth`: logging in and out, and API tokens.

use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::auth::credentials::{self, CredentialError, Credentials, TokenRecord};
use crate::auth::permission::Permission;
use crate::auth::secret::{SecretHash, new_token};
use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::log::scope::Scope;
use crate::timestamp::UnixTime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginRequest {
    user: String,
    password: String,
}

/// `POST /auth/login`: a user and password for a session token.
///
/// # Errors
/// 401, 429 and 503 as in [`crate::auth::Auth::login`]; 400 and 422 for the body.
pub async fn login(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let request: LoginRequest = call.read_json().await?;
    call.subject = Some(request.user.clone());
    let session = app
        .auth
        .login(&request.user, &request.password, call.peer.ip())
        .await?;
    call.caller.name = Arc::from(request.user);
    call.subject = None;
    Reply::json(&json!({
        "token": session.token,
        "expires": session.expires,
        "permissions": session.grant.permissions(),
    }))
}

/// `POST /auth/logout`: ends the session whose token is presented.
///
/// # Errors
/// 400 when the credential is no session.
pub async fn logout(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let not_a_session = "the credential is no session: API tokens are revoked with DELETE /auth/tokens/NAME";
    let session = call
        .caller
        .session
        .ok_or_else(|| ApiError::bad_request(not_a_session))?;
    app.auth.sessions.end(session);
    Reply::json(&json!({"logged_out": true}))
}

/// One token as it is listed: everything but its hash.
#[derive(Serialize)]
struct TokenEntry<'a> {
    name: &'a str,
    permissions: &'a [Permission],
    collections: &'a [String],
    created: Option<UnixTime>,
    expires: Option<UnixTime>,
    revoked: Option<UnixTime>,
}

/// `GET /auth/tokens`: the tokens in the data directory, revoked ones included.
///
/// # Errors
/// 500 when the file cannot be read.
pub async fn list_tokens(app: &Arc<App>, _call: &mut Call) -> Result<Reply, ApiError> {
    let path = app.config.data_dir.join(credentials::FILE_NAME);
    let credentials = blocking(move || Credentials::read(&path)).await?;
    let entry = |token: &'_ TokenRecord| {
        serde_json::to_value(TokenEntry {
            name: &token.name,
            permissions: &token.permissions,
            collections: &token.collections,
            created: token.created,
            expires: token.expires,
            revoked: token.revoked,
        })
    };
    let entries: Result<Vec<_>, _> = credentials.tokens.iter().map(entry).collect();
    let entries = entries.map_err(|error| ApiError::internal(format!("serialising: {error}")))?;
    Reply::json(&json!({"tokens": entries}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateTokenRequest {
    name: String,
    permissions: Vec<Permission>,
    #[serde(default)]
    collections: Vec<String>,
    /// Time to live, such as `90d`.
    expires: Option<String>,
}

/// `POST /auth/tokens`: makes a token and shows its secret, once.
///
/// # Errors
/// 422 for a name, permission or expiry that cannot be, 409 for a name that is taken.
pub async fn create_token(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let request: CreateTokenRequest = call.read_json().await?;
    call.subject = Some(request.name.clone());
    let secret = new_token().map_err(|error| ApiError::internal(format!("no randomness: {error}")))?;
    let now = app.auth.now();
    let expires = match &request.expires {
        None => None,
        Some(text) => {
            let refused = |reason| ApiError::unprocessable(format!("expires = \"{text}\": {reason}"));
            Some(credentials::expiry(now, text).map_err(refused)?)
        }
    };
    let name = request.name.clone();
    let record = TokenRecord {
        name: request.name,
        hash: SecretHash::of(&secret),
        permissions: request.permissions,
        collections: request.collections,
        created: Some(now),
        expires,
        revoked: None,
    };
    change(app, move |credentials| credentials.add_token(record)).await?;
    let reply = Reply::json(&json!({"name": name, "token": secret, "expires": expires}))?;
    Ok(reply.with_status(StatusCode::CREATED))
}

/// `DELETE /auth/tokens/{token}`: revokes a token by name.
///
/// # Errors
/// 404 when no token of that name is in force.
pub async fn revoke_token(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let name = call.params.get("token").unwrap_or_default().to_owned();
    let (revoked, now) = (name.clone(), app.auth.now());
    change(app, move |credentials| credentials.revoke_token(&name, now)).await?;
    Reply::json(&json!({"revoked": revoked}))
}

/// Changes the credentials, on disk and in force, before the answer is given.
async fn change(
    app: &Arc<App>,
    change: impl FnOnce(&mut Credentials) -> Result<(), CredentialError> + Send + 'static,
) -> Result<(), ApiError> {
    let app = Arc::clone(app);
    blocking(move || {
        credentials::update(&app.config.data_dir, change)?;
        // Written down as what it was done for.
        let _ = app.auth.reload_if_changed();
        Ok(())
    })
    .await
}

/// Runs file work away from the connections' threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CredentialError> + Send + 'static,
) -> Result<T, ApiError> {
    let result = tokio::task::spawn_blocking(Scope::carry(work)).await;
    let result = result.map_err(|error| ApiError::internal(format!("credentials: {error}")))?;
    result.map_err(|error| match &error {
        CredentialError::Refused(_) => ApiError::unprocessable(error.to_string()),
        CredentialError::NotFound(_) => ApiError::not_found(error.to_string()),
        CredentialError::Exists(_) => ApiError::conflict(error.to_string()),
        CredentialError::File(..) => ApiError::internal(error.to_string()),
    })
}
