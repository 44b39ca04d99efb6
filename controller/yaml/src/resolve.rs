//! What an unquoted scalar means: in our own files, and in files that docker reads too.

use crate::tree::{CoreTag, Scalar, Style};

/// Whose rules give plain scalars their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// The core schema of YAML 1.2: few surprises. For our own files.
    Strict,
    /// The Go library that docker reads stack files with (go-yaml v3), including its octal `012`,
    /// its `1_000` and its timestamps. Held against `docker stack config` of docker 28.2.
    Docker,
}

/// A scalar's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    /// Nothing: `null`, `~`, or no text at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; Go's widest is 64 bits unsigned.
    Int(i128),
    /// A number with a fraction or an exponent, `.inf` or `.nan`.
    Float(f64),
    /// A date or time, as the text that Go prints for it. Docker's resolver only.
    Timestamp(String),
    /// A text.
    Text(String),
}

impl Resolved {
    /// The value for a sentence: `the number 3`, `the text "three"`.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {}", go_float_text(*value)),
            Self::Timestamp(text) => format!("the time {text}"),
            Self::Text(text) => format!("the text \"{}\"", shorten(text)),
        }
    }

    /// The text that Go's `fmt.Sprint` makes of it, which is what docker puts into environment
    /// variables and labels.
    pub fn go_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => go_float_text(*value),
            Self::Timestamp(text) | Self::Text(text) => text.clone(),
        }
    }
}

/// A value in a message: one line, not endless.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut out: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

impl Resolver {
    /// Gives a scalar its value.
    pub fn resolve(self, scalar: &Scalar) -> Resolved {
        let typed_by_tag = matches!(
            scalar.tag,
            Some(CoreTag::Int | CoreTag::Float | CoreTag::Bool | CoreTag::Null)
        );
        let is_text =
            scalar.tag == Some(CoreTag::Str) || (scalar.style != Style::Plain && !typed_by_tag);
        if is_text {
            return Resolved::Text(scalar.raw.clone());
        }
        match self {
            Self::Strict => strict(&scalar.raw),
            Self::Docker => docker(&scalar.raw),
        }
    }
}

fn word(raw: &str) -> Option<Resolved> {
    Some(match raw {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "true" | "True" | "TRUE" => Resolved::Bool(true),
        "false" | "False" | "FALSE" => Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn strict(raw: &str) -> Resolved {
    if let Some(resolved) = word(raw) {
        return resolved;
    }
    let radix = |prefix, radix| {
        raw.strip_prefix(prefix)
            .filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))
            .and_then(|digits| i128::from_str_radix(digits, radix).ok())
    };
    if let Some(value) = radix("0o", 8).or_else(|| radix("0x", 16)) {
        return Resolved::Int(value);
    }
    let digits = raw.strip_prefix(['+', '-']).unwrap_or(raw);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too long for any integer of ours: still a number, so that "too large" is what is said.
        return raw.parse::<i128>().map_or_else(|_| float(raw), Resolved::Int);
    }
    if is_yaml_float(raw) { float(raw) } else { Resolved::Text(raw.to_owned()) }
}

fn float(raw: &str) -> Resolved {
    raw.parse::<f64>().map_or_else(|_| Resolved::Text(raw.to_owned()), Resolved::Float)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the same in the core schema and in Go.
fn is_yaml_float(raw: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = raw.strip_prefix(['+', '-']).unwrap_or(raw);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_is_fine = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    let mantissa_is_fine = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent_is_fine && mantissa_is_fine
}

/// `resolve` of go-yaml v3, in its order: words, then by the first character a time, an integer of
/// any base, a float, and what is left is a text.
fn docker(raw: &str) -> Resolved {
    if let Some(resolved) = word(raw) {
        return resolved;
    }
    match raw.bytes().next() {
        // After a point Go tries its own float syntax on the text as it is.
        Some(b'.') => go_float(raw),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            if let Some(text) = go_timestamp(raw) {
                return Resolved::Timestamp(text);
            }
            let plain = raw.replace('_', "");
            if let Some(value) = go_integer(&plain) {
                return Resolved::Int(value);
            }
            if is_yaml_float(&plain)
                && let Ok(value) = plain.parse::<f64>()
                && value.is_finite()
            {
                return Resolved::Float(value);
            }
            Resolved::Text(raw.to_owned())
        }
        _ => Resolved::Text(raw.to_owned()),
    }
}

/// `strconv.ParseFloat` for texts that begin with a point; out of range is an error there, and an
/// underscore may only stand between digits.
fn go_float(raw: &str) -> Resolved {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = raw.as_bytes();
    let between_digits = bytes.iter().enumerate().all(|(index, byte)| {
        let before = index.checked_sub(1).and_then(|before| bytes.get(before));
        *byte != b'_' || (digit(before) && digit(bytes.get(index + 1)))
    });
    let plain = raw.replace('_', "");
    match plain.parse::<f64>() {
        Ok(value) if value.is_finite() && between_digits && is_yaml_float(&plain) => {
            Resolved::Float(value)
        }
        _ => Resolved::Text(raw.to_owned()),
    }
}

/// `strconv.ParseInt(text, 0, 64)`, else `ParseUint`: base by prefix, a leading zero means octal.
fn go_integer(text: &str) -> Option<i128> {
    let (negative, unsigned, signed) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?, true),
        b'+' => (false, text.get(1..)?, true),
        _ => (false, text, false),
    };
    let prefix = unsigned.get(..2).map(str::to_ascii_lowercase);
    let (digits, radix) = match prefix.as_deref() {
        Some("0x") => (unsigned.get(2..)?, 16),
        Some("0o") => (unsigned.get(2..)?, 8),
        Some("0b") => (unsigned.get(2..)?, 2),
        Some(_) if unsigned.starts_with('0') => (unsigned.get(1..)?, 8),
        _ => (unsigned, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    // Only a text without a sign gets the second chance as an unsigned number.
    let highest = if signed { i128::from(i64::MAX) } else { i128::from(u64::MAX) };
    (i128::from(i64::MIN)..=highest).contains(&value).then_some(value)
}

/// The text of `time.Time.String()` for the formats that go-yaml takes as a time.
fn go_timestamp(raw: &str) -> Option<String> {
    let (year, rest) = raw.split_once('-')?;
    if year.len() != 4 || !all_digits(year) {
        return None;
    }
    let (month, rest) = rest.split_once('-')?;
    let day_ends = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, rest) = rest.split_at_checked(day_ends)?;
    let year_number: u32 = year.parse().ok()?;
    let (month, day) = (number(month, 1, 12)?, number(day, 1, 31)?);
    if day > days_in(year_number, month) {
        return None;
    }
    let date = format!("{year}-{month:02}-{day:02}");
    if rest.is_empty() {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    }
    let (separator, rest) = rest.split_at_checked(1)?;
    let time_ends = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
        .count();
    let (time, zone) = rest.split_at_checked(time_ends)?;
    let mut parts = time.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    // A fraction needs digits, and Go keeps nine of them.
    if time.contains('.') && (fraction.is_empty() || !all_digits(fraction)) {
        return None;
    }
    let (hour, minute, second) =
        (number(hour, 0, 23)?, number(minute, 0, 59)?, number(second, 0, 59)?);
    let zone = match (separator, zone) {
        (" ", "") | ("T" | "t", "Z") => "+0000 UTC".to_owned(),
        ("T" | "t", zone) => go_zone(zone)?,
        _ => return None,
    };
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}{point}{fraction} {zone}"))
}

/// `+02:00` prints as `+0200 +0200`, because Go has no name for it.
fn go_zone(zone: &str) -> Option<String> {
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if !zone.starts_with(['+', '-']) || hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours, 0, 24)?, number(minutes, 0, 60)?);
    if hours == 0 && minutes == 0 {
        return Some("+0000 UTC".to_owned());
    }
    let offset = format!("{}{hours:02}{minutes:02}", zone.get(..1)?);
    Some(format!("{offset} {offset}"))
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One or two digits within bounds, as Go's `1`, `2`, `15`, `4`, `5` layout fields take them.
fn number(text: &str, lowest: u32, highest: u32) -> Option<u32> {
    if !matches!(text.len(), 1 | 2) || !all_digits(text) {
        return None;
    }
    text.parse().ok().filter(|value| (lowest..=highest).contains(value))
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Go's `%v` of a float: the shortest text that reads back, with an exponent below 1e-4 and from
/// 1e6 on.
pub fn go_float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    // Go writes at least two digits.
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::Resolved::{Bool, Float, Int, Null, Text, Timestamp};
    use super::*;

    fn plain(raw: &str) -> Scalar {
        Scalar { raw: raw.to_owned(), style: Style::Plain, tag: None }
    }

    #[test]
    fn strict_is_the_core_schema() {
        let text = |text: &str| Text(text.to_owned());
        let table = [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("nULL", text("nULL")),
            ("true", Bool(true)),
            ("FALSE", Bool(false)),
            ("yes", text("yes")),
            ("off", text("off")),
            ("0", Int(0)),
            ("-7", Int(-7)),
            ("+7", Int(7)),
            ("012", Int(12)),
            ("0o12", Int(10)),
            ("0x1F", Int(31)),
            ("0x", text("0x")),
            ("-0x1F", text("-0x1F")),
            ("1_000", text("1_000")),
            ("1.10", Float(1.1)),
            (".5", Float(0.5)),
            ("5.", Float(5.0)),
            ("1e3", Float(1000.0)),
            ("1e", text("1e")),
            (".", text(".")),
            ("-", text("-")),
            (".inf", Float(f64::INFINITY)),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("infinity", text("infinity")),
            ("nan", text("nan")),
            ("2024-01-02", text("2024-01-02")),
            ("99999999999999999999", Int(99_999_999_999_999_999_999)),
            ("10s", text("10s")),
        ];
        for (raw, expected) in table {
            assert_eq!(Resolver::Strict.resolve(&plain(raw)), expected, "{raw:?}");
        }
        let Float(nan) = Resolver::Strict.resolve(&plain(".nan")) else { panic!("not a float") };
        assert!(nan.is_nan());
        let huge = "9".repeat(400);
        assert_eq!(Resolver::Strict.resolve(&plain(&huge)), Float(f64::INFINITY));
    }

    #[test]
    fn docker_is_go_yaml() {
        let text = |text: &str| Text(text.to_owned());
        let time = |text: &str| Timestamp(text.to_owned());
        let table = [
            ("", Null),
            ("~", Null),
            ("True", Bool(true)),
            // Version 3 keeps the words of YAML 1.1 as texts.
            ("yes", text("yes")),
            ("no", text("no")),
            ("on", text("on")),
            ("Off", text("Off")),
            ("y", text("y")),
            ("1.10", Float(1.1)),
            ("0x1F", Int(31)),
            ("-0x1F", Int(-31)),
            ("012", Int(10)),
            ("-012", Int(-10)),
            ("0o12", Int(10)),
            ("0b101", Int(5)),
            ("089", Float(89.0)),
            ("1_000", Int(1000)),
            ("1_000.5", Float(1000.5)),
            ("0", Int(0)),
            ("00", Int(0)),
            ("+5", Int(5)),
            ("9223372036854775808", Int(9_223_372_036_854_775_808)),
            ("18446744073709551615", Int(18_446_744_073_709_551_615)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("-9223372036854775808", Int(-9_223_372_036_854_775_808)),
            ("1e3", Float(1000.0)),
            ("1e999", text("1e999")),
            (".5", Float(0.5)),
            (".5_0", Float(0.5)),
            ("._", text("._")),
            (".inf", Float(f64::INFINITY)),
            ("8:30", text("8:30")),
            ("1.2.3", text("1.2.3")),
            ("10s", text("10s")),
            ("2024-01-02", time("2024-01-02 00:00:00 +0000 UTC")),
            ("2024-1-2", time("2024-01-02 00:00:00 +0000 UTC")),
            ("2024-01-02 03:04:05", time("2024-01-02 03:04:05 +0000 UTC")),
            ("2024-01-02T03:04:05Z", time("2024-01-02 03:04:05 +0000 UTC")),
            ("2024-01-02t03:04:05.120Z", time("2024-01-02 03:04:05.12 +0000 UTC")),
            ("2024-01-02T03:04:05+02:00", time("2024-01-02 03:04:05 +0200 +0200")),
            ("2024-01-02T03:04:05", text("2024-01-02T03:04:05")),
            ("2024-02-30", text("2024-02-30")),
            ("2024-13-01", text("2024-13-01")),
            ("2024-01-02-03", text("2024-01-02-03")),
        ];
        for (raw, expected) in table {
            assert_eq!(Resolver::Docker.resolve(&plain(raw)), expected, "{raw:?}");
        }
    }

    #[test]
    fn quotes_and_tags_beat_the_looks() {
        for resolver in [Resolver::Strict, Resolver::Docker] {
            for raw in ["1.10", "0x1F", "012", "true", "null", "2024-01-02", ""] {
                let quoted = Scalar { style: Style::Quoted, ..plain(raw) };
                assert_eq!(resolver.resolve(&quoted), Text(raw.to_owned()));
                let block = Scalar { style: Style::Block, ..plain(raw) };
                assert_eq!(resolver.resolve(&block), Text(raw.to_owned()));
                let tagged = Scalar { tag: Some(CoreTag::Str), ..plain(raw) };
                assert_eq!(resolver.resolve(&tagged), Text(raw.to_owned()));
            }
            let number = Scalar { style: Style::Quoted, tag: Some(CoreTag::Int), ..plain("7") };
            assert_eq!(resolver.resolve(&number), Int(7));
        }
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        let table = [
            (1.1, "1.1"),
            (5.0, "5"),
            (0.0, "0"),
            (-0.25, "-0.25"),
            (100_000.5, "100000.5"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (-0.0, "-0"),
            (1.5e-7, "1.5e-07"),
            (1e-4, "0.0001"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in table {
            assert_eq!(go_float_text(value), text);
        }
    }
}
