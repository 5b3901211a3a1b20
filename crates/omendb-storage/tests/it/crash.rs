//! Acknowledged is durable, unacknowledged is whole or absent: histories cut at every operation.

use omendb_sim::Rng;

use crate::history::{self, Checked, Run, Thoroughness, random_steps};

/// The power is cut after each operation of random histories, every unsynced sector, size and name there or not.
#[test]
fn acknowledged_records_survive_every_power_cut() {
    let mut total = Checked::default();
    let seeds = history::first_seed()..history::first_seed() + 24 * history::effort();
    for seed in seeds.clone() {
        let mut rng = Rng::new(seed);
        let steps = random_steps(&mut rng, 24);
        let mut run = Run::new(history::disk(seed));
        run.fs.record_crash_points();
        run.perform(&steps);
        run.end_process(rng.one_in(2));
        let points = run.fs.crash_points();
        let thoroughness = Thoroughness {
            images: 40,
            nested_one_in: 12,
        };
        total.add(history::check_crashes(&run, &points, thoroughness, &mut rng));
    }
    println!("seeds {seeds:?}: {total:?}");
    assert!(
        total.images > 10_000,
        "the histories leave something to check: {total:?}"
    );
}
