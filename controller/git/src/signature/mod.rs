//! Whose signature a commit carries: checked by `ssh-keygen` and `gpg`, against the listed keys
//! and nothing else on this machine.

mod openpgp;
mod ssh;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skep_core::ports::SecretSource;

use crate::commit::Stored;
use crate::environment::Variables;
use crate::program::{Ended, Run, Trouble};
use crate::programs::Programs;

/// The most that a program of a check has to say.
const OUTPUT: u64 = 256 << 10;

/// Whose commits are taken.
#[derive(Clone, Default)]
pub struct Signers {
    /// Keys of SSH, as in the file `allowed_signers` of ssh-keygen(1).
    pub ssh: Option<Arc<dyn SecretSource>>,
    /// Public keys of OpenPGP, as `gpg --export --armor` writes them.
    pub openpgp: Option<Arc<dyn SecretSource>>,
}

impl std::fmt::Debug for Signers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ssh, openpgp } = self;
        write!(f, "Signers(ssh: {}, openpgp: {})", ssh.is_some(), openpgp.is_some())
    }
}

/// Whose signature a commit carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Nobody asked.
    NotChecked,
    /// One of the listed keys made it.
    Verified {
        /// Who, as the list of keys says.
        signer: String,
        /// The key's fingerprint.
        key: String,
    },
}

/// Why a signature is not enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// There is none.
    #[error("it is not signed")]
    Unsigned,
    /// The key is not on the list, or not of a kind of which keys are listed.
    #[error("it is signed with a key that is not listed ({0})")]
    Unlisted(String),
    /// The signature does not fit the commit, or the key has expired or was revoked.
    #[error("its signature is not valid ({0})")]
    Invalid(String),
    /// The list of keys cannot be used.
    #[error("the list of keys cannot be used ({0})")]
    List(String),
}

impl SignatureProblem {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unsigned => "sign it: git commit --amend --gpg-sign".to_owned(),
            Self::Unlisted(_) => {
                "add the key to the signers of this source, if it is meant".to_owned()
            }
            Self::Invalid(_) => "look at it: git verify-commit COMMIT".to_owned(),
            Self::List(_) => {
                "write it as allowed_signers of ssh-keygen(1), or as gpg --export --armor writes it"
                    .to_owned()
            }
        }
    }
}

/// What a check works with.
pub(crate) struct Workshop<'a> {
    /// A folder of this run that nobody else can read.
    pub(crate) folder: &'a Path,
    pub(crate) programs: &'a Programs,
    pub(crate) environment: &'a Variables,
    pub(crate) within: Duration,
}

impl Workshop<'_> {
    /// Runs a program of a check to its end; `name` is what an error calls it.
    async fn run(
        &self,
        (name, program): (&'static str, &OsStr),
        arguments: &[&str],
        input: Vec<u8>,
    ) -> Result<Ended, CheckError> {
        let run = Run {
            program,
            arguments: arguments.iter().map(Into::into).collect(),
            environment: self.environment,
            input,
            most_output: OUTPUT,
            within: self.within,
            fills: None,
        };
        run.ended().await.map_err(|trouble| CheckError::Run(name, trouble))
    }
}

/// Why a check gave no answer.
#[derive(Debug)]
pub(crate) enum CheckError {
    /// The answer is no.
    Problem(SignatureProblem),
    /// A program could not be run.
    Run(&'static str, Trouble),
    /// A file could not be written.
    File(std::io::Error),
}

/// How signatures of SSH begin.
const SSH: &[u8] = b"-----BEGIN SSH SIGNATURE-----";
/// How those of OpenPGP begin.
const OPENPGP: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// Checks the signature of a commit against lists of keys.
pub(crate) async fn check(
    stored: &Stored,
    ssh_keys: Option<&str>,
    openpgp_keys: Option<&str>,
    workshop: &Workshop<'_>,
) -> Result<Signature, CheckError> {
    let problem = |problem| Err(CheckError::Problem(problem));
    let Some(signature) = &stored.signature else { return problem(SignatureProblem::Unsigned) };
    let unlisted =
        |kind: &str| problem(SignatureProblem::Unlisted(format!("no {kind} keys are listed")));
    if signature.starts_with(SSH) {
        let Some(keys) = ssh_keys else { return unlisted("SSH") };
        return ssh::check(stored, signature, keys, workshop).await;
    }
    if signature.starts_with(OPENPGP) {
        let Some(keys) = openpgp_keys else { return unlisted("OpenPGP") };
        return openpgp::check(stored, signature, keys, workshop).await;
    }
    problem(SignatureProblem::Invalid("neither of SSH nor of OpenPGP".to_owned()))
}
