//! Which families and which values of the open label a scrape asks for.

/// The open label that is chosen by.
const CHOSEN: &str = "db_id";

/// A choice of families and of collections; the default chooses everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Family names, or names of samples of a histogram; empty for all.
    pub names: Vec<String>,
    /// Values of the label `db_id`; if there are any, series without that label are left out.
    pub open_values: Vec<String>,
}

impl Selection {
    /// The choice in a query string: `name[]=..` (or `name=`) and `db_id=..`, each any number of times. Other
    /// parameters and malformed escapes are not errors: a scrape configuration may carry parameters for others.
    ///
    /// ```
    /// # use omendb_metrics::Selection;
    /// let selection = Selection::from_query("name%5B%5D=omendb_metrics_series&db_id=my+data&cache=no");
    /// assert_eq!(selection.names, ["omendb_metrics_series"]);
    /// assert_eq!(selection.open_values, ["my data"]);
    /// ```
    pub fn from_query(query: &str) -> Self {
        let mut selection = Self::default();
        for parameter in query.split('&') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match decoded(key).as_str() {
                "name" | "name[]" => selection.names.push(decoded(value)),
                "db_id" | "db_id[]" => selection.open_values.push(decoded(value)),
                _ => {}
            }
        }
        selection
    }

    pub(crate) fn wants_family(&self, name: &str) -> bool {
        let is_sample_of = |wanted: &str| {
            wanted
                .strip_prefix(name)
                .is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        };
        self.names.is_empty() || self.names.iter().any(|wanted| is_sample_of(wanted))
    }

    /// Whether series with this open label, or with none, are asked for.
    pub(crate) fn wants_value(&self, label: Option<(&str, &str)>) -> bool {
        let is_value = |wanted: &String| label.is_some_and(|label| label == (CHOSEN, wanted.as_str()));
        self.open_values.is_empty() || self.open_values.iter().any(is_value)
    }
}

/// Undoes percent-encoding and `+`; what is not a valid escape stands for itself.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(if bytes[at] == b'+' { b' ' } else { bytes[at] }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_malformed_ones_survive() {
        let check = |text: &str, expected: &str| assert_eq!(decoded(text), expected);
        check("a%20b+c", "a b c");
        check("%e4%bd%a0", "你");
        check("100%", "100%");
        check("%4", "%4");
        check("%+4", "% 4");
        check("%zz", "%zz");
    }

    #[test]
    fn a_histogram_is_chosen_by_the_names_of_its_samples_too() {
        let selection = Selection::from_query("name[]=a_seconds_bucket&name[]=b_total");
        assert!(selection.wants_family("a_seconds") && selection.wants_family("b_total"));
        assert!(!selection.wants_family("b") && !selection.wants_family("a"));
        assert!(Selection::from_query("").wants_family("a"));
    }
}
