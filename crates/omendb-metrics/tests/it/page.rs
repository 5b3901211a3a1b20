//! A strict reader of text pages: it fails on what a lenient one would repair.

use std::collections::{BTreeMap, BTreeSet};

/// Name, then labels; bounds of buckets as numbers in a uniform spelling.
pub(crate) type SeriesKey = (String, BTreeMap<String, String>);

/// A page taken apart.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Kind by family name.
    pub(crate) kinds: BTreeMap<String, String>,
    /// Help by family name, unescaped.
    pub(crate) help: BTreeMap<String, String>,
    /// Value by series.
    pub(crate) samples: BTreeMap<SeriesKey, f64>,
}

impl Page {
    /// Reads text 0.0.4 or OpenMetrics.
    ///
    /// Panics on a sample outside of its family, a family that comes twice, a series that comes twice, a line that is
    /// neither comment nor sample, or anything after `# EOF`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut family = String::new();
        let mut finished = BTreeSet::new();
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line has no end"
        );
        let (body, rest) = text.split_once("# EOF\n").unwrap_or((text, ""));
        assert!(rest.is_empty(), "something follows the end: {rest}");
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (keyword, name, rest) = (
                    words.next().unwrap(),
                    words.next().unwrap(),
                    words.next().unwrap_or(""),
                );
                if name != family {
                    assert!(finished.insert(name.to_owned()), "{name} comes twice");
                    family = name.to_owned();
                }
                let previous = match keyword {
                    "TYPE" => page.kinds.insert(name.into(), rest.into()),
                    "HELP" => page.help.insert(name.into(), unescaped(rest)),
                    "UNIT" => None,
                    _ => panic!("unknown comment: {line}"),
                };
                assert_eq!(previous, None, "twice: {line}");
            } else {
                let (key, value) = sample(line);
                let belongs =
                    key.0
                        .strip_prefix(&family)
                        .is_some_and(|suffix| match page.kinds[&family].as_str() {
                            "histogram" => matches!(suffix, "_bucket" | "_sum" | "_count"),
                            "counter" => matches!(suffix, "" | "_total"),
                            _ => suffix.is_empty(),
                        });
                assert!(belongs, "not of family {family}: {line}");
                assert_eq!(page.samples.insert(key, value), None, "twice: {line}");
            }
        }
        page
    }

    /// The value of a series.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }
}

fn sample(line: &str) -> (SeriesKey, f64) {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).expect(line));
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"").expect(line);
            let end = closing_quote(after).expect(line);
            let mut value = unescaped(&after[..end]);
            if key == "le" {
                value = format!("{}", value.replace("+Inf", "inf").parse::<f64>().expect(line));
            }
            assert_eq!(labels.insert(key.to_owned(), value), None, "label twice: {line}");
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest
        .strip_prefix(' ')
        .expect(line)
        .replace("Inf", "inf")
        .parse()
        .expect(line);
    ((name.to_owned(), labels), value)
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '\\') {
            (_, false) => c,
            (_, true) => match chars.next().expect(text) {
                'n' => '\n',
                other => other,
            },
        });
    }
    out
}

#[test]
fn the_reader_reads_what_is_hard_to_read() {
    let page =
        Page::parse("# HELP a_total x\\\\y\n# TYPE a_total counter\na_total{k=\"\\\\\\\"\\n,}\"} 1e3\n");
    assert_eq!(page.value("a_total", &[("k", "\\\"\n,}")]), Some(1_000.0));
    assert_eq!(page.help["a_total"], "x\\y");
}
