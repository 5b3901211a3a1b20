//! Passwords: argon2id, at the parameters OWASP recommends (19 MiB, two passes, one lane), which are the crate's.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// Shortest password accepted for a new user, characters (NIST SP 800-63B, 5.1.1.2).
const SHORTEST: usize = 8;
/// Longest password, bytes: hashing time must not be the client's choice.
const LONGEST: usize = 1024;

/// Hashes a new user's password, with a random salt, in PHC form.
///
/// # Errors
/// When it is too short or too long, or the operating system has no randomness.
pub fn hash(password: &str) -> Result<String, String> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return Err(format!(
            "the password must have {SHORTEST} characters or more and {LONGEST} bytes or fewer"
        ));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash
        .map_err(|error| format!("hashing the password: {error}"))?
        .to_string())
}

/// Whether `password` is the one that was hashed. Takes some 20 ms and 19 MiB, right or wrong, also when there is no
/// hash (no such user), so that time does not tell which names exist.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    if password.len() > LONGEST {
        return false;
    }
    let Some(hash) = hash.and_then(|text| PasswordHash::new(text).ok()) else {
        let _ = Argon2::default().hash_password(password.as_bytes());
        return false;
    };
    Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok()
}

/// Checks the form of a stored hash.
///
/// # Errors
/// When it is not argon2id in PHC form.
pub fn check_hash(text: &str) -> Result<(), String> {
    let is_argon2id = PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id");
    if is_argon2id {
        Ok(())
    } else {
        Err("password is not an argon2id hash in PHC form".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_that_was_hashed_is_right() {
        let hashed = hash("correct horse").unwrap();
        assert!(check_hash(&hashed).is_ok());
        assert!(verify("correct horse", Some(&hashed)));
        assert!(!verify("correct horsf", Some(&hashed)));
        assert!(!verify("correct horse", None));
        assert!(!verify("correct horse", Some("$argon2id$nonsense")));
        assert_ne!(hashed, hash("correct horse").unwrap(), "salted");
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(hash("1234567").is_err());
        assert!(hash(&"a".repeat(LONGEST + 1)).is_err());
        assert!(check_hash("hunter2").is_err());
    }
}
