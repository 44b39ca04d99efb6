//! What git is told, and that nothing else tells it anything: no configuration of the system or
//! of the user, no hooks, no filters, no prompts, no transport but the one that is wanted.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Variables of an environment.
pub(crate) type Variables = Vec<(OsString, OsString)>;

/// The environment of every program that is run.
pub(crate) fn strict(home: &Path, search_path: &OsStr) -> Variables {
    let fixed = [
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // Programs that would ask a person; `true` answers with nothing.
        ("GIT_ASKPASS", "true"),
        ("SSH_ASKPASS", "true"),
        ("SSH_ASKPASS_REQUIRE", "never"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_ADVICE", "0"),
        ("GIT_ALLOW_PROTOCOL", ""),
        ("GIT_PROTOCOL_FROM_USER", "0"),
    ];
    let mut variables: Variables =
        fixed.iter().map(|(name, value)| (name.into(), value.into())).collect();
    variables.push(("PATH".into(), search_path.to_owned()));
    variables.push(("HOME".into(), home.into()));
    variables.push(("XDG_CONFIG_HOME".into(), home.into()));
    // Nothing above this folder is looked at for a repository.
    variables.push(("GIT_CEILING_DIRECTORIES".into(), "/".into()));
    variables
}

/// Replaces a variable.
pub(crate) fn set(variables: &mut Variables, name: &str, value: impl Into<OsString>) {
    variables.retain(|(known, _)| known != name);
    variables.push((name.into(), value.into()));
}

/// The settings of git that hold for every command.
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("core.symlinks", "false"),
        ("core.attributesFile", "/dev/null"),
        ("core.excludesFile", "/dev/null"),
        ("core.sshCommand", "false"),
        ("credential.helper", ""),
        ("credential.useHttpPath", "false"),
        // What arrives is checked before it is used. Some of what old programs wrote is harmless.
        ("transfer.fsckObjects", "true"),
        ("fetch.fsckObjects", "true"),
        ("fetch.fsck.zeroPaddedFilemode", "warn"),
        ("fetch.fsck.missingSpaceBeforeDate", "warn"),
        ("fetch.fsck.missingEmail", "warn"),
        ("fetch.fsck.badTimezone", "warn"),
        ("fetch.recurseSubmodules", "false"),
        ("fetch.writeCommitGraph", "false"),
        ("fetch.unpackLimit", "1"),
        ("submodule.recurse", "false"),
        ("transfer.bundleURI", "false"),
        ("protocol.version", "2"),
        ("protocol.allow", "never"),
        ("protocol.ext.allow", "never"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        // One machine looks after many things; git may not take all of its processors.
        ("pack.threads", "1"),
        ("http.followRedirects", "false"),
        ("http.sslVerify", "true"),
        ("http.sslVersion", "tlsv1.2"),
        ("http.saveCookies", "false"),
        ("http.delegation", "none"),
        ("http.lowSpeedLimit", "200"),
        ("http.lowSpeedTime", "30"),
        ("http.userAgent", concat!("git/skep-", env!("CARGO_PKG_VERSION"))),
        ("filter.lfs.smudge", "false"),
        ("filter.lfs.process", ""),
        ("filter.lfs.required", "false"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect()
}

/// Settings as variables, so that no list of processes shows them.
pub(crate) fn as_variables(settings: &[(&str, String)]) -> Variables {
    let mut variables = vec![("GIT_CONFIG_COUNT".into(), settings.len().to_string().into())];
    for (index, (name, value)) in settings.iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}").into(), name.into()));
        variables.push((format!("GIT_CONFIG_VALUE_{index}").into(), value.into()));
    }
    variables
}

/// A word of a shell's command line that stands for exactly this text.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        for text in ["/tmp/a b", "it's", "$(touch /x)", "\"", "a\\", "';x;'"] {
            let script = format!("printf %s {}", shell_word(text));
            let output = std::process::Command::new("sh").args(["-c", &script]).output();
            assert_eq!(output.expect("a shell").stdout, text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn settings_are_counted() {
        let variables = as_variables(&[("a.b", "1".to_owned()), ("c.d", String::new())]);
        let expected = [
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "a.b"),
            ("GIT_CONFIG_VALUE_0", "1"),
            ("GIT_CONFIG_KEY_1", "c.d"),
            ("GIT_CONFIG_VALUE_1", ""),
        ];
        let expected: Variables = expected.iter().map(|(a, b)| (a.into(), b.into())).collect();
        assert_eq!(variables, expected);
    }
}
