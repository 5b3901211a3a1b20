//! Exemplars: for each classic bucket of a histogram one recent observation, and the request it was made for.
//!
//! One in about a second is taken for each bucket; that it is not due is one comparison. What is kept has a fixed size,
//! whatever clients call their requests, and is allocated when a bucket gets its first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::clock::{Clock, Timestamp};
use crate::grid::{Grid, Latency};
use crate::redact;

/// Longest name of a request, bytes.
const LONGEST: usize = 64;
/// Hexadecimal digits of a number.
const NUMBER_DIGITS: usize = 16;

/// The request an observation was made for, by the label that leads to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    label: &'static str,
    value: [u8; LONGEST],
    length: u8,
}

impl Origin {
    /// A trace: 32 lower-case hexadecimal digits. `None` for anything else.
    pub fn trace(id: &str) -> Option<Self> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (id.len() == 32 && id.bytes().all(is_hex)).then(|| Self::new("trace_id", id))
    }

    /// A request: 1 to 64 letters, digits and `-_.:`, in no shape that a credential has. `None` for anything else.
    pub fn request(id: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_fine =
            (1..=LONGEST).contains(&id.len()) && id.bytes().all(is_plain) && !redact::looks_secret(id);
        is_fine.then(|| Self::new("request_id", id))
    }

    /// A request that was given a number for a name: 16 lower-case hexadecimal digits, of which no secret is made.
    pub fn numbered(number: u64) -> Self {
        let mut value = [0; LONGEST];
        for (place, digit) in value[..NUMBER_DIGITS].iter_mut().zip((0..NUMBER_DIGITS).rev()) {
            *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
        }
        Self {
            label: "request_id",
            value,
            length: NUMBER_DIGITS as u8,
        }
    }

    fn new(label: &'static str, id: &str) -> Self {
        let mut value = [0; LONGEST];
        value[..id.len()].copy_from_slice(id.as_bytes());
        Self {
            label,
            value,
            length: id.len() as u8,
        }
    }

    /// `trace_id` or `request_id`.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// The id: text that needs no escapes anywhere.
    pub fn id(&self) -> &str {
        // It was text when it came.
        std::str::from_utf8(&self.value[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.label, self.id())
    }
}

/// One observation of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) nanos: u64,
    /// When, in nanoseconds since 1970-01-01 UTC.
    pub(crate) wall_nanos: u64,
    pub(crate) origin: Origin,
}

/// Classic buckets of a histogram of durations, the unbounded one included.
const BUCKETS: usize = Latency::SPEC.classic.len() + 1;

/// The latest exemplar of every classic bucket of a histogram of durations.
#[derive(Debug, Default)]
pub struct Exemplars(OnceLock<Box<[OnceLock<Box<Place>>; BUCKETS]>>);

#[derive(Debug)]
struct Place {
    /// The second of the clock in which the last was taken.
    second: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

/// No second of any clock.
const NEVER: u64 = u64::MAX;

impl Exemplars {
    /// Takes an observation of `nanos` made at `now`, if its bucket is due for one; whether it did.
    #[inline]
    pub fn offer(&self, clock: &Clock, now: Timestamp, nanos: u64, origin: &Origin) -> bool {
        // Classic bounds are those of every so-manieth bucket of the grid, the first one's included.
        let bucket = Latency::bucket(nanos).div_ceil(Latency::SPEC.per_octave);
        let second = now.as_nanos() >> 30;
        let place = self.0.get().and_then(|places| places[bucket].get());
        place.is_none_or(|place| place.second.load(Ordering::Relaxed) != second)
            && self.take(bucket, second, clock, (nanos, origin))
    }

    #[cold]
    fn take(&self, bucket: usize, second: u64, clock: &Clock, (nanos, origin): (u64, &Origin)) -> bool {
        let places = self
            .0
            .get_or_init(|| Box::new([const { OnceLock::new() }; BUCKETS]));
        let place = places[bucket].get_or_init(|| {
            Box::new(Place {
                second: AtomicU64::new(NEVER),
                exemplar: Mutex::default(),
            })
        });
        let is_due = place.second.swap(second, Ordering::Relaxed) != second;
        if is_due {
            let exemplar = Exemplar {
                nanos,
                wall_nanos: clock.wall(),
                origin: *origin,
            };
            *place.exemplar.lock().unwrap_or_else(PoisonError::into_inner) = Some(exemplar);
        }
        is_due
    }

    /// What there is, by position of the bucket.
    pub(crate) fn now(&self) -> Box<[(usize, Exemplar)]> {
        let places = self
            .0
            .get()
            .into_iter()
            .flat_map(|places| places.iter().enumerate());
        let taken = places.filter_map(|(bucket, place)| {
            let exemplar = place
                .get()?
                .exemplar
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            exemplar.map(|exemplar| (bucket, exemplar))
        });
        taken.collect()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.get().map_or(0, |places| {
            let used = places.iter().filter(|place| place.get().is_some()).count();
            size_of_val(&**places) + used * size_of::<Place>()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_plain_and_no_credentials() {
        let check = |id: &str, is_trace, is_request| {
            let found = (Origin::trace(id), Origin::request(id));
            assert_eq!(
                (found.0.is_some(), found.1.is_some()),
                (is_trace, is_request),
                "{id}"
            );
            for origin in found.0.into_iter().chain(found.1) {
                assert_eq!(origin.id(), id);
            }
        };
        check("4bf92f3577b34da6a3ce929d0e0e4736", true, true);
        check("4BF92F3577B34DA6A3CE929D0E0E4736", false, true);
        check("c0ffee00-dead-beef-0000-0123456789ab", false, true);
        check("a", false, true);
        check("", false, false);
        check("a b", false, false);
        check("a\"b", false, false);
        check("Grüße", false, false);
        check(&"x".repeat(64), false, true);
        check(&"x".repeat(65), false, false);
        check("ghp_0123456789abcdefghijklmnopqrstuvwxyz", false, false);
    }

    #[test]
    fn a_number_is_a_name_of_sixteen_digits() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let digits = format!("{number:016x}");
            assert_eq!(Origin::numbered(number).id(), digits);
            assert_eq!(Some(Origin::numbered(number)), Origin::request(&digits));
        }
    }

    #[test]
    fn a_bucket_takes_one_in_a_second_and_keeps_the_latest() {
        let (clock, time) = Clock::manual();
        let exemplars = Exemplars::default();
        assert_eq!(exemplars.heap_bytes(), 0);
        let offer = |nanos, id| exemplars.offer(&clock, clock.now(), nanos, &Origin::request(id).unwrap());
        let kept = || -> Vec<_> {
            let now = exemplars.now().into_vec().into_iter();
            now.map(|(bucket, exemplar)| (bucket, exemplar.nanos, exemplar.origin.id().to_owned()))
                .collect()
        };
        assert!(offer(1_000_000, "a"));
        assert!(!offer(1_100_000, "b"));
        assert!(offer(0, "c"));
        assert!(offer(u64::MAX, "d"));
        assert_eq!(
            kept(),
            [
                (0, 0, "c".to_owned()),
                (11, 1_000_000, "a".to_owned()),
                (27, u64::MAX, "d".to_owned())
            ]
        );
        time.advance_nanos(2_000_000_000);
        assert!(offer(1_200_000, "e"));
        assert_eq!(kept()[1], (11, 1_200_000, "e".to_owned()));
        assert!(exemplars.heap_bytes() < 1_000, "{} bytes", exemplars.heap_bytes());
    }
}
