//! What a credential permits, and who is asking.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::secret::SecretHash;
use crate::http::error::ApiError;
use crate::routes::Access;

/// One thing a credential may do. `admin` includes the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// Queries and everything else that reads collections.
    #[serde(rename = "data:read")]
    DataRead,
    /// Creating, changing and deleting collections and points.
    #[serde(rename = "data:write")]
    DataWrite,
    /// `/metrics` and the details of `/health`.
    #[serde(rename = "metrics:read")]
    MetricsRead,
    /// Credentials, and everything else.
    #[serde(rename = "admin")]
    Admin,
}

impl Permission {
    /// All of them, in the order in which they are listed everywhere.
    pub const ALL: [Self; 4] = [Self::DataRead, Self::DataWrite, Self::MetricsRead, Self::Admin];

    /// The name in files, requests and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataRead => "data:read",
            Self::DataWrite => "data:write",
            Self::MetricsRead => "metrics:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown permission \"{text}\" (known: {known})")
        };
        Self::ALL
            .into_iter()
            .find(|permission| permission.name() == text)
            .ok_or_else(unknown)
    }
}

/// What a credential permits, and on which collections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    permissions: Vec<Permission>,
    collections: Option<Vec<String>>,
}

impl Grant {
    /// `permissions` on `collections`, or on all collections when none is named.
    ///
    /// # Errors
    /// A sentence when nothing is permitted, or when `admin` (which can give itself anything) is limited to collections.
    pub fn new(permissions: Vec<Permission>, collections: Vec<String>) -> Result<Self, String> {
        if permissions.is_empty() {
            return Err("no permission given".to_owned());
        }
        if permissions.contains(&Permission::Admin) && !collections.is_empty() {
            return Err("permission \"admin\" cannot be limited to collections".to_owned());
        }
        let mut permissions = permissions;
        permissions.sort_unstable();
        permissions.dedup();
        Ok(Self {
            permissions,
            collections: (!collections.is_empty()).then_some(collections),
        })
    }

    /// Everything, everywhere.
    pub fn everything() -> Self {
        Self {
            permissions: vec![Permission::Admin],
            collections: None,
        }
    }

    /// Whether `permission` is included.
    pub fn permits(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission) || self.permissions.contains(&Permission::Admin)
    }

    /// The permissions, sorted.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// The collections it is limited to; none means all.
    pub fn collections(&self) -> Option<&[String]> {
        self.collections.as_deref()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the token or user; "anonymous" on an open server and on public routes.
    pub name: Arc<str>,
    /// What they may do.
    pub grant: Arc<Grant>,
    /// The hash of the session token presented, if it was one.
    pub(crate) session: Option<SecretHash>,
    /// Whether the token has not been used before since the server started.
    pub(crate) is_first_use: bool,
}

impl Caller {
    pub(crate) fn anonymous(grant: Grant) -> Self {
        Self {
            name: Arc::from("anonymous"),
            grant: Arc::new(grant),
            session: None,
            is_first_use: false,
        }
    }

    /// Checks that the credential permits `access`.
    ///
    /// # Errors
    /// 403 naming the credential and the permission it lacks.
    pub(crate) fn check_access(&self, access: Access) -> Result<(), ApiError> {
        match access {
            Access::Needs(permission) if !self.grant.permits(permission) => {
                let name = &self.name;
                Err(ApiError::forbidden(format!(
                    "credential \"{name}\" lacks permission \"{permission}\""
                )))
            }
            Access::Public | Access::Own | Access::Needs(_) => Ok(()),
        }
    }

    /// Whether the credential reaches `collection`; lists are filtered by it.
    pub fn sees(&self, collection: &str) -> bool {
        self.grant
            .collections()
            .is_none_or(|names| names.iter().any(|name| name == collection))
    }

    /// Checks that the credential reaches `collection`. The router does it for `{collection}` in a path; a handler that
    /// finds the name in its body does it itself, before it looks the collection up.
    ///
    /// # Errors
    /// 403 naming the collection, whether it exists or not.
    pub fn check_collection(&self, collection: &str) -> Result<(), ApiError> {
        self.check_target(collection, collection)
    }

    /// Checks that the credential reaches `collection`, which was asked for by `name`, an alias perhaps. What counts is
    /// the collection: a credential does not reach more by an alias, nor less.
    ///
    /// # Errors
    /// 403 with the name that was asked for, whatever it stands for.
    pub fn check_target(&self, collection: &str, name: &str) -> Result<(), ApiError> {
        if self.sees(collection) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!(
            "this credential does not reach collection \"{name}\""
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_includes_everything_and_cannot_be_limited() {
        let admin = Grant::new(vec![Permission::Admin], Vec::new()).unwrap();
        assert!(
            Permission::ALL
                .into_iter()
                .all(|permission| admin.permits(permission))
        );
        let reader = Grant::new(vec![Permission::DataRead], Vec::new()).unwrap();
        assert!(!reader.permits(Permission::Admin) && !reader.permits(Permission::DataWrite));
        assert!(Grant::new(vec![Permission::Admin], vec!["a".to_owned()]).is_err());
        assert!(Grant::new(Vec::new(), Vec::new()).is_err());
    }

    #[test]
    fn a_limited_caller_sees_only_its_collections() {
        let grant = Grant::new(vec![Permission::DataRead], vec!["mine".to_owned()]).unwrap();
        let caller = Caller::anonymous(grant);
        assert!(caller.check_collection("mine").is_ok());
        assert_eq!(caller.check_collection("yours").unwrap_err().status(), 403);
    }
}
