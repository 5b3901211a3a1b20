//! Aliases: other names of collections, changed together and atomically, so that readers move from one collection to
//! the next at once.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use crate::config::validate_collection_name;
use crate::engine::lock_of;
use crate::{Engine, Error, ErrorKind, limits};

/// One change of the aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasChange {
    /// The alias stands for the collection from now on, whether or not it stood for another.
    Create {
        /// The other name.
        alias: String,
        /// What it stands for; not an alias itself.
        collection: String,
    },
    /// The alias stands for nothing; one that does not exist is passed over.
    Delete {
        /// Its name.
        alias: String,
    },
    /// The alias has another name.
    Rename {
        /// The name it has.
        from: String,
        /// The name it gets, which is taken from another alias that has it.
        to: String,
    },
}

impl Engine {
    /// The collection that an alias stands for.
    pub fn alias_target(&self, alias: &str) -> Option<String> {
        let aliases = self.aliases.read().unwrap_or_else(PoisonError::into_inner);
        aliases.get(alias).cloned()
    }

    /// All aliases with the collections they stand for, in order of aliases.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.aliases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Makes the changes in order, all or none, durable on return. `may_touch` is asked for each collection that an
    /// alias comes to stand for, or stood for, with the name that a client knows it by.
    ///
    /// # Errors
    /// What `may_touch` says; [`ErrorKind::NotFound`] for a collection or a renamed alias that does not exist,
    /// [`ErrorKind::Conflict`] for an alias with the name of a collection, [`ErrorKind::Invalid`] for a wrong name,
    /// [`ErrorKind::ResourceExhausted`] for too many, [`ErrorKind::Unavailable`] while loading; whatever keeps the
    /// catalogue from being written.
    pub fn change_aliases<E: From<Error>>(
        &self,
        changes: &[AliasChange],
        may_touch: impl Fn(&str, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_loaded()?;
        let mut catalog = lock_of(&self.catalog);
        self.check_open()?;
        let mut aliases = catalog.aliases().clone();
        for change in changes {
            let name = match change {
                AliasChange::Create { alias, .. } | AliasChange::Delete { alias } => alias,
                AliasChange::Rename { from, .. } => from,
            };
            if let Some(collection) = aliases.get(name) {
                may_touch(collection, name)?;
            }
            match change {
                AliasChange::Create { alias, collection } => {
                    may_touch(collection, collection)?;
                    self.collection(collection)?;
                    self.check_alias(alias)?;
                    aliases.insert(alias.clone(), collection.clone());
                }
                AliasChange::Delete { alias } => drop(aliases.remove(alias)),
                AliasChange::Rename { from, to } => {
                    if let Some(collection) = aliases.get(to) {
                        may_touch(collection, to)?;
                    }
                    self.check_alias(to)?;
                    let missing = || Error::not_found(format!("alias {from:?} doesn't exist"));
                    let collection = aliases.remove(from).ok_or_else(missing)?;
                    aliases.insert(to.clone(), collection);
                }
            }
        }
        if aliases.len() > limits::MAX_ALIASES {
            let (count, most) = (aliases.len(), limits::MAX_ALIASES);
            let message = format!("{count} aliases, more than {most}");
            return Err(Error::new(ErrorKind::ResourceExhausted, message).into());
        }
        let replaced = catalog.set_aliases(aliases.clone());
        self.note_catalog(&catalog);
        replaced?;
        self.publish_aliases(aliases);
        Ok(())
    }

    pub(super) fn publish_aliases(&self, aliases: BTreeMap<String, String>) {
        *self.aliases.write().unwrap_or_else(PoisonError::into_inner) = aliases;
    }

    fn check_alias(&self, alias: &str) -> Result<(), Error> {
        validate_collection_name(alias)?;
        match self.collection(alias) {
            Ok(_) => Err(Error::conflict(format!(
                "alias {alias:?}: there is a collection of that name"
            ))),
            Err(_) => Ok(()),
        }
    }
}
