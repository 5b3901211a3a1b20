//! The OmenDB server: HTTP, JSON, authentication, admission, configuration and telemetry around the engine.

pub mod api;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod client;
pub mod config;
pub mod debug;
pub mod demo;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod log;
pub mod pool;
pub mod routes;
pub mod server;
pub mod telemetry;
pub mod timestamp;
pub mod traces;
