//! Values that look like a credential and must not become a label, where every scraper could read them.

/// How secrets begin that people paste where a name belongs.
const PREFIXES: &[&str] = &[
    "sk-",
    "sk_live_",
    "pk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "eyJ",
    "AIza",
    "hf_",
    "npm_",
    "pypi-",
    "omendb_t_",
    "-----BEGIN",
];

/// Shortest text after a known prefix that is taken for a secret: `sk-learn` is a fine name of a collection.
const SHORTEST_AFTER_PREFIX: usize = 16;

/// Shortest unbroken mix of cases and digits that is taken for a random token (256 bits are 43 characters of base64).
const SHORTEST_RANDOM: usize = 40;

/// Whether `value` has the shape of a secret: a well-known prefix with enough behind it, or a long run of letters of
/// both cases and digits without any separator.
pub(crate) fn looks_secret(value: &str) -> bool {
    let has_prefix = PREFIXES.iter().any(|prefix| {
        value
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.len() >= SHORTEST_AFTER_PREFIX)
    });
    has_prefix || value.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
}

fn is_random(run: &str) -> bool {
    let has = |class: fn(&u8) -> bool| run.as_bytes().iter().any(class);
    run.len() >= SHORTEST_RANDOM
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_seen_and_names_left_alone() {
        let check = |value: &str, expected: bool| assert_eq!(looks_secret(value), expected, "{value}");
        check("main", false);
        check("sk-learn", false);
        check("6f1e8a52-9f0b-4c4e-8d4e-2f8a3c1b7d90", false);
        check(
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            false,
        );
        check(
            "a-rather-long-name-of-a-collection-that-somebody-chose-in-2026",
            false,
        );
        check("ghp_16C7e42F292c6912E7710c838347Ae178B4a", true);
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", true);
        check("v1:Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MEFCQ0RFRkdISUpLTE1OT1A", true);
    }
}
