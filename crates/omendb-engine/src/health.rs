//! Whether the engine can do its work, for `/health`.

/// The engine's state in an operator's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineHealth {
    /// False when reads or writes cannot be served: data not loaded yet, or a log that a failed fsync poisoned.
    pub is_healthy: bool,
    /// What is wrong, most severe first; also what is merely degraded, such as a full disk. Empty when all is well.
    pub degraded: Vec<String>,
    /// Whether all collections are loaded.
    pub is_loaded: bool,
    /// Collections that exist.
    pub collections: usize,
    /// Collections whose log takes no more writes until a restart.
    pub poisoned: usize,
    /// Collections whose files are damaged.
    pub failed: usize,
}
