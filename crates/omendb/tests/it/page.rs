//! A scraped page as numbers, and what moved between two of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client::Client;

/// One page in text format 0.0.4.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Family to its TYPE.
    pub(crate) types: BTreeMap<String, String>,
    /// Family to its HELP.
    pub(crate) help: BTreeMap<String, String>,
    /// Series (`name{a="b",c="d"}`, labels sorted) to value.
    pub(crate) samples: BTreeMap<String, f64>,
}

impl Page {
    /// Scrapes `/metrics` with `client`.
    pub(crate) fn scrape(client: &mut Client) -> Self {
        let response = client.get("/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        Self::parse(response.text())
    }

    /// Scrapes until `series` has `value`: the server learns of some things, such as a client that hung up, later than
    /// the client does.
    pub(crate) fn until(scraper: &mut Client, series: &str, value: f64) {
        let begin = Instant::now();
        while Self::scrape(scraper).get(series) != Some(value) {
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "{series} never became {value}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("TYPE has a name and a kind");
                let before = page.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "two TYPE lines for {name}");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("HELP has a name and a text");
                page.help.insert(name.to_owned(), help.to_owned());
            } else if !line.starts_with('#') && !line.is_empty() {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let value = value.parse().unwrap_or_else(|_| unreachable!("value of {line}"));
                let before = page.samples.insert(sorted(series), value);
                assert_eq!(before, None, "the series appears twice: {series}");
            }
        }
        page
    }

    /// The value of a series that must be there.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.get(series)
            .unwrap_or_else(|| unreachable!("no series {series}"))
    }

    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        self.samples.get(&sorted(series)).copied()
    }

    /// What all series of a family without a suffix add up to.
    pub(crate) fn total(&self, family: &str) -> f64 {
        let of_family = |series: &str| series.split('{').next() == Some(family);
        let samples = self.samples.iter().filter(|(series, _)| of_family(series));
        samples.map(|(_, value)| value).sum()
    }

    /// The family a series belongs to: a histogram's samples carry a suffix.
    pub(crate) fn family<'a>(&self, series: &'a str) -> &'a str {
        let name = series.split('{').next().unwrap_or(series);
        let suffixes = ["_bucket", "_sum", "_count"];
        let bases = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
        let histogram = |base: &&str| self.types.get(*base).is_some_and(|kind| kind == "histogram");
        bases.into_iter().find(histogram).unwrap_or(name)
    }

    /// Series whose value differs from `before`, with the difference; a series that was absent counts from zero.
    pub(crate) fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        let moved = |(series, after): (&String, &f64)| {
            let delta = after - before.samples.get(series).copied().unwrap_or(0.0);
            (delta != 0.0).then(|| (series.clone(), delta))
        };
        self.samples.iter().filter_map(moved).collect()
    }
}

/// The series with its labels in alphabetical order, so that tests need not know the page's.
pub(crate) fn sorted(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else {
        return series.to_owned();
    };
    let labels = labels.strip_suffix('}').expect("labels end with a brace");
    let mut parts = Vec::new();
    let (mut begin, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in labels.char_indices() {
        match character {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&labels[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    parts.push(&labels[begin..]);
    parts.retain(|part| !part.is_empty());
    parts.sort_unstable();
    if parts.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", parts.join(","))
    }
}

#[test]
fn labels_are_sorted_and_commas_in_values_stay() {
    let check = |series: &str, expected: &str| assert_eq!(sorted(series), expected);
    check("a", "a");
    check("a{}", "a");
    check(r#"a{z="1",b="2"}"#, r#"a{b="2",z="1"}"#);
    check(r#"a{z="1,b=\"",b="2"}"#, r#"a{b="2",z="1,b=\""}"#);
}
