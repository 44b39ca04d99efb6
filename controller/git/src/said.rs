//! What git said, made into an error that says what to do. Pure.
//!
//! Its words are those of `LC_ALL=C`; where they are not known the error repeats them.

use crate::error::Error;
use crate::reference::Reference;

/// The most that is repeated of what somebody else said, in characters.
const MOST: usize = 300;

/// What somebody else said, as it may be shown: one line, without control characters, not long,
/// and without any of the secrets.
pub(crate) fn shown(said: &[u8], secrets: &[String]) -> String {
    let mut text = String::from_utf8_lossy(said).into_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "***");
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Hints are for somebody in front of a work tree.
    let lines = lines.filter(|line| !line.starts_with("hint:") && !line.starts_with("warning:"));
    let line = lines.collect::<Vec<_>>().join("; ");
    let plain: String =
        line.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }).collect();
    if plain.chars().count() > MOST {
        let cut: String = plain.chars().take(MOST).collect();
        return format!("{cut}…");
    }
    if plain.is_empty() { "it gave no reason".to_owned() } else { plain }
}

/// The error behind what git said while it talked to a server.
pub(crate) fn error(url: &str, reference: &Reference, said: String) -> Error {
    let url = url.to_owned();
    let lower = said.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "host key verification failed",
        "no matching host key",
        "remote host identification has changed",
    ]) {
        return Error::HostKey { url, said };
    }
    if has(&[
        "ssl certificate problem",
        "certificate verif",
        "ssl: no alternative certificate",
        "unable to get local issuer",
        "certificate subject name",
    ]) {
        return Error::Certificate { url, said };
    }
    if has(&[
        "redirect",
        "returned error: 301",
        "returned error: 302",
        "returned error: 303",
        "returned error: 307",
        "returned error: 308",
    ]) {
        return Error::Redirected { url, said };
    }
    if has(&[
        "not valid: is this a git repository",
        "not valid: could not determine hash algorithm",
        "invalid server response",
        "protocol error: bad line length",
    ]) {
        return Error::NotGit { url, said };
    }
    if has(&[
        "authentication failed",
        "could not read username",
        "could not read password",
        "permission denied",
        "returned error: 401",
        "returned error: 403",
        "too many authentication failures",
    ]) {
        return Error::Unauthorised { url, said };
    }
    if has(&[
        "not our ref",
        "unadvertised object",
        "couldn't find remote ref",
        "upload-pack: not our ref",
    ]) {
        return Error::ReferenceMissing { url, reference: reference.clone(), default_branch: None };
    }
    if has(&["died of signal 25", "file too large", "exceeds maximum", "pack exceeds"]) {
        let limit = "what a repository may take on disk".to_owned();
        return Error::TooLarge { url, what: "the repository", limit };
    }
    if has(&["fsck error", "badobject", "hasdot", "fullpathname"]) {
        return Error::Content { url, commit: reference.to_string(), reason: said };
    }
    // After the certificate: git ends many failures of ssh with "does not appear to be".
    if has(&[
        "repository not found",
        "returned error: 404",
        "not found",
        "does not appear to be a git repository",
        "no such file or directory",
        "dubious ownership",
    ]) {
        return Error::NoRepository { url, said };
    }
    if has(&[
        "early eof",
        "unexpected disconnect",
        "the remote end hung up",
        "invalid index-pack output",
        "index-pack failed",
        "rpc failed",
        "returned error: 5",
        "returned error: 429",
        "connection reset",
        "connection refused",
        "connection closed",
        "connection timed out",
        "failed to connect",
        "could not connect",
        "operation too slow",
        "transfer closed",
        "empty reply",
        "pack has bad object",
        "pack is corrupted",
        "inflate",
        "gnutls",
        "recv failure",
        "ssl_read",
        "kex_exchange",
        "bad packet",
        "expected packfile",
    ]) {
        return Error::Transfer { url, said };
    }
    Error::Failed { url, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_short_plain_and_without_secrets() {
        let said = b"remote: \x1b[31mtoken hunter2\x07 is bad\nhint: try harder\nfatal: no\n\n";
        let text = shown(said, &["hunter2".to_owned(), String::new()]);
        assert_eq!(text, "remote: \u{fffd}[31mtoken ***\u{fffd} is bad; fatal: no");
        assert_eq!(shown(b"\n hint: x", &[]), "it gave no reason");
        assert_eq!(shown(&[b'x'; 5000], &[]).chars().count(), MOST + 1);
        assert!(shown(&[0xff, 0xfe], &[]).contains('\u{fffd}'));
    }

    #[test]
    fn each_failure_is_told_apart() {
        for (said, code) in [
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                "GIT_UNAUTHORISED",
            ),
            ("git@x: Permission denied (publickey).", "GIT_UNAUTHORISED"),
            ("Host key verification failed.", "GIT_UNAUTHORISED"),
            (
                "fatal: unable to access 'https://x/': SSL certificate problem: self-signed",
                "GIT_UNAUTHORISED",
            ),
            (
                "fatal: unable to access 'https://x/': The requested URL returned error: 503",
                "GIT_UNAVAILABLE",
            ),
            (
                "fatal: unable to access 'https://x/': The requested URL returned error: 302",
                "GIT_UNAVAILABLE",
            ),
            ("fatal: https://x/info/refs not valid: is this a git repository?", "GIT_UNAVAILABLE"),
            ("fatal: early EOF; fatal: fetch-pack: invalid index-pack output", "GIT_UNAVAILABLE"),
            ("fatal: repository 'https://x/' not found", "GIT_NOT_FOUND"),
            ("fatal: remote error: upload-pack: not our ref 0123", "GIT_NOT_FOUND"),
            ("fatal: something new", "GIT_UNAVAILABLE"),
        ] {
            let error = error("https://x/", &Reference::Default, said.to_owned());
            assert_eq!(error.code(), code, "{said}");
            assert!(!error.hint().is_empty());
        }
    }
}
