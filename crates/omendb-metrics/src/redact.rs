//! The secret detector: what must not stand where scrapers, logs, traces and error texts are read.
//!
//! It knows secrets by their shape, since nobody can tell a password from a word: keys with a well-known beginning,
//! JSON web tokens, PEM blocks, e-mail addresses, and long texts that look drawn by chance. Names of collections, UUIDs,
//! hashes of up to 63 hexadecimal digits (git's, MD5) and paths are left alone; 64 digits are what a 256-bit key has, so
//! a SHA-256 is taken for one. Values that stand under the name of a secret need no shape: [`is_secret_key`].

use std::borrow::Cow;
use std::ops::Range;

use crate::open::REDACTED;

/// What follows a well-known beginning of a key.
#[derive(Debug, Clone, Copy)]
enum Tail {
    /// This many of the characters of a token, a digit or capital among them: nothing else begins like that.
    Token(usize),
    /// This many letters and digits without a sign between them, or 40 characters that look drawn by chance: names begin
    /// like that too (`sk-learn-2024`).
    Unbroken(usize),
    /// This many hexadecimal digits.
    Hex(usize),
}

/// How keys begin that people paste where a name belongs.
const BEGINNINGS: &[(&str, Tail)] = &[
    ("omendb_session_", Tail::Hex(32)),
    ("omendb_", Tail::Hex(32)),
    ("sk-", Tail::Unbroken(16)),
    ("sk_live_", Tail::Token(16)),
    ("sk_test_", Tail::Token(16)),
    ("pk_live_", Tail::Token(16)),
    ("rk_live_", Tail::Token(16)),
    ("ghp_", Tail::Token(16)),
    ("gho_", Tail::Token(16)),
    ("ghu_", Tail::Token(16)),
    ("ghs_", Tail::Token(16)),
    ("ghr_", Tail::Token(16)),
    ("github_pat_", Tail::Token(16)),
    ("glpat-", Tail::Token(16)),
    ("xoxb-", Tail::Token(16)),
    ("xoxp-", Tail::Token(16)),
    ("xapp-", Tail::Token(16)),
    ("AKIA", Tail::Unbroken(16)),
    ("ASIA", Tail::Unbroken(16)),
    ("eyJ", Tail::Token(16)),
    ("AIza", Tail::Token(30)),
    ("hf_", Tail::Unbroken(16)),
    ("npm_", Tail::Unbroken(16)),
    ("pypi-", Tail::Unbroken(16)),
    ("dop_v1_", Tail::Hex(32)),
    ("SG.", Tail::Token(30)),
];

/// How a block of PEM begins; what follows, to the end of the text, is taken to belong to it.
const PEM: &str = "-----BEGIN ";

/// Shortest text of both cases and digits that is taken for a random token: 192 bits of base64.
const SHORTEST_RANDOM: usize = 32;
/// Shortest of one case and digits: 200 bits of base36.
const SHORTEST_RANDOM_ONE_CASE: usize = 40;
/// Shortest of hexadecimal digits: 256 bits.
const SHORTEST_RANDOM_HEX: usize = 64;

/// Words at the end of a key whose value is a secret, whatever it looks like.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "bearer",
];

/// Whether there is something in `text` that looks like a secret.
pub fn looks_secret(text: &str) -> bool {
    next_secret(text, 0).is_some()
}

/// `text` with [`REDACTED`] in place of everything that looks like a secret.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let Some(first) = next_secret(text, 0) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    let (mut from, mut found) = (0, Some(first));
    while let Some(secret) = found {
        out.push_str(&text[from..secret.start]);
        out.push_str(REDACTED);
        from = secret.end;
        found = next_secret(text, from);
    }
    out.push_str(&text[from..]);
    Cow::Owned(out)
}

/// Whether `key` names a secret, however it is spelt: `api-key`, `db_password`, `clientSecret`.
pub fn is_secret_key(key: &str) -> bool {
    let letters = key.chars().filter(char::is_ascii_alphanumeric);
    let key: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    SECRET_KEYS.iter().any(|word| key.ends_with(word))
}

/// The first secret in `text` that begins at `from` or later.
fn next_secret(text: &str, from: usize) -> Option<Range<usize>> {
    let mut at = from;
    while at < text.len() {
        let token = next_token(text, at)?;
        let found = [known_key(text, &token), email(text, &token), random(text, &token)];
        let first = found.into_iter().flatten().min_by_key(|secret| secret.start);
        if first.is_some() {
            return first;
        }
        at = token.end;
    }
    None
}

/// The next stretch of characters that a token may have, or an e-mail address.
fn next_token(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let start = (from..bytes.len()).find(|at| is_token(bytes[*at]))?;
    let end = (start..bytes.len()).find(|at| !is_token(bytes[*at]));
    Some(start..end.unwrap_or(bytes.len()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+/=@".contains(&byte)
}

/// A key with a well-known beginning, or a block of PEM, within `token`, where something else may stand before it.
fn known_key(text: &str, token: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let is_start = |at: &usize| *at == token.start || !bytes[*at - 1].is_ascii_alphanumeric();
    token.clone().filter(is_start).find_map(|at| {
        let rest = &text[at..];
        if rest.starts_with(PEM) {
            return Some(at..text.len());
        }
        let tail = &text[..token.end];
        let fits = |(beginning, kind): &(&str, Tail)| {
            rest.starts_with(beginning) && kind.fits(&tail[at + beginning.len()..])
        };
        BEGINNINGS.iter().any(fits).then_some(at..token.end)
    })
}

impl Tail {
    fn fits(self, tail: &str) -> bool {
        match self {
            Self::Token(shortest) => {
                let is_name = |byte: u8| byte.is_ascii_lowercase() || b"-_./".contains(&byte);
                tail.len() >= shortest && !tail.bytes().all(is_name)
            }
            Self::Unbroken(shortest) => {
                let mut pieces = tail.split(|c: char| !c.is_ascii_alphanumeric());
                pieces.any(|piece| piece.len() >= shortest) || (tail.len() >= 40 && is_random(tail))
            }
            Self::Hex(shortest) => {
                tail.len() >= shortest && tail.as_bytes()[..shortest].iter().all(u8::is_ascii_hexdigit)
            }
        }
    }
}

/// An e-mail address within `token`: something before the sign, a domain with a dot and a last part of letters behind it.
fn email(text: &str, token: &Range<usize>) -> Option<Range<usize>> {
    let is_local = |byte: &&u8| byte.is_ascii_alphanumeric() || b".+-_".contains(*byte);
    let is_domain = |byte: &&u8| byte.is_ascii_alphanumeric() || b".-".contains(*byte);
    let (bytes, mut signs) = (text.as_bytes(), text[token.clone()].match_indices('@'));
    signs.find_map(|(sign, _)| {
        let sign = token.start + sign;
        let before = bytes[token.start..sign].iter().rev().take_while(is_local).count();
        let behind = bytes[sign + 1..token.end].iter().take_while(is_domain).count();
        let domain = text[sign + 1..sign + 1 + behind].trim_end_matches(['.', '-']);
        let (_, last) = domain.rsplit_once('.')?;
        let is_address = before > 0 && last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_address.then_some(sign - before..sign + 1 + domain.len())
    })
}

/// A stretch within `token` that looks drawn by chance.
fn random(text: &str, token: &Range<usize>) -> Option<Range<usize>> {
    let mut at = token.start;
    // What no alphabet of secrets has ends a part. `/` is in base64 and between the parts of a path, which begins with
    // one and a word: of a path each part counts for itself.
    let first = text[token.clone()]
        .strip_prefix('/')
        .and_then(|rest| rest.split('/').next());
    let is_path = first.is_some_and(|first| first.bytes().all(|byte| byte.is_ascii_lowercase()));
    let ends = |c: char| ".=@".contains(c) || (is_path && c == '/');
    let mut parts = text[token.clone()].split(ends).map(|part| {
        let start = at;
        at += part.len() + 1;
        start..start + part.len()
    });
    parts.find(|part| is_random(&text[part.clone()]))
}

fn is_random(part: &str) -> bool {
    if part.len() >= SHORTEST_RANDOM_HEX && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    if part.len() < SHORTEST_RANDOM {
        return false;
    }
    let pieces = part.split(['-', '_']).filter(|piece| !is_hash(piece));
    let part = pieces.collect::<Vec<_>>().join("-");
    let Classes {
        lower,
        upper,
        digits,
        signs,
        lower_runs,
        upper_runs,
        changes_of_digits,
    } = Classes::of(&part);
    let is_words = signs * 7 > part.len();
    if part.len() >= SHORTEST_RANDOM && lower > 0 && upper > 0 && !is_words {
        // What chance draws changes from one class to another at six of ten places: runs of small letters have 1.7 of
        // them on the average, those of words in camel case four, after one capital.
        return lower < 3 * lower_runs || changes_of_digits >= 6 || upper * 5 >= upper_runs * 8;
    }
    part.len() >= SHORTEST_RANDOM_ONE_CASE
        && digits > 0
        && signs == 0
        && !part.bytes().all(|byte| byte.is_ascii_hexdigit())
        && changes_of_digits * 7 >= part.len()
}

/// Whether a piece of a name is the beginning of a hash, which looks as random as a secret.
fn is_hash(piece: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (6..SHORTEST_RANDOM_HEX).contains(&piece.len()) && piece.bytes().all(is_hex)
}

/// How many characters of each class there are, and how they follow one another.
#[derive(Debug, Default)]
struct Classes {
    lower: usize,
    upper: usize,
    digits: usize,
    signs: usize,
    lower_runs: usize,
    upper_runs: usize,
    /// Letters beside digits.
    changes_of_digits: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Sign,
}

impl Classes {
    fn of(text: &str) -> Self {
        let mut classes = Self::default();
        let mut last = Class::Sign;
        for byte in text.bytes() {
            let class = match byte {
                b'a'..=b'z' => Class::Lower,
                b'A'..=b'Z' => Class::Upper,
                b'0'..=b'9' => Class::Digit,
                _ => Class::Sign,
            };
            let is_new = usize::from(class != last);
            match class {
                Class::Lower => {
                    (classes.lower, classes.lower_runs) = (classes.lower + 1, classes.lower_runs + is_new)
                }
                Class::Upper => {
                    (classes.upper, classes.upper_runs) = (classes.upper + 1, classes.upper_runs + is_new)
                }
                Class::Digit => classes.digits += 1,
                Class::Sign => classes.signs += 1,
            }
            let beside = [class, last];
            if beside.contains(&Class::Digit) && !beside.contains(&Class::Sign) {
                classes.changes_of_digits += is_new;
            }
            last = class;
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "main",
        "packages-2024-v2",
        "sk-learn",
        "sk-learn-embeddings-2024-v2",
        "hf_embeddings-2024-v2-large",
        "omendb_engine_queries_total",
        "6f1e8a52-9f0b-4c4e-8d4e-2f8a3c1b7d90",
        "6F1E8A52-9F0B-4C4E-8D4E-2F8A3C1B7D90",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "a-rather-long-name-of-a-collection-that-somebody-chose-in-2026",
        "My-Very-Long-Collection-Name-For-The-Tests-Of-2024-V2",
        "MyVeryLongCollectionNameForTheTestsOf2024",
        "/collections/packages-2024-v2/points/query/groups",
        "2026-11-24T03:10:51.000007Z",
        "user@host",
        "@v2.0",
        "text-embedding-3-large_1536_cosine",
        "eyJ",
        "AKIA is a prefix",
        "no credential: send \"Authorization: Bearer TOKEN\" or \"api-key: TOKEN\"",
        "collection \"Grüße aus Köln\" does not exist",
    ];

    #[test]
    fn names_are_left_alone() {
        for name in NAMES {
            assert_eq!(redacted(name), *name);
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn what_is_secret_goes_and_what_is_around_it_stays() {
        let check = |text: &str, expected: &str| assert_eq!(redacted(text), expected, "{text}");
        check(
            "collection \"ghp_16C7e42F292c6912E7710c838347Ae178B4a\" does not exist",
            "collection \"_redacted\" does not exist",
        );
        check(
            "/collections/AKIAIOSFODNN7EXAMPLE/points",
            "/collections/_redacted",
        );
        check("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc, b", "a _redacted, b");
        check(
            "v1:Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MEFCQ0RFRkdISUpLTE1OT1A",
            "v1:_redacted",
        );
        check("mail ada.l+x@example.co.uk, now", "mail _redacted, now");
        check("ada@example.com.", "_redacted.");
        check("key: -----BEGIN PRIVATE KEY-----\nabc", "key: _redacted");
        check(
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "_redacted",
        );
        check(
            "é sk-aaaaaaaaaaaaaaaaaaaaaaaa é ada@example.com é",
            "é _redacted é _redacted é",
        );
    }

    #[test]
    fn keys_are_known_however_they_are_spelt() {
        let check = |key: &str, expected: bool| assert_eq!(is_secret_key(key), expected, "{key}");
        check("password", true);
        check("db_password", true);
        check("api-key", true);
        check("X-Api-Key", true);
        check("clientSecret", true);
        check("Authorization", true);
        check("token", true);
        check("tokenizer", false);
        check("path", false);
        check("key", false);
        check("auth.tokens_file", false);
        check("", false);
    }

    /// splitmix64.
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut id = self.0;
            id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (id >> 33) as usize
        }

        fn text(&mut self, alphabet: &str, length: usize) -> String {
            let alphabet = alphabet.as_bytes();
            let mut draw = || char::from(alphabet[self.next() % alphabet.len()]);
            (0..length).map(|_| draw()).collect()
        }
    }

    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const HEX: &str = "0123456789abcdef";
    const BASE36: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
    const BASE62: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const BASE64_URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

    /// Shapes of secrets as their issuers draw them: beginning, alphabet, length; and how many of 5,000 may look like a
    /// name, which chance can do where no beginning gives a secret away.
    const SHAPES: &[(&str, &str, usize, usize)] = &[
        ("omendb_", HEX, 64, 0),
        ("omendb_session_", HEX, 64, 0),
        ("sk-", BASE62, 48, 0),
        ("sk-proj-", BASE64_URL, 96, 0),
        ("sk-ant-api03-", BASE64_URL, 95, 0),
        ("sk_live_", BASE62, 24, 0),
        ("ghp_", BASE62, 36, 0),
        ("github_pat_", BASE62, 22, 0),
        ("glpat-", BASE64_URL, 20, 0),
        ("xoxb-1234567890-", BASE62, 24, 0),
        ("AKIA", CAPITALS, 16, 0),
        ("AIza", BASE64_URL, 35, 0),
        ("hf_", BASE62, 34, 0),
        ("npm_", BASE62, 36, 0),
        ("eyJhbGciOiJIUzI1NiJ9.eyJz.", BASE64_URL, 43, 0),
        ("", HEX, 64, 0),
        ("", BASE64, 43, 10),
        ("", BASE64_URL, 43, 10),
        ("", BASE62, 40, 10),
        ("", BASE36, 48, 10),
    ];

    #[test]
    fn of_a_hundred_thousand_secrets_hardly_any_is_left() {
        let mut chance = Chance(20_261_124);
        for (beginning, alphabet, length, allowed) in SHAPES {
            let missed = (0..5_000).filter(|_| {
                let secret = format!("{beginning}{}", chance.text(alphabet, *length));
                let text = format!("field \"{secret}\" of 7");
                let shown = redacted(&text);
                // A stretch that survives must be too short to be of use.
                !shown.contains(REDACTED) || shown.contains(&secret[secret.len() / 2..])
            });
            let missed = missed.count();
            assert!(
                missed <= *allowed,
                "{missed} of 5000 {beginning}.. with {length} behind"
            );
        }
    }

    #[test]
    fn of_a_hundred_thousand_names_all_are_left() {
        let mut chance = Chance(7);
        for _ in 0..100_000 {
            let count = 1 + chance.next() % 6;
            let words = (0..count).map(|_| {
                let length = 2 + chance.next() % 10;
                match chance.next() % 8 {
                    0 => chance.text("0123456789", length.min(6)),
                    1 => chance.text(HEX, 8),
                    2 => {
                        let word = chance.text(LOWER, length);
                        word[..1].to_uppercase() + &word[1..]
                    }
                    _ => chance.text(LOWER, length),
                }
            });
            let name = words.collect::<Vec<_>>().join(["-", "_", ".", "/"][count % 4]);
            assert!(!looks_secret(&name), "{name}");
        }
    }
}
