//! Creating, changing and deleting collections: the directory comes before the entry in the catalogue and goes after it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::{Catalog, CatalogEntry};
use crate::collection::Poison;
use crate::config::validate_collection_name;
use crate::engine::{lock_of, no_collection};
use crate::numbering::Numbering;
use crate::{Collection, CollectionConfig, Engine, Error, ErrorKind, limits};

impl Engine {
    /// Creates a collection, durable on return.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when there is one of that name, [`ErrorKind::Invalid`] for a wrong name or
    /// configuration, [`ErrorKind::ResourceExhausted`] when there are too many or the disk is full,
    /// [`ErrorKind::Unavailable`] while loading.
    pub fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<Arc<Collection>, Error> {
        validate_collection_name(name)?;
        config.validate()?;
        self.check_loaded()?;
        let mut catalog = lock_of(&self.catalog);
        self.check_open()?;
        if catalog.entries().contains_key(name) {
            return Err(Error::conflict(format!("collection {name:?} already exists")));
        }
        if let Some(collection) = catalog.aliases().get(name) {
            return Err(Error::conflict(format!(
                "collection {name:?}: there is an alias of that name, of {collection:?}"
            )));
        }
        if catalog.entries().len() >= limits::MAX_COLLECTIONS {
            let message = format!("{} collections, and no more than that", limits::MAX_COLLECTIONS);
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        let id = self.directory.new_id();
        let directory = self.directory.collection(id);
        let options = self.directory.journal_options(&self.options.clock);
        let series = self.series.open(name);
        let numbering = Numbering::of(&config);
        let collection = Arc::new(Collection::new(
            name,
            (&config, &numbering),
            &self.services,
            series,
        ));
        let entry = CatalogEntry {
            id,
            config,
            numbering,
        };
        let created = collection
            .create(&directory, options, &self.commits)
            .and_then(|()| catalog.insert(name, entry));
        self.note_catalog(&catalog);
        if let Err(error) = created {
            collection.close();
            // A catalogue in doubt may name the directory after a power cut. Otherwise it is removed now, or as an
            // orphan at the next start.
            if !catalog.is_poisoned() {
                let _ = self.directory.destroy_collection(id);
            }
            return Err(error);
        }
        self.write_collections()
            .insert(name.to_owned(), Arc::clone(&collection));
        Ok(collection)
    }

    /// Replaces a collection's configuration by what `change` makes of it, durable on return. What is refused, by
    /// `change` too, changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without the collection, [`ErrorKind::Invalid`] for a wrong configuration or one with
    /// other vectors, [`ErrorKind::Unavailable`] while loading; whatever keeps the catalogue from being written.
    pub fn change_collection<E: From<Error>>(
        &self,
        name: &str,
        change: impl FnOnce(&mut CollectionConfig) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_loaded()?;
        let mut catalog = lock_of(&self.catalog);
        self.check_open()?;
        let collection = self.collection(name)?;
        let (before, entry) = changed(&catalog, name, change)?;
        if !before.has_same_names(&entry.config) {
            return Err(Error::invalid("vectors are added and deleted one by one").into());
        }
        let config = entry.config.clone();
        let replaced = catalog.insert(name, entry);
        self.note_catalog(&catalog);
        replaced?;
        collection.shared().set_config(config);
        Ok(())
    }

    /// Adds vectors to a collection's points, which do not have them yet, or deletes vectors of all points: those that
    /// `change` puts into the configuration or takes out of it. Durable and visible on return; what is refused, by
    /// `change` too, changes nothing. Returns the sequence number of the newest write before.
    ///
    /// # Errors
    /// As for [`change_collection`](Self::change_collection), and [`ErrorKind::Unavailable`] when the collection takes no
    /// writes.
    pub fn change_vectors<E: From<Error>>(
        &self,
        name: &str,
        change: impl FnOnce(&mut CollectionConfig) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.check_loaded()?;
        let mut catalog = lock_of(&self.catalog);
        self.check_open()?;
        let collection = self.collection(name)?;
        let (before, mut entry) = changed(&catalog, name, change)?;
        entry.numbering.follow(&entry.config)?;
        // Before the catalogue says what then could not be done.
        collection.check_writable()?;
        if before != entry.config {
            let CatalogEntry {
                config, numbering, ..
            } = entry.clone();
            let replaced = catalog.insert(name, entry);
            self.note_catalog(&catalog);
            if catalog.is_poisoned() {
                // The next start may find other vectors, and of those written since some that are gone.
                collection.shared().poison(Poison::Sync);
            }
            replaced?;
            collection.reshape(config, &numbering)?;
        }
        Ok(collection.info().sequence)
    }

    /// Deletes a collection and its aliases, durable on return; false when there is none of that name. Reads in flight finish on
    /// what they hold.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] while loading; whatever keeps the catalogue from being written.
    pub fn delete_collection(&self, name: &str) -> Result<bool, Error> {
        self.check_loaded()?;
        let mut catalog = lock_of(&self.catalog);
        self.check_open()?;
        let Ok(CatalogEntry { id, .. }) = entry_of(&catalog, name) else {
            return Ok(false);
        };
        let removed = catalog.remove(name);
        self.note_catalog(&catalog);
        if catalog.is_poisoned()
            && let Ok(collection) = self.collection(name)
        {
            // The next start may find it deleted, and with it whatever was acknowledged since.
            collection.shared().poison(Poison::Sync);
        }
        removed?;
        self.publish_aliases(catalog.aliases().clone());
        // From here on it is gone, whatever happens. Taken out first: looking others up must not wait for its end.
        let removed = self.write_collections().remove(name);
        if let Some(collection) = removed {
            collection.close();
            collection.shared().series.close();
        }
        // What cannot be removed now is an orphan that the next start removes.
        let _ = self.directory.destroy_collection(id);
        Ok(true)
    }

    /// Keeps for [`health`](Self::health) what it could otherwise only learn by waiting for the catalogue's lock, which
    /// is held across syncs.
    pub(super) fn note_catalog(&self, catalog: &Catalog) {
        self.is_catalog_poisoned
            .store(catalog.is_poisoned(), Ordering::Release);
    }

    pub(super) fn check_loaded(&self) -> Result<(), Error> {
        if self.is_loaded.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::unavailable("collections are being loaded"))
    }
}

fn entry_of(catalog: &Catalog, name: &str) -> Result<CatalogEntry, Error> {
    catalog
        .entries()
        .get(name)
        .cloned()
        .ok_or_else(|| no_collection(name))
}

/// The configuration of a collection, and its entry with what `change` makes of that, checked.
fn changed<E: From<Error>>(
    catalog: &Catalog,
    name: &str,
    change: impl FnOnce(&mut CollectionConfig) -> Result<(), E>,
) -> Result<(CollectionConfig, CatalogEntry), E> {
    let mut entry = entry_of(catalog, name)?;
    let before = entry.config.clone();
    change(&mut entry.config)?;
    entry.config.validate()?;
    before.check_kept_vectors(&entry.config)?;
    Ok((before, entry))
}
