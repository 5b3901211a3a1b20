//! Waiting writers share a write and a sync.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use omendb_metrics::Clock;
use omendb_sim::{Delays, SimFs};
use omendb_storage::{
    CommitPool, CommitQueue, Error, FileSystem, Journal, JournalOptions, QueueLimits, Refusal,
};

use crate::history;

type Appended = Result<u64, String>;

/// A queue in front of a journal, as the engine has one for each collection.
fn journal_queue(pool: &CommitPool, mut journal: Journal) -> CommitQueue<Vec<u8>, Appended> {
    pool.queue(QueueLimits::default(), move |batch: Vec<Vec<u8>>| {
        let result: Result<_, Error> = journal.append(&batch);
        (0..batch.len() as u64)
            .map(|index| match &result {
                Ok(stats) => Ok(stats.first_sequence + index),
                Err(error) => Err(error.to_string()),
            })
            .collect()
    })
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The file system's counts: writes, and syncs of files.
fn counts(fs: &SimFs) -> (u64, u64) {
    let totals = fs.counters().totals();
    (totals.write_operations, totals.file_syncs)
}

#[test]
fn waiting_writers_share_one_write_and_one_sync() {
    const WRITERS: u64 = 16;
    let fs = history::disk(1);
    let mut journal = history::create(&fs).unwrap();
    journal.append(&[b"begins the segment"]).unwrap();
    let pool = CommitPool::start(2).unwrap();
    let queue = journal_queue(&pool, journal);
    let (sender, receiver) = mpsc::channel();
    let submit = |record: Vec<u8>| {
        let sender = sender.clone();
        queue
            .submit(record, 10, Box::new(move |result| sender.send(result).unwrap()))
            .unwrap();
    };

    let before = counts(&fs);
    let hold = fs.hold_syncs();
    submit(b"leads".to_vec());
    wait_until(|| fs.syncs_waiting() == 1);
    for writer in 0..WRITERS {
        submit(format!("writer {writer}").into_bytes());
    }
    assert_eq!(queue.depth() as u64, WRITERS);
    assert!(
        receiver.try_recv().is_err(),
        "nothing is acknowledged before its sync"
    );
    drop(hold);
    let sequences: Vec<u64> = (0..=WRITERS).map(|_| receiver.recv().unwrap().unwrap()).collect();
    assert_eq!(sequences, (2..=WRITERS + 2).collect::<Vec<_>>());
    let after = counts(&fs);
    // One for the leader, and one for all who came while it synced.
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 2));

    queue.close();
    assert!(matches!(queue.run(b"late".to_vec(), 4), Err(Refusal::Closed)));
    let (_, recovered) = history::open(&fs).unwrap();
    assert_eq!(history::read_all(recovered).unwrap().len() as u64, WRITERS + 2);
}

/// Writers that wait for their own answer, without end to the coming and going: every acknowledged record is there
/// once, and nobody was served alone when others waited.
#[test]
fn blocking_writers_on_many_threads_lose_nothing() {
    let fs = history::disk(2);
    let pool = CommitPool::start(2).unwrap();
    let queue = journal_queue(&pool, history::create(&fs).unwrap());
    let acknowledged = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for writer in 0..8 {
            let (queue, acknowledged) = (&queue, &acknowledged);
            scope.spawn(move || {
                for round in 0..50 {
                    let record = format!("{writer}/{round}").into_bytes();
                    let sequence = queue.run(record.clone(), record.len()).unwrap().unwrap();
                    assert_eq!(acknowledged.lock().unwrap().insert(sequence, record), None);
                }
            });
        }
    });
    queue.close();
    let (_, recovered) = history::open(&fs).unwrap();
    let expected: Vec<_> = acknowledged.into_inner().unwrap().into_values().collect();
    assert_eq!(history::read_all(recovered).unwrap(), expected);
}

#[test]
fn limits_bound_what_waits_and_what_is_handed_over() {
    let pool = CommitPool::start(1).unwrap();
    let limits = QueueLimits {
        waiting: 5,
        waiting_bytes: 100,
        batch: 2,
        batch_bytes: 50,
    };
    let batches = Arc::new(Mutex::new(Vec::new()));
    let (gate, opened) = mpsc::channel::<()>();
    let queue = pool.queue(limits, {
        let batches = Arc::clone(&batches);
        move |batch: Vec<u32>| {
            batches.lock().unwrap().push(batch.clone());
            opened.recv().unwrap();
            batch
        }
    });
    let submit = |operation, bytes| {
        let result = queue.submit(operation, bytes, Box::new(|_| ()));
        result.map_err(|rejected| (rejected.refusal, rejected.operation))
    };
    submit(1, 1000).expect("one operation is accepted whatever its size");
    wait_until(|| batches.lock().unwrap().len() == 1);
    submit(2, 60).unwrap();
    assert_eq!(submit(3, 41), Err((Refusal::Full, 3)), "101 bytes would wait");
    for operation in 4..8 {
        submit(operation, 10).unwrap();
    }
    assert_eq!(submit(9, 0), Err((Refusal::Full, 9)), "five wait");
    for _ in 0..5 {
        let _ = gate.send(());
    }
    drop(pool);
    // 2 alone is more than the bytes of a batch; the others go two by two.
    assert_eq!(
        *batches.lock().unwrap(),
        [vec![1], vec![2], vec![4, 5], vec![6, 7]]
    );
    assert_eq!(submit(10, 0), Err((Refusal::Closed, 10)), "the pool is gone");
}

/// A busy queue gives up its thread after each batch.
#[test]
fn queues_take_turns() {
    let pool = CommitPool::start(1).unwrap();
    let order = Arc::new(Mutex::new(String::new()));
    let (gate, opened) = mpsc::channel::<()>();
    let opened = Arc::new(Mutex::new(opened));
    let limits = QueueLimits {
        batch: 1,
        ..QueueLimits::default()
    };
    let queue = |name: char| {
        let (order, opened) = (Arc::clone(&order), Arc::clone(&opened));
        pool.queue(limits, move |batch: Vec<()>| {
            opened.lock().unwrap().recv().unwrap();
            order.lock().unwrap().push(name);
            batch
        })
    };
    let (busy, other) = (queue('b'), queue('o'));
    for _ in 0..4 {
        busy.submit((), 0, Box::new(|()| ())).unwrap();
    }
    for _ in 0..2 {
        other.submit((), 0, Box::new(|()| ())).unwrap();
    }
    for _ in 0..6 {
        gate.send(()).unwrap();
    }
    busy.close();
    other.close();
    assert_eq!(*order.lock().unwrap(), "bobobb");
}

/// A panic in one queue's processing ends that queue, tells its waiting writers, and leaves the threads to others.
#[test]
fn a_panic_closes_its_queue_only() {
    let pool = CommitPool::start(1).unwrap();
    let broken = pool.queue(QueueLimits::default(), |_: Vec<()>| -> Vec<()> {
        panic!("as the test wants it")
    });
    let calls = Arc::new(AtomicUsize::new(0));
    let sound = pool.queue(QueueLimits::default(), {
        let calls = Arc::clone(&calls);
        move |batch: Vec<()>| {
            calls.fetch_add(1, Ordering::Relaxed);
            batch
        }
    });
    assert_eq!(broken.run((), 0), Err(Refusal::Abandoned));
    assert_eq!(broken.run((), 0), Err(Refusal::Closed));
    assert_eq!(sound.run((), 0), Ok(()));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// The times in the statistics are those of the write and the sync.
#[test]
fn an_append_tells_what_it_waited_for() {
    let fs = history::disk(4);
    let (clock, time) = Clock::manual();
    fs.set_delays(
        time,
        Delays {
            write_ns: 30,
            sync_ns: 1_000,
        },
    );
    let options = JournalOptions {
        clock,
        ..history::options()
    };
    let mut journal = Journal::create(Arc::new(fs), history::directory(), options).unwrap();
    let stats = journal.append(&[b"timed"]).unwrap();
    assert_eq!((stats.write_ns, stats.fsync_ns), (30, 1_000));
}
