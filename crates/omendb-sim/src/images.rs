//! What a power cut may leave: every combination of sectors, sizes and names that reached the disk or did not.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::{Disk, Durable, Inode, Node, SECTOR_BYTES, Sector};
use crate::rng::Rng;
use crate::sim_fs::SimFs;

/// The disk after one operation of a history.
#[derive(Debug, Clone)]
pub struct CrashPoint {
    /// How many operations had been done.
    pub operations: u64,
    pub(crate) disk: Disk,
}

impl CrashPoint {
    /// The disks a power cut here may leave. All of them if there are at most `budget`; otherwise the telling ones
    /// (first: nothing arrived; everything did; then a prefix, a suffix, all but one, one alone) and random ones,
    /// `budget` in all, or two if it is less.
    pub fn images(&self, budget: usize, rng: &mut Rng) -> Vec<SimFs> {
        let choices = self.choices();
        self.selections(&choices, budget, rng)
            .iter()
            .map(|selection| SimFs::from_disk(self.image(selection)))
            .collect()
    }

    /// Whether anything is uncertain, so that there is more than one image.
    pub fn is_uncertain(&self) -> bool {
        self.choices().iter().any(|&outcomes| outcomes > 1)
    }

    /// The numbers of outcomes of everything that is uncertain, in the order [`Self::image`] asks for them.
    fn choices(&self) -> Vec<usize> {
        let mut choices = Vec::new();
        visit(&self.disk, |outcomes| {
            choices.push(outcomes);
            0
        });
        choices
    }

    fn selections(&self, choices: &[usize], budget: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
        let combinations = choices
            .iter()
            .try_fold(1_usize, |product, &n| product.checked_mul(n));
        if let Some(combinations) = combinations.filter(|&combinations| combinations <= budget) {
            return (0..combinations)
                .map(|number| nth_selection(choices, number))
                .collect();
        }
        let mut selections = telling_selections(choices);
        // Keeping the first two, nothing and everything.
        while selections.len() > budget.max(2) {
            selections.swap_remove(2 + rng.below(selections.len() - 2));
        }
        while selections.len() < budget {
            selections.push(choices.iter().map(|&outcomes| rng.below(outcomes)).collect());
        }
        selections
    }

    fn image(&self, selection: &[usize]) -> Disk {
        let mut selection = selection.iter().copied();
        visit(&self.disk, |_| selection.next().unwrap_or(0))
    }
}

/// The `number`th of all combinations.
fn nth_selection(choices: &[usize], mut number: usize) -> Vec<usize> {
    choices
        .iter()
        .map(|&outcomes| {
            let choice = number % outcomes;
            number /= outcomes;
            choice
        })
        .collect()
}

fn telling_selections(choices: &[usize]) -> Vec<Vec<usize>> {
    let select = |arrived: &dyn Fn(usize) -> bool| -> Vec<usize> {
        choices
            .iter()
            .enumerate()
            .map(|(i, &outcomes)| if arrived(i) { outcomes - 1 } else { 0 })
            .collect()
    };
    let mut selections = vec![select(&|_| false), select(&|_| true)];
    for cut in 1..choices.len() {
        selections.push(select(&|i| i < cut));
        selections.push(select(&|i| i >= cut));
    }
    for single in 0..choices.len() {
        selections.push(select(&|i| i == single));
        selections.push(select(&|i| i != single));
    }
    selections
}

/// Builds the disk in which `choose(outcomes)` decided everything uncertain, asked in a fixed order.
fn visit(disk: &Disk, mut choose: impl FnMut(usize) -> usize) -> Disk {
    let mut image = Disk::default();
    let mut arrived = BTreeSet::new();
    for (path, name) in &disk.names {
        let Some(node) = *decide(name, &mut choose) else {
            continue;
        };
        image.names.insert(path.clone(), Durable::synced(Some(node)));
        if let Node::File(inode) = node {
            arrived.insert(inode);
        }
    }
    // Asked of every file that could have a name, as the questions must not depend on the answers.
    for number in disk.nameable_inodes() {
        let file = file_image(&disk.inodes[&number], &mut choose);
        if arrived.contains(&number) {
            image.adopt(number, file);
        }
    }
    drop_orphans(&mut image);
    image
}

/// Removes what lies in a directory that did not arrive.
fn drop_orphans(image: &mut Disk) {
    let orphans: Vec<_> = image
        .names
        .keys()
        .filter(|path| {
            path.ancestors()
                .skip(1)
                .any(|parent| image.node(parent) != Some(Node::Directory))
        })
        .cloned()
        .collect();
    for path in orphans {
        image.names.remove(&path);
    }
}

fn file_image(inode: &Inode, choose: &mut impl FnMut(usize) -> usize) -> Inode {
    let sectors: Vec<Sector> = inode
        .sectors
        .iter()
        .map(|sector| Arc::clone(decide(sector, choose)))
        .collect();
    let size = *decide(&inode.size, choose);
    cut(sectors, size)
}

/// A file as it reads: zeros beyond its end, and where its size arrived but its contents did not.
fn cut(mut sectors: Vec<Sector>, size: u64) -> Inode {
    sectors.resize_with(crate::disk::sectors(size), || Arc::new([0; SECTOR_BYTES]));
    let tail = (size % SECTOR_BYTES as u64) as usize;
    if let Some(last) = sectors.last_mut().filter(|_| tail != 0) {
        Arc::make_mut(last)[tail..].fill(0);
    }
    Inode::synced(sectors, size)
}

fn decide<'a, T: Clone>(value: &'a Durable<T>, choose: &mut impl FnMut(usize) -> usize) -> &'a T {
    match value.outcomes() {
        1 => value.outcome(0),
        outcomes => value.outcome(choose(outcomes)),
    }
}
