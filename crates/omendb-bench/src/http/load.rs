//! One round of load: clients that each send the next query as soon as they have an answer, so that no more queries
//! are in flight than there are clients.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use omendb_bench::stopwatch::{process_cpu_s, wall_s};

use super::connection::Connection;
use super::target::Target;

/// How many clients send how many queries in all.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) queries: usize,
}

/// What one round took.
pub(crate) struct Round {
    wall_s: f64,
    /// Of each query, ascending.
    latencies_s: Vec<f64>,
    /// Of the server's process, where it is known.
    server_cpu_s: Option<f64>,
    /// Of this process.
    generator_cpu_s: f64,
}

impl Load {
    /// Sends the requests in order, from the first again after the last.
    pub(crate) fn run(&self, target: &Target, requests: &[Vec<u8>]) -> Result<Round, String> {
        let next = AtomicUsize::new(0);
        // All clients are connected before the clocks are read.
        let start = Barrier::new(self.clients + 1);
        let client = || {
            let connection = Connection::open(target.address());
            start.wait();
            let mut connection = connection.map_err(|error| format!("connecting: {error}"))?;
            let mut latencies = Vec::with_capacity(self.queries);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.queries {
                    return Ok(latencies);
                }
                let begun = wall_s();
                let answer = connection.exchange(&requests[number % requests.len()]);
                latencies.push(wall_s() - begun);
                match answer.map_err(|error| format!("a query: {error}"))? {
                    (200, _) => {}
                    (status, body) => {
                        return Err(format!("a query: {status} {}", String::from_utf8_lossy(body)));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.clients).map(|_| scope.spawn(client)).collect();
            start.wait();
            let (wall, generator, server) = (wall_s(), process_cpu_s(), target.cpu_s());
            let mut latencies_s = Vec::with_capacity(self.queries);
            for thread in threads {
                let of_one: Result<Vec<f64>, String> = thread
                    .join()
                    .unwrap_or_else(|_| Err("a client panicked".to_owned()));
                latencies_s.extend(of_one?);
            }
            let wall_s = wall_s() - wall;
            let server_cpu_s = target.cpu_s().zip(server).map(|(after, before)| after - before);
            latencies_s.sort_by(f64::total_cmp);
            Ok(Round {
                wall_s,
                latencies_s,
                server_cpu_s,
                generator_cpu_s: process_cpu_s() - generator,
            })
        })
    }
}

impl Round {
    fn queries(&self) -> f64 {
        self.latencies_s.len() as f64
    }

    /// Processor seconds of the server's process, where it is known.
    pub(crate) fn server_cpu_s(&self) -> Option<f64> {
        self.server_cpu_s
    }

    pub(crate) fn qps(&self) -> f64 {
        self.queries() / self.wall_s
    }

    /// The latency that `share` of the queries did not exceed.
    pub(crate) fn latency_us(&self, share: f64) -> f64 {
        let rank = (share * self.queries()) as usize;
        self.latencies_s.get(rank).copied().unwrap_or(f64::NAN) * 1e6
    }

    /// Per query.
    pub(crate) fn server_cpu_us(&self) -> Option<f64> {
        Some(self.server_cpu_s()? / self.queries() * 1e6)
    }

    /// Per query.
    pub(crate) fn generator_cpu_us(&self) -> f64 {
        self.generator_cpu_s / self.queries() * 1e6
    }

    /// How many processors the generator kept busy.
    pub(crate) fn generator_cores(&self) -> f64 {
        self.generator_cpu_s / self.wall_s
    }
}
