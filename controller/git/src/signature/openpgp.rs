//! Signatures of OpenPGP, by `gpg` with a key ring that holds the listed keys and nothing else.

use std::os::unix::fs::DirBuilderExt as _;

use crate::commit::Stored;
use crate::said;
use crate::signature::{CheckError, Signature, SignatureProblem, Workshop};

pub(super) async fn check(
    stored: &Stored,
    signature: &[u8],
    keys: &str,
    workshop: &Workshop<'_>,
) -> Result<Signature, CheckError> {
    let home = workshop.folder.join("gnupg");
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&home);
    made.map_err(CheckError::File)?;
    let file = workshop.folder.join("commit.asc");
    std::fs::write(&file, signature).map_err(CheckError::File)?;
    let (home, file) = (home.display().to_string(), file.display().to_string());
    let always = ["--homedir", &home, "--batch", "--no-options", "--no-tty", "--status-fd", "1"];
    // Without an agent and without asking anybody for keys.
    let offline = ["--no-autostart", "--no-auto-key-locate", "--no-auto-key-retrieve"];
    let start: Vec<&str> = always.into_iter().chain(offline).collect();
    let import = [start.as_slice(), &["--import"]].concat();
    let gpg = ("gpg", workshop.programs.gpg.as_os_str());
    let imported = workshop.run(gpg, &import, keys.as_bytes().to_vec()).await?;
    if !imported.status.success() {
        let said = said::shown(&imported.said, &[]);
        return Err(CheckError::Problem(SignatureProblem::List(said)));
    }
    let verify =
        [start.as_slice(), &["--trust-model", "always", "--verify", "--", &file, "-"]].concat();
    let verified = workshop.run(gpg, &verify, stored.payload.clone()).await?;
    judge(&String::from_utf8_lossy(&verified.output), verified.status.success())
        .map_err(CheckError::Problem)
}

/// What the status lines mean. Exactly one good signature of a key that holds now counts.
fn judge(status: &str, has_succeeded: bool) -> Result<Signature, SignatureProblem> {
    let lines = || status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let of = |word: &str| {
        let mut found = lines().filter_map(|line| {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            (first == word).then(|| rest.to_owned())
        });
        let first = found.next();
        if found.next().is_some() { None } else { first }
    };
    let shown = |rest: &str| said::shown(rest.as_bytes(), &[]);
    for (word, why) in [
        ("BADSIG", "it does not fit the commit"),
        ("EXPSIG", "the signature has expired"),
        ("EXPKEYSIG", "the key has expired"),
        ("REVKEYSIG", "the key was revoked"),
    ] {
        if lines().any(|line| line.split(' ').next() == Some(word)) {
            let who = of(word).unwrap_or_default();
            return Err(SignatureProblem::Invalid(format!("{why}: {}", shown(&who))));
        }
    }
    if let Some(missing) = of("NO_PUBKEY") {
        return Err(SignatureProblem::Unlisted(shown(&missing)));
    }
    let (good, valid) = (of("GOODSIG"), of("VALIDSIG"));
    let (Some(good), Some(valid), true) = (good, valid, has_succeeded) else {
        return Err(SignatureProblem::Invalid("gpg does not accept it".to_owned()));
    };
    // VALIDSIG ends with the fingerprint of the primary key, which is what people compare.
    let key = valid.split_whitespace().last().unwrap_or_default().to_owned();
    let signer = good.split_once(' ').map_or(good.as_str(), |(_, who)| who);
    Ok(Signature::Verified { signer: shown(signer), key })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123 Ann <ann@example.com>\n\
                        [GNUPG:] VALIDSIG AAAA 2026-01-01 1 0 4 0 22 8 00 BBBB\n";

    #[test]
    fn one_good_signature_counts() {
        let verified = judge(GOOD, true).expect("good");
        let expected = Signature::Verified {
            signer: "Ann <ann@example.com>".to_owned(),
            key: "BBBB".to_owned(),
        };
        assert_eq!(verified, expected);
    }

    #[test]
    fn anything_else_does_not() {
        for status in [
            String::new(),
            format!("{GOOD}{GOOD}"),
            format!("{GOOD}[GNUPG:] BADSIG 0123 Eve\n"),
            GOOD.replace("GOODSIG", "EXPKEYSIG"),
            GOOD.replace("GOODSIG", "REVKEYSIG"),
            GOOD.replace("GOODSIG", "EXPSIG"),
            GOOD.replace("VALIDSIG", "XSIG"),
            "[GNUPG:] NO_PUBKEY 0123\n".to_owned(),
            "GOODSIG 0123 Ann\nVALIDSIG AAAA\n".to_owned(),
        ] {
            assert!(judge(&status, true).is_err(), "{status}");
        }
        assert!(judge(GOOD, false).is_err());
        let unlisted = judge("[GNUPG:] NO_PUBKEY 0123\n", false);
        assert!(matches!(unlisted, Err(SignatureProblem::Unlisted(_))), "{unlisted:?}");
    }
}
