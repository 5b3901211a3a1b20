//! Collections, points, search and the records of what each operation did; synchronous, no network.
//!
//! [`Engine::open`] takes a data directory; [`Engine::load`] reads it. A [`Collection`] takes [`WriteBatch`]es, which
//! are durable and visible when they are acknowledged; a [`Worker`] searches collections on snapshots that no writer
//! disturbs. What an operation did comes back with it, as [`SearchStats`] or [`WriteStats`].
//!
//! ```
//! use omendb_engine::{
//!     CollectionConfig, Distance, Engine, EngineOptions, Payload, Point, SearchRequest, Value, Vectors, WriteBatch,
//! };
//! # let dir = std::env::temp_dir().join(format!("omendb-engine-example-{}", std::process::id()));
//! let engine = Engine::open(EngineOptions::new(&dir, 42))?;
//! engine.load()?;
//! let packages = engine.create_collection("packages", CollectionConfig::unnamed(2, Distance::Cosine))?;
//! packages.write(WriteBatch::upsert(vec![Point {
//!     id: 7.into(),
//!     vectors: Vectors::Unnamed(vec![3.0, 4.0]),
//!     payload: Payload::from_fields(&[("name", Value::String("zstd".to_owned()))])?,
//! }]))?;
//! let response = engine.worker().search(&packages, &SearchRequest::nearest(vec![0.6, 0.8], 10))?;
//! assert_eq!(response.hits[0].id, 7.into());
//! assert_eq!(response.stats.distance_computations, 1);
//! engine.close();
//! # std::fs::remove_dir_all(&dir).ok();
//! # Ok::<(), omendb_engine::Error>(())
//! ```

pub mod config;
mod counted;
pub mod filter;
pub mod limits;

mod activity;
mod catalog;
mod chance;
mod collection;
mod count;
mod engine;
mod error;
mod graph;
mod health;
mod id;
mod ledger;
mod metrics;
mod numbering;
mod payload;
mod payload_index;
mod point;
mod projection;
mod quality;
mod recall;
mod record;
mod search;
mod sparse_index;
mod state;
mod stats;
mod validation;
mod worker;
mod write;

pub use collection::{Collection, CollectionInfo, CollectionStatus, ScrollPage};
pub use config::{
    CollectionConfig, GraphConfig, GraphOptions, Modifier, Placement, SparseConfig, SparseIndexOptions,
    VectorConfig,
};
pub use count::Count;
pub use engine::{AliasChange, Engine, EngineOptions, LoadProgress, LoadReport, describe_metrics};
pub use error::{Error, ErrorKind};
pub use filter::{Condition, Filter};
pub use health::{EngineHealth, Finding, HealthComponent, HealthLimits, HealthState};
pub use id::{PointId, Uuid};
pub use ledger::Component;
pub use omendb_distance::Distance;
pub use payload::{
    Fields, List, Payload, PayloadChange, PayloadEncoder, PayloadPath, PayloadSelector, Value, ValueRef,
};
pub use payload_index::{IndexInfo, IndexKind};
pub use point::{Point, PointVectors, Record, SparseVector, Vector, VectorSelector, Vectors};
pub use recall::{AccuracyReport, ClassAccuracy, QueryClass, Selectivity, WorstQuery};
pub use search::{
    ContextPair, Decay, DecayKind, Direction, Diverse, Example, Expression, FacetHit, FacetRequest,
    FacetResponse, FacetValue, Feedback, FeedbackStrategy, FormulaQuery, Fusion, Group, GroupKey,
    GroupRequest, GroupResponse, Hit, MatrixRequest, MatrixResponse, OrderBy, OrderValue, PayloadVariable,
    Prefetch, Query, Recommend, SearchRequest, SearchResponse, Strategy,
};
pub use stats::{Plan, Reason, SearchStats};
pub use worker::{Admission, Worker};
pub use write::{Operation, PointSelector, UpdateMode, UpsertRule, WriteBatch, WriteOutcome, WriteStats};
