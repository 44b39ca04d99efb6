//! What looks like a secret, wherever it stands: one rule for what plans show, for what is taken
//! out of other programs' sentences, and for what an import does not write into a registry.
//!
//! Outside of the environment nothing says what a secret is. People put them into arguments,
//! labels, health checks and options of drivers all the same, so names and shapes have to do. The
//! rule errs on the side of hiding.

/// Keys of the engine's spec that are names and paths of secrets, never their content.
const NAMES_OF_SECRETS: &[&str] = &["SecretName", "SecretID", "SecretRef"];

/// Whether the value under this key should not be shown.
pub(crate) fn looks_secret(key: &str) -> bool {
    !NAMES_OF_SECRETS.contains(&key) && skep_crds::value::looks_secret(key)
}

/// Whether a text has a part that should not be shown.
pub(crate) fn holds_secret(text: &str) -> bool {
    !secret_parts(text).is_empty()
}

/// The parts of a text that should not be shown:
/// - what is assigned to a name that looks secret: `--token=x`, `X-Api-Key: x`, `"password":"x"`,
///   and in a command line `--token x`;
/// - what stands behind `Bearer` or `Basic`, and behind the colon of `--user name:x`;
/// - the password of a URL;
/// - what has the shape of a well-known kind of token.
pub(crate) fn secret_parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut words = text.split_whitespace().map(unquoted).peekable();
    while let Some(word) = words.next() {
        let Some(next) = words.peek() else { break };
        parts.extend(behind(word, next));
    }
    for word in text.split(|char: char| char.is_whitespace() || "'\"`".contains(char)) {
        parts.extend(Some(word).filter(|word| is_token(word)));
    }
    parts.extend(text.split([',', ' ', ';', '&', '?', '\n', '\'', '"']).filter_map(assigned));
    parts.extend(headers(text));
    parts.extend(passwords(text));
    parts.retain(|part| !part.is_empty());
    parts
}

/// What should not be shown of the word that stands behind another one, in a command line or in
/// a list of arguments.
pub(crate) fn behind<'a>(word: &str, next: &'a str) -> Option<&'a str> {
    if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
        return Some(next);
    }
    let flag = word.strip_prefix('-')?;
    if flag.contains('=') || next.starts_with('-') {
        return None;
    }
    if looks_secret(flag) {
        return Some(next);
    }
    // `1000:1000` are the numbers of a user and a group.
    let (_, password) = next.split_once(':').filter(|_| is_user(flag))?;
    (!password.bytes().all(|byte| byte.is_ascii_digit())).then_some(password)
}

fn is_user(flag: &str) -> bool {
    ["u", "-user", "-proxy-user"].contains(&flag)
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['\'', '"'])
}

/// The value of `key=value`.
fn assigned(part: &str) -> Option<&str> {
    part.split_once('=').filter(|(key, _)| looks_secret(key)).map(|(_, value)| value)
}

/// The values of `Name: value`, as in headers, and of `"name":"value"`, as in JSON. A colon alone
/// does not count: `auth-service:8080` is an address.
fn headers(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(':').filter_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
        let is_quoted = before.ends_with(['"', '\'']);
        if !is_quoted && !after.starts_with([' ', '"', '\'']) {
            return None;
        }
        let name = unquoted(before);
        let from = name.rfind(|char: char| !(char.is_ascii_alphanumeric() || "-_.".contains(char)));
        let name = name.get(from.map_or(0, |from| from + 1)..)?;
        if !looks_secret(name) {
            return None;
        }
        let value = after.trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(['"', '\'', '\n']).unwrap_or(value.len());
        value.get(..end).map(str::trim_end)
    })
}

/// The passwords of `scheme://user:password@host`.
fn passwords(text: &str) -> impl Iterator<Item = &str> {
    text.split("://").skip(1).filter_map(|rest| {
        // A password may hold what would otherwise end the authority.
        let url = rest.split([' ', '"', '\'', '\n']).next().unwrap_or_default();
        let (user, _) = url.rsplit_once('@')?;
        user.split_once(':').map(|(_, password)| password)
    })
}

/// Beginnings of tokens that services give out with a mark of their own.
const MARKS: &[&str] = &[
    "AKIA",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk-",
    "xoxb-",
    "xoxp-",
    "whsec_",
    "-----BEGIN",
];

/// Shorter words only begin like one.
const SHORTEST_TOKEN: usize = 20;

fn is_token(word: &str) -> bool {
    MARKS.iter().any(|mark| word.starts_with(mark))
        && (word.len() >= SHORTEST_TOKEN || word.starts_with("-----BEGIN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_found_and_nothing_around_it() {
        for (text, part) in [
            ("--token=hunter2", "hunter2"),
            ("serve --verbose --api-key hunter2 --port 80", "hunter2"),
            ("serve '--password' 'hunter2'", "hunter2"),
            ("addr=10.0.0.1,username=u,password=hunter2", "hunter2"),
            ("http://x/?a=b&access_token=hunter2", "hunter2"),
            ("X-Api-Key: hunter2", "hunter2"),
            ("curl -H 'X-Api-Key: hunter2' http://x/", "hunter2"),
            ("curl -u admin:hunter2 http://x/", "hunter2"),
            ("curl --user 'admin:hunter2' http://x/", "hunter2"),
            (r#"{"a":1,"password":"hunter2"}"#, "hunter2"),
            (r#"{"password": "hunter2"}"#, "hunter2"),
            ("token: hunter2", "hunter2"),
            ("Bearer hunter2", "hunter2"),
            ("postgres://user:hunter2@db/x", "hunter2"),
            ("postgres://user:hun/ter2@db/x", "hun/ter2"),
            ("ghp_0123456789abcdefghij", "ghp_0123456789abcdefghij"),
        ] {
            assert_eq!(secret_parts(text), [part], "{text}");
        }
        // Found twice is found.
        let parts = secret_parts("curl -H \"Authorization: Bearer hunter2\"");
        assert!(parts.contains(&"hunter2") && parts.contains(&"Bearer hunter2"), "{parts:?}");
        assert!(holds_secret("-----BEGIN PRIVATE KEY-----\nAAAA"));
    }

    #[test]
    fn what_is_none_is_shown() {
        for text in [
            "",
            "serve",
            "--port=8000",
            "--token=",
            "--token",
            "--token --verbose",
            "auth-service:8080",
            "/etc/certs:/certs:ro",
            "http://auth.example:8080/token",
            "https://user@host/x",
            "--user 1000:1000",
            "example/mcp:1",
            "sk-short",
            "node.labels.zone == a",
            "Accept: text/plain",
            "a sentence about basics, and a user: nobody",
        ] {
            assert!(!holds_secret(text), "{text}: {:?}", secret_parts(text));
        }
        assert!(!looks_secret("SecretName") && looks_secret("splunk-token"));
    }

    #[test]
    fn an_argument_behind_its_flag_is_found_in_a_list() {
        assert_eq!(behind("--password", "hunter2"), Some("hunter2"));
        assert_eq!(behind("-password", "hunter2"), Some("hunter2"));
        assert_eq!(behind("-u", "me:hunter2"), Some("hunter2"));
        for (word, next) in [
            ("password", "hunter2"),
            ("--password=x", "hunter2"),
            ("--password", "--verbose"),
            ("--port", "80"),
            ("-u", "1000:1000"),
        ] {
            assert_eq!(behind(word, next), None, "{word} {next}");
        }
    }
}
