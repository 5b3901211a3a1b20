//! Escapes of the text formats and of JSON.

/// HELP text of format 0.0.4: backslash and line feed.
pub(crate) fn help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// HELP text of OpenMetrics, which wants quotes escaped too.
pub(crate) fn openmetrics_help(text: &str) -> String {
    help(text).replace('"', "\\\"")
}

/// A label value: backslash, quote and line feed are escaped; other control characters, which nobody can read on a
/// page, become U+FFFD. The result is also right between the quotes of a JSON string.
pub(crate) fn label_value(out: &mut String, value: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f;
    if value.bytes().all(plain) {
        out.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_ascii_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// What [`label_value`] was given, but for control characters, which are lost.
pub(crate) fn unescaped(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(c) = characters.next() {
        text.push(match c {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(c) => c,
                None => '\\',
            },
            c => c,
        });
    }
    text
}

/// A JSON string with its quotes.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend(b"\\\\"),
            b'"' => out.extend(b"\\\""),
            b'\n' => out.extend(b"\\n"),
            // The other bytes below a blank are control characters; above, UTF-8 stays as it is.
            0..b' ' => out.extend(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_place_escapes() {
        let check = |value: &str, label: &str, json: &str| {
            let (mut as_label, mut as_json) = (String::new(), Vec::new());
            label_value(&mut as_label, value);
            json_string(&mut as_json, value);
            assert_eq!(
                (as_label.as_str(), std::str::from_utf8(&as_json).unwrap()),
                (label, json)
            );
        };
        check("main", "main", "\"main\"");
        check("a\"b", "a\\\"b", "\"a\\\"b\"");
        check("a\\n", "a\\\\n", "\"a\\\\n\"");
        check("a\nb", "a\\nb", "\"a\\nb\"");
        check("a\tb\0", "a\u{fffd}b\u{fffd}", "\"a\\u0009b\\u0000\"");
        check("Grüße 你好", "Grüße 你好", "\"Grüße 你好\"");
        assert_eq!(help("a\\b\n\"c\""), "a\\\\b\\n\"c\"");
        assert_eq!(openmetrics_help("a\\b\n\"c\""), "a\\\\b\\n\\\"c\\\"");
    }
}
