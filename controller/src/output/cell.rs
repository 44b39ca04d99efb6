//! Values as people read them.

use jiff::Timestamp;

/// Text without control characters: a service's name or an engine's error must not be able to
/// move the cursor or change colours of the terminal that shows it.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden =
                c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let (escaped, kept) =
                if hidden { (Some(c.escape_unicode()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}

/// The first line of a text, with the number of lines that follow it.
pub(crate) fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = plain(lines.next().unwrap_or_default());
    match lines.count() {
        0 => first,
        more => format!("{first} (and {more} more lines)"),
    }
}

/// How long ago, in its largest unit: `12s`, `3m`, `5h`, `2d`.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> String {
    span(now.as_second().saturating_sub(then.as_second()))
}

/// How long until then; `-` when it has passed.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    let seconds = then.as_second().saturating_sub(now.as_second());
    if seconds <= 0 { "-".to_owned() } else { span(seconds) }
}

fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
