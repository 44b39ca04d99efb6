//! Signatures of SSH, by `ssh-keygen -Y`.

use crate::commit::Stored;
use crate::said;
use crate::signature::{CheckError, Signature, SignatureProblem, Workshop};

/// What git signs commits for, so that a signature of a file is not one of a commit.
const NAMESPACE: &str = "git";

pub(super) async fn check(
    stored: &Stored,
    signature: &[u8],
    keys: &str,
    workshop: &Workshop<'_>,
) -> Result<Signature, CheckError> {
    let list = workshop.folder.join("allowed_signers");
    let file = workshop.folder.join("commit.sig");
    std::fs::write(&list, keys).map_err(CheckError::File)?;
    std::fs::write(&file, signature).map_err(CheckError::File)?;
    let (list, file) = (list.display().to_string(), file.display().to_string());
    // As git does: a key that was good when the commit was made stays good for it. Whoever does
    // not trust a key any more takes it off the list.
    let at = stored.commit.committer.at.strftime("%Y%m%d%H%M%SZ").to_string();
    let time = format!("-Overify-time={at}");
    let keygen = ("ssh-keygen", workshop.programs.ssh_keygen.as_os_str());
    let find = ["-Y", "find-principals", "-f", &list, "-s", &file, &time];
    let found = workshop.run(keygen, &find, Vec::new()).await?;
    let principals = String::from_utf8_lossy(&found.output).into_owned();
    let principals: Vec<_> = principals.lines().filter(|line| !line.is_empty()).collect();
    if !found.status.success() || principals.is_empty() {
        let said = said::shown(&found.said, &[]);
        // Also what ssh-keygen says about a list that it cannot read.
        let problem = if said.contains("invalid") || said.contains("bad options") {
            SignatureProblem::List(said)
        } else {
            SignatureProblem::Unlisted(said)
        };
        return Err(CheckError::Problem(problem));
    }
    let mut last = String::new();
    for principal in principals {
        let arguments =
            ["-Y", "verify", "-f", &list, "-I", principal, "-n", NAMESPACE, "-s", &file, &time];
        let verified = workshop.run(keygen, &arguments, stored.payload.clone()).await?;
        if verified.status.success() {
            let output = String::from_utf8_lossy(&verified.output);
            let key = output.split_whitespace().find(|word| word.starts_with("SHA256:"));
            let key = key.unwrap_or_default().to_owned();
            return Ok(Signature::Verified { signer: principal.to_owned(), key });
        }
        let why = [verified.output.as_slice(), b"\n", verified.said.as_slice()].concat();
        last = said::shown(&why, &[]);
    }
    Err(CheckError::Problem(SignatureProblem::Invalid(last)))
}
