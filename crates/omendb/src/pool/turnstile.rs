//! A bounded number of slots with a bounded first-in-first-out queue in front.
//!
//! Both pools are built on it: what waits in "main" is a job, what waits in "http" is an accepted connection. It knows
//! neither time nor threads; whoever queued an item takes it out again when its time is up.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Slots and the queue in front of them.
#[derive(Debug)]
pub(crate) struct Turnstile<T> {
    slots: usize,
    queue_limit: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    active: usize,
    waiting: VecDeque<(Ticket, T)>,
    next_ticket: u64,
    is_closed: bool,
}

/// Names an item in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What became of an item at the entrance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered<T> {
    /// A slot was free: the item holds it until [`Turnstile::leave`].
    Started(T),
    /// It waits; a later [`Turnstile::leave`] gives it out.
    Queued(Ticket),
    /// The queue is full.
    Full(T),
    /// The turnstile is closed.
    Closed(T),
}

impl<T> Turnstile<T> {
    /// `slots` at once, `queue_limit` waiting.
    pub(crate) fn new(slots: usize, queue_limit: usize) -> Self {
        let state = State {
            active: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
            is_closed: false,
        };
        Self {
            slots,
            queue_limit,
            state: Mutex::new(state),
        }
    }

    /// Takes a free slot or a place in the queue.
    pub(crate) fn enter(&self, item: T) -> Entered<T> {
        let mut state = self.lock();
        if state.is_closed {
            return Entered::Closed(item);
        }
        if state.active < self.slots {
            state.active += 1;
            return Entered::Started(item);
        }
        if state.waiting.len() >= self.queue_limit {
            return Entered::Full(item);
        }
        let ticket = Ticket(state.next_ticket);
        state.next_ticket += 1;
        state.waiting.push_back((ticket, item));
        Entered::Queued(ticket)
    }

    /// Gives a slot back. The item that has waited longest takes it over and is returned: it now holds the slot.
    pub(crate) fn leave(&self) -> Option<T> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.active -= 1;
        }
        next.map(|(_, item)| item)
    }

    /// Takes an item out of the queue; none when it has been given a slot meanwhile.
    pub(crate) fn withdraw(&self, ticket: Ticket) -> Option<T> {
        let mut state = self.lock();
        let position = state
            .waiting
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            .ok()?;
        state.waiting.remove(position).map(|(_, item)| item)
    }

    /// Lets nothing in any more and gives out what waits. Slots in use are left as they are.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiting.drain(..).map(|(_, item)| item).collect()
    }

    /// Slots in use and items waiting, at one instant.
    pub(crate) fn occupancy(&self) -> (usize, usize) {
        let state = self.lock();
        (state.active, state.waiting.len())
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every critical section leaves the state whole, so a panic elsewhere while it was held changes nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_then_queue_then_full_and_first_in_first_out() {
        let turnstile = Turnstile::new(1, 2);
        assert_eq!(turnstile.enter("a"), Entered::Started("a"));
        assert!(matches!(turnstile.enter("b"), Entered::Queued(_)));
        assert!(matches!(turnstile.enter("c"), Entered::Queued(_)));
        assert_eq!(turnstile.enter("d"), Entered::Full("d"));
        assert_eq!(turnstile.occupancy(), (1, 2));
        assert_eq!(turnstile.leave(), Some("b"));
        assert_eq!(turnstile.leave(), Some("c"));
        assert_eq!(turnstile.occupancy(), (1, 0));
        assert_eq!(turnstile.leave(), None);
        assert_eq!(turnstile.occupancy(), (0, 0));
    }

    #[test]
    fn what_is_withdrawn_is_not_given_a_slot() {
        let turnstile = Turnstile::new(1, 4);
        assert_eq!(turnstile.enter(0), Entered::Started(0));
        let tickets: Vec<_> = (1..=3)
            .map(|item| match turnstile.enter(item) {
                Entered::Queued(ticket) => ticket,
                other @ (Entered::Started(_) | Entered::Full(_) | Entered::Closed(_)) => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(turnstile.withdraw(tickets[1]), Some(2));
        assert_eq!(turnstile.withdraw(tickets[1]), None);
        assert_eq!(turnstile.leave(), Some(1));
        assert_eq!(turnstile.withdraw(tickets[0]), None, "it holds the slot");
        assert_eq!(turnstile.leave(), Some(3));
    }

    #[test]
    fn closing_gives_out_what_waits_and_refuses_the_rest() {
        let turnstile = Turnstile::new(1, 4);
        turnstile.enter('a');
        turnstile.enter('b');
        assert_eq!(turnstile.close(), vec!['b']);
        assert_eq!(turnstile.enter('c'), Entered::Closed('c'));
        assert_eq!(turnstile.leave(), None);
    }
}
