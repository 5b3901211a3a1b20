//! The model checker walks through every interleaving of workers that count and end with a reader.

use loom::sync::Arc;
use loom::thread;
use omendb_metrics::{Blocks, Cell, Fold};

/// Two cells that a worker always moves together.
#[derive(Default)]
struct Pair {
    first: Cell,
    second: Cell,
}

impl Fold for Pair {
    fn fold(&self, from: &Self) {
        self.first.fold(&from.first);
        self.second.fold(&from.second);
    }
}

fn work(blocks: &Arc<Blocks<Pair>>, times: u64) {
    let block = Blocks::register(blocks);
    for _ in 0..times {
        block.first.increment();
        block.second.increment();
    }
}

#[test]
fn a_reader_sees_every_count_once_while_a_worker_comes_and_goes() {
    loom::model(|| {
        let blocks = Arc::new(Blocks::<Pair>::default());
        let worker = {
            let blocks = Arc::clone(&blocks);
            thread::spawn(move || work(&blocks, 2))
        };
        let mut last = (0, 0);
        for _ in 0..2 {
            let total = blocks.read();
            let now = (total.first.get(), total.second.get());
            assert!(
                now.0 >= last.0 && now.1 >= last.1,
                "a total went back from {last:?} to {now:?}"
            );
            assert!(now.0 <= 2 && now.1 <= 2, "counted twice: {now:?}");
            last = now;
        }
        worker.join().unwrap();
        let total = blocks.read();
        assert_eq!((total.first.get(), total.second.get(), blocks.live()), (2, 2, 0));
    });
}

#[test]
fn two_workers_that_end_at_once_both_fold() {
    loom::model(|| {
        let blocks = Arc::new(Blocks::<Pair>::default());
        let worker = {
            let blocks = Arc::clone(&blocks);
            thread::spawn(move || work(&blocks, 1))
        };
        work(&blocks, 1);
        worker.join().unwrap();
        let total = blocks.read();
        assert_eq!((total.first.get(), total.second.get(), blocks.live()), (2, 2, 0));
    });
}

#[test]
fn two_readers_agree_on_the_order_of_what_they_see() {
    loom::model(|| {
        let blocks = Arc::new(Blocks::<Cell>::default());
        let block = Blocks::register(&blocks);
        let reader = {
            let blocks = Arc::clone(&blocks);
            thread::spawn(move || blocks.read().get())
        };
        block.increment();
        let after = blocks.read().get();
        drop(block);
        let seen = reader.join().unwrap();
        assert!(seen <= after && after == 1);
        assert_eq!(blocks.read().get(), 1);
    });
}
