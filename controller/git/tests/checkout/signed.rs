//! Only commits that listed keys have signed.

use std::process::Command;

use skep_git::{Category, Error, Signature, SignatureProblem, Signers, Source};

use crate::lab::{Lab, secret};

/// A key of SSH in the lab; gives its public half.
fn ssh_key(lab: &Lab, name: &str) -> String {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(lab.path(name));
    lab.run(keygen);
    std::fs::read_to_string(lab.path(name).with_extension("pub")).unwrap().trim().to_owned()
}

/// Signs every further commit with this key.
fn sign_with(lab: &Lab, format: &str, key: &str) {
    for (name, value) in
        [("gpg.format", format), ("user.signingKey", key), ("commit.gpgSign", "true")]
    {
        lab.git(&["config", name, value]);
    }
}

fn signed_by_ssh(lab: &Lab, list: &str) -> Source {
    let signers = Signers { ssh: Some(secret(list)), openpgp: None };
    Source { signers: Some(signers), ..lab.source() }
}

async fn problem(lab: &Lab, source: &Source) -> SignatureProblem {
    let error = lab.reader().read(source, None).await.unwrap_err();
    assert_eq!((error.code(), error.category()), ("GIT_SIGNATURE", Category::WaitForChange));
    assert!(!error.hint().is_empty());
    match error {
        Error::Signature { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_commit_counts_when_a_listed_key_of_ssh_signed_it() {
    let lab = Lab::new();
    let (ann, eve) = (ssh_key(&lab, "ann"), ssh_key(&lab, "eve"));
    let listed = signed_by_ssh(&lab, &format!("ann@example.com namespaces=\"git\" {ann}\n"));
    lab.push("a.yml", "unsigned");
    assert_eq!(problem(&lab, &listed).await, SignatureProblem::Unsigned);

    sign_with(&lab, "ssh", &lab.path("eve").display().to_string());
    lab.push("a.yml", "by eve");
    let unlisted = problem(&lab, &listed).await;
    assert!(matches!(unlisted, SignatureProblem::Unlisted(_)), "{unlisted}");

    sign_with(&lab, "ssh", &lab.path("ann").display().to_string());
    lab.push("a.yml", "by ann");
    let snapshot = lab.reader().read(&listed, None).await.unwrap();
    let Signature::Verified { signer, key } = snapshot.signature else { panic!("not verified") };
    assert_eq!(signer, "ann@example.com");
    assert!(key.starts_with("SHA256:"), "{key}");

    // Who is listed for files is not listed for commits, and who is not valid yet is not listed.
    for list in [
        format!("ann@example.com namespaces=\"file\" {ann}\n"),
        format!("ann@example.com valid-after=\"21000101\" {ann}\n"),
        format!("eve@example.com {eve}\n"),
        String::new(),
        "nonsense\n".to_owned(),
    ] {
        let problem = problem(&lab, &signed_by_ssh(&lab, &list)).await;
        assert!(!matches!(problem, SignatureProblem::Unsigned), "{list}: {problem}");
    }
    let only_openpgp = Signers { ssh: None, openpgp: Some(secret("")) };
    let source = Source { signers: Some(only_openpgp), ..lab.source() };
    assert!(matches!(problem(&lab, &source).await, SignatureProblem::Unlisted(_)));
}

/// The signature of one commit on another.
#[tokio::test]
async fn a_signature_does_not_fit_another_commit() {
    let lab = Lab::new();
    let ann = ssh_key(&lab, "ann");
    sign_with(&lab, "ssh", &lab.path("ann").display().to_string());
    lab.push("a.yml", "by ann");
    let commit = lab.git(&["cat-file", "commit", "HEAD"]);
    let forged = commit.replace("Write a.yml", "Write b.yml") + "\n";
    std::fs::write(lab.path("forged"), forged).unwrap();
    let file = lab.path("forged").display().to_string();
    let id = lab.git(&["hash-object", "-t", "commit", "-w", &file]);
    lab.git(&["push", "--quiet", "--force", "origin", &format!("{id}:refs/heads/main")]);
    let listed = signed_by_ssh(&lab, &format!("ann@example.com {ann}\n"));
    let problem = problem(&lab, &listed).await;
    assert!(matches!(problem, SignatureProblem::Invalid(_)), "{problem}");
}

/// Ends the agent that gpg starts to make signatures.
struct Agent<'a>(&'a Lab);

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let mut kill = Command::new("gpgconf");
        kill.args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.0.path("gnupg"));
        let _ = kill.output();
    }
}

fn openpgp_key(lab: &Lab, address: &str) -> String {
    let gpg = |arguments: &[&str]| {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--passphrase", ""]).args(arguments);
        lab.run(gpg)
    };
    gpg(&["--quick-generate-key", address, "ed25519", "sign", "never"]);
    gpg(&["--armor", "--export", address])
}

#[tokio::test]
async fn a_commit_counts_when_a_listed_key_of_openpgp_signed_it() {
    let lab = Lab::new();
    let home = lab.path("gnupg");
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&home).unwrap();
    let _agent = Agent(&lab);
    let (ann, eve) = (openpgp_key(&lab, "ann@example.com"), openpgp_key(&lab, "eve@example.com"));
    sign_with(&lab, "openpgp", "ann@example.com");
    lab.push("a.yml", "by ann");
    let source = |keys: &str| {
        let signers = Signers { ssh: None, openpgp: Some(secret(keys)) };
        Source { signers: Some(signers), ..lab.source() }
    };
    for keys in [ann.clone(), format!("{ann}\n{eve}")] {
        let snapshot = lab.reader().read(&source(&keys), None).await.unwrap();
        let Signature::Verified { signer, key } = snapshot.signature else { panic!("no") };
        assert!(signer.contains("ann@example.com"), "{signer}");
        assert_eq!(key.len(), 40, "{key}");
    }
    let unlisted = problem(&lab, &source(&eve)).await;
    assert!(matches!(unlisted, SignatureProblem::Unlisted(_)), "{unlisted}");
    let list = problem(&lab, &source("nonsense")).await;
    assert!(matches!(list, SignatureProblem::List(_)), "{list}");
}
