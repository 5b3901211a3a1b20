//! Light traffic, so that the demo's figures move: a few questions a second and now and then a write.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::data::DemoData;
use super::load::{COLLECTION, upsert, vector_json};
use crate::client::{Answer, Client};

/// One request at a time, at most ten a second.
const INTERVAL: Duration = Duration::from_millis(100);
/// Every so many requests one package is written again.
const WRITE_EVERY: u64 = 20;
/// Every so many requests a point is asked for that does not exist, since errors are figures too.
const MISS_EVERY: u64 = 51;

/// The traffic while it runs; it ends when this is dropped.
pub(super) struct Traffic {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// Starts asking the server at `address` about `data`.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub(super) fn start(address: SocketAddr, data: DemoData) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("omendb-demo-traffic".to_owned())
            .spawn(move || run(&mut Client::new(address), &data, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked with anything worth telling at the end of a demo.
            let _ = thread.join();
        }
    }
}

fn run(client: &mut Client, data: &DemoData, stopped: &Receiver<()>) {
    let mut row = 0;
    for number in 1_u64.. {
        match stopped.recv_timeout(INTERVAL) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        // Far apart and in no order, so that neither the eye nor a cache sees a pattern; every row has its turn.
        row = (row + 2_654_435_761) % data.len();
        if let Err(error) = ask(client, data, number, row) {
            tracing::debug!(%error, "demo traffic");
        }
    }
}

/// One request: what it is depends on its number.
fn ask(client: &mut Client, data: &DemoData, number: u64, row: usize) -> io::Result<Option<Answer>> {
    let points = format!("/collections/{COLLECTION}/points");
    if number.is_multiple_of(WRITE_EVERY) {
        return upsert(client, data, [row]).map(|()| None);
    }
    let answer = if number.is_multiple_of(MISS_EVERY) {
        client.send("GET", &format!("{points}/{}", data.len()), "")?
    } else if number.is_multiple_of(2) {
        let vector = vector_json(&data.vector(row));
        client.send(
            "POST",
            "/query",
            &format!("{{\"db_id\":\"{COLLECTION}\",\"vector\":{vector},\"k\":10}}"),
        )?
    } else {
        client.send(
            "POST",
            &format!("{points}/query"),
            &format!("{{\"query\":{row},\"limit\":10}}"),
        )?
    };
    Ok(Some(answer))
}
