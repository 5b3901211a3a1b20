//! Matches: one value against given ones, or its words or parts against those of a text.

use std::collections::HashSet;

use crate::payload::ValueRef;

/// What a value is compared with. Kinds are kept apart: the integer 1 equals neither `1.0` nor `true`.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Equals this.
    Bool(bool),
    /// Equals this.
    Integer(i64),
    /// Equals this, byte for byte.
    Keyword(String),
    /// Equals one of these.
    Any(MatchSet),
    /// Equals none of these, and is not null.
    Except(MatchSet),
    /// By words: has all of these. By parts: has this text.
    Text(Words),
    /// By words: has at least one of these. By parts: has at least one of the pieces between white space.
    TextAny(Words),
    /// By words: has these, one after the other. By parts: has this text.
    Phrase(Words),
    /// Begins with this, byte for byte.
    Prefix(String),
}

/// Values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum MatchSet {
    /// Strings.
    Keywords(HashSet<String>),
    /// Integers.
    Integers(HashSet<i64>),
}

/// A text, and its words in lower case: what stands between characters that are neither letters nor digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    text: String,
    words: Vec<String>,
}

/// How strings are compared with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextMatching {
    /// By whole words, in any case: where the key has a text index.
    Words,
    /// By any part, byte for byte: everywhere else.
    Parts,
}

impl Words {
    /// The words of `text`, in order.
    pub fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            words: words(text).map(|word| lower(word).collect()).collect(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The words, in lower case.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    fn contains(&self, word: &str) -> bool {
        self.words.iter().any(|known| is_same(word, known))
    }

    fn all_in(&self, text: &str) -> bool {
        !self.words.is_empty() && self.words.iter().all(|word| has_word(text, word))
    }
}

impl Match {
    /// Has all words of `text`, or has it as a part.
    pub fn text(text: &str) -> Self {
        Self::Text(Words::of(text))
    }

    /// Has at least one word of `text`, or one of its pieces as a part.
    pub fn text_any(text: &str) -> Self {
        Self::TextAny(Words::of(text))
    }

    /// Has the words of `text`, one after the other, or has it as a part.
    pub fn phrase(text: &str) -> Self {
        Self::Phrase(Words::of(text))
    }

    /// Whether `value`, which is no list whose elements count instead, is what is looked for.
    pub(super) fn accepts(&self, value: ValueRef<'_>, matching: TextMatching) -> bool {
        let text = match value {
            ValueRef::String(text) => text,
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::Int(_)
            | ValueRef::Uint(_)
            | ValueRef::Float(_)
            | ValueRef::List(_)
            | ValueRef::Object(_) => return self.accepts_other(value),
        };
        match self {
            Self::Keyword(keyword) => text == keyword,
            Self::Any(MatchSet::Keywords(keywords)) => keywords.contains(text),
            Self::Except(MatchSet::Keywords(keywords)) => !keywords.contains(text),
            Self::Text(wanted) => match matching {
                TextMatching::Words => wanted.all_in(text),
                TextMatching::Parts => text.contains(&wanted.text),
            },
            Self::TextAny(wanted) => match matching {
                TextMatching::Words => words(text).any(|word| wanted.contains(word)),
                TextMatching::Parts => wanted.text.split_whitespace().any(|piece| text.contains(piece)),
            },
            Self::Phrase(wanted) => match matching {
                TextMatching::Words => has_phrase(text, &wanted.words),
                TextMatching::Parts => text.contains(&wanted.text),
            },
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Except(MatchSet::Integers(_)) => true,
            Self::Bool(_) | Self::Integer(_) | Self::Any(MatchSet::Integers(_)) => false,
        }
    }

    /// [`accepts`](Self::accepts) for what is no string.
    fn accepts_other(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Bool(expected) => value == ValueRef::Bool(*expected),
            Self::Integer(expected) => value == ValueRef::Int(*expected),
            Self::Any(set) => set.contains(value),
            Self::Except(set) => value != ValueRef::Null && !set.contains(value),
            Self::Keyword(_) | Self::Text(_) | Self::TextAny(_) | Self::Phrase(_) | Self::Prefix(_) => false,
        }
    }
}

impl MatchSet {
    /// Whether `value`, which is no string, is among the integers.
    fn contains(&self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::Integers(integers), ValueRef::Int(value)) => integers.contains(&value),
            (Self::Integers(_) | Self::Keywords(_), _) => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Keywords(keywords) => keywords.len(),
            Self::Integers(integers) => integers.len(),
        }
    }
}

/// The words of `text` as they stand there.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// A word in lower case, character by character: the final sigma is a sigma.
pub(crate) fn lower(word: &str) -> impl Iterator<Item = char> {
    word.chars().flat_map(char::to_lowercase)
}

/// Whether `word` is `lowered` in some case.
fn is_same(word: &str, lowered: &str) -> bool {
    if word.is_ascii() {
        return word.eq_ignore_ascii_case(lowered);
    }
    lower(word).eq(lowered.chars())
}

fn has_word(text: &str, lowered: &str) -> bool {
    words(text).any(|word| is_same(word, lowered))
}

fn has_phrase(text: &str, phrase: &[String]) -> bool {
    let Some((first, rest)) = phrase.split_first() else {
        return false;
    };
    let mut places = words(text);
    while let Some(word) = places.next() {
        let mut following = places.clone();
        if is_same(word, first)
            && rest
                .iter()
                .all(|wanted| following.next().is_some_and(|word| is_same(word, wanted)))
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &Match, accepted: &[ValueRef<'_>], refused: &[ValueRef<'_>]) {
        check_by(TextMatching::Words, condition, accepted, refused);
    }

    fn check_by(
        matching: TextMatching,
        condition: &Match,
        accepted: &[ValueRef<'_>],
        refused: &[ValueRef<'_>],
    ) {
        for (values, expected) in [(accepted, true), (refused, false)] {
            for &value in values {
                assert_eq!(
                    condition.accepts(value, matching),
                    expected,
                    "{condition:?} {value:?}"
                );
            }
        }
    }

    fn texts<'t>(texts: &[&'t str]) -> Vec<ValueRef<'t>> {
        texts.iter().map(|text| ValueRef::String(text)).collect()
    }

    #[test]
    fn kinds_of_values_are_kept_apart() {
        use ValueRef::{Bool, Float, Int, Null, String, Uint};
        check(
            &Match::Integer(1),
            &[Int(1)],
            &[Bool(true), Float(1.0), String("1"), Int(2), Null],
        );
        check(&Match::Integer(-1), &[Int(-1)], &[Uint(u64::MAX)]);
        check(&Match::Bool(true), &[Bool(true)], &[Bool(false), Int(1)]);
        check(
            &Match::Keyword("a".to_owned()),
            &[String("a")],
            &[String("A"), String("ab"), Null],
        );
        let integers = MatchSet::Integers(HashSet::from([1, 2]));
        check(
            &Match::Any(integers.clone()),
            &[Int(1), Int(2)],
            &[Int(3), Float(1.0), String("1")],
        );
        check(
            &Match::Except(integers),
            &[Int(3), Float(1.0), String("1"), Bool(true)],
            &[Int(1), Null],
        );
        let keywords = MatchSet::Keywords(HashSet::from(["a".to_owned()]));
        check(
            &Match::Any(keywords.clone()),
            &[String("a")],
            &[String("b"), Int(1), Null],
        );
        check(
            &Match::Except(keywords),
            &[String("b"), Int(1)],
            &[String("a"), Null],
        );
        check(
            &Match::Any(MatchSet::Keywords(HashSet::new())),
            &[],
            &[String("a"), Null],
        );
        check(
            &Match::Except(MatchSet::Keywords(HashSet::new())),
            &[String("a"), Int(1)],
            &[Null],
        );
    }

    #[test]
    fn words_are_whole_and_of_any_case() {
        check(
            &Match::text("quick FOX"),
            &texts(&["The quick, brown fox", "fox-quick"]),
            &texts(&["quickfox", "quick foxes", "fox", ""]),
        );
        check(
            &Match::text("STRASSE größe"),
            &texts(&["Größe: strasse"]),
            &texts(&["Größe: straße"]),
        );
        check(&Match::text(" -- "), &[], &texts(&["anything", "--", ""]));
        check(
            &Match::text_any("cat dog"),
            &texts(&["a DOG", "Cat"]),
            &texts(&["cats", ""]),
        );
        check(&Match::text_any(""), &[], &texts(&["anything", ""]));
        check(&Match::text("a"), &[], &[ValueRef::Int(1), ValueRef::Null]);
    }

    #[test]
    fn parts_are_bytes_wherever_they_stand() {
        let check = |condition: &Match, accepted: &[&str], refused: &[&str]| {
            check_by(TextMatching::Parts, condition, &texts(accepted), &texts(refused));
            let others = [ValueRef::Int(1), ValueRef::Null];
            check_by(TextMatching::Parts, condition, &[], &others);
        };
        check(&Match::text("fly"), &["fly", "a butterfly"], &["Fly", "fl y", ""]);
        check(
            &Match::text("fox, q"),
            &["the fox, quick"],
            &["fox q", "quick fox"],
        );
        check(&Match::text(""), &["", "anything"], &[]);
        check(&Match::text_any("cat  dog"), &["dogs", "concat"], &["Cat", ""]);
        check(&Match::text_any(" "), &[], &["anything", " "]);
        check(&Match::phrase("b c"), &["ab cd"], &["b  c", "c b"]);
    }

    #[test]
    fn phrases_keep_their_order() {
        check(
            &Match::phrase("b c"),
            &texts(&["a b c d", "b. C!", "b b c"]),
            &texts(&["c b", "b a c", "bc", "b"]),
        );
        check(&Match::phrase("a a b"), &texts(&["a a a b"]), &texts(&["a b a"]));
        check(&Match::phrase(""), &[], &texts(&["a", ""]));
    }

    #[test]
    fn prefixes_are_of_bytes() {
        check(
            &Match::Prefix("Ab".to_owned()),
            &texts(&["Ab", "Abc"]),
            &texts(&["ab", "xAb"]),
        );
        check(&Match::Prefix(String::new()), &texts(&[""]), &[ValueRef::Null]);
    }
}
