//! Installing the distribution's own packages when a part of the rig is missing.
//!
//! Only what is missing, only after naming it, and never with a service that
//! starts: the rig runs private copies, and the machine's owner decides about
//! the distribution's service.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::command::{self, find_program, is_root, isolated};
use crate::{Error, postgres};

/// Whether the rig may install packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Install what is missing (as root; otherwise say how).
    Allowed,
    /// Never install; say how.
    Forbidden,
}

/// Something that the rig runs and how Debian and its descendants name it.
#[derive(Debug, Clone, Copy)]
struct Requirement {
    program: &'static str,
    package: &'static str,
}

/// `iptables` comes with the engine's package but is only recommended by some
/// of its versions; `ip` brings up the loopback of the engine's namespace.
const ENGINE: [Requirement; 4] = [
    Requirement { program: "dockerd", package: "docker.io" },
    Requirement { program: "docker", package: "docker-cli" },
    Requirement { program: "ip", package: "iproute2" },
    Requirement { program: "iptables", package: "iptables" },
];

/// What the tests of repositories run: git's own programs, a server of SSH, and both ways to sign.
const GIT: [Requirement; 5] = [
    Requirement { program: "git", package: "git" },
    Requirement { program: "ssh", package: "openssh-client" },
    Requirement { program: "ssh-keygen", package: "openssh-client" },
    Requirement { program: "sshd", package: "openssh-server" },
    Requirement { program: "gpg", package: "gnupg" },
];

const REGISTRY: Requirement =
    Requirement { program: "docker-registry", package: "docker-registry" };

const POOLER: Requirement = Requirement { program: "pgbouncer", package: "pgbouncer" };

/// Services of those packages that must not be enabled by their installation.
const SERVICES: [(&str, &str); 7] = [
    ("pgbouncer", "pgbouncer.service"),
    ("dockerd", "docker.service"),
    ("dockerd", "docker.socket"),
    ("containerd", "containerd.service"),
    ("docker-registry", "docker-registry.service"),
    ("sshd", "ssh.service"),
    ("sshd", "ssh.socket"),
];

/// What the installation did, for a closing message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The packages that were installed now; empty when nothing was missing.
    pub packages: Vec<String>,
}

/// Makes the engine's programs available. `say` is told what is installed
/// before it is.
///
/// # Errors
/// [`Error::Missing`] with the exact command when it is forbidden, when there
/// is no apt or no root; [`Error::Failed`] when apt fails.
pub fn engine(permission: Permission, say: &mut dyn FnMut(&str)) -> Result<Installed, Error> {
    // An engine of whatever origin (distribution, docker.com, by hand) is used
    // as it is; so is its command line.
    let missing: Vec<_> =
        ENGINE.into_iter().filter(|need| find_program(need.program).is_none()).collect();
    // Older releases ship the command line inside docker.io itself.
    let packages = missing
        .iter()
        .filter(|need| need.program != "docker" || package_exists(need.package))
        .map(|need| need.package)
        .collect::<Vec<_>>();
    let programs = missing.iter().map(|need| need.program).collect::<Vec<_>>();
    install(&programs, &packages, permission, say)
}

/// Makes the Postgres server programs available, without a cluster of the
/// distribution's own.
///
/// # Errors
/// As [`engine`].
pub fn postgres(permission: Permission, say: &mut dyn FnMut(&str)) -> Result<Installed, Error> {
    if postgres::find_binaries().is_some() {
        return Ok(Installed::default());
    }
    let settings = Path::new("/etc/postgresql-common/createcluster.d");
    let setting = settings.join("skep-testkit.conf");
    if permission == Permission::Allowed && is_root() {
        fs::create_dir_all(settings).map_err(Error::file("create", settings))?;
        fs::write(&setting, "create_main_cluster = false\n")
            .map_err(Error::file("write", &setting))?;
    }
    let result = install(&["postgres"], &["postgresql"], permission, say);
    let _absent_when_nothing_was_written = fs::remove_file(&setting);
    result
}

/// Makes the connection pooler available, without the distribution's own one.
///
/// # Errors
/// As [`engine`].
pub fn pooler(permission: Permission, say: &mut dyn FnMut(&str)) -> Result<Installed, Error> {
    match find_program(POOLER.program) {
        Some(_) => Ok(Installed::default()),
        None => install(&[POOLER.program], &[POOLER.package], permission, say),
    }
}

/// Makes the image registry available, without the distribution's own one.
///
/// # Errors
/// As [`engine`].
pub fn registry(permission: Permission, say: &mut dyn FnMut(&str)) -> Result<Installed, Error> {
    match find_program(REGISTRY.program) {
        Some(_) => Ok(Installed::default()),
        None => install(&[REGISTRY.program], &[REGISTRY.package], permission, say),
    }
}

/// Makes git and what it works with available, without a running server of SSH.
///
/// # Errors
/// As [`engine`].
pub fn git(permission: Permission, say: &mut dyn FnMut(&str)) -> Result<Installed, Error> {
    let missing: Vec<_> =
        GIT.into_iter().filter(|need| find_program(need.program).is_none()).collect();
    let mut packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    let programs: Vec<_> = missing.iter().map(|need| need.program).collect();
    install(&programs, &packages, permission, say)
}

fn install(
    programs: &[&str],
    packages: &[&str],
    permission: Permission,
    say: &mut dyn FnMut(&str),
) -> Result<Installed, Error> {
    if programs.is_empty() {
        return Ok(Installed::default());
    }
    let arguments = ["install", "--yes", "--no-install-recommends"];
    let line = format!("apt-get {} {}", arguments.join(" "), packages.join(" "));
    if permission == Permission::Forbidden || !is_root() || find_program("apt-get").is_none() {
        return Err(Error::Missing {
            programs: programs.iter().map(|program| (*program).to_owned()).collect(),
            command: if is_root() { line } else { format!("sudo {line}") },
        });
    }
    say(&format!("installing {} ({line}), with their services off", packages.join(", ")));
    let newly_installed: Vec<_> = SERVICES
        .into_iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(_, service)| service)
        .collect();
    let _no_service_starts = ServicesOff::new(Path::new("/usr/sbin/policy-rc.d"))?;
    let apt = |arguments: &[&str]| {
        let mut apt = isolated("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::piped());
        command::output(&mut apt)
    };
    let full: Vec<_> = arguments.iter().chain(packages).copied().collect();
    // The package lists of a fresh or an old machine may name files that are
    // not there any more; refresh them only when that has shown.
    if apt(&full).is_err() {
        apt(&["update"])?;
        apt(&full)?;
    }
    if find_program("systemctl").is_some() {
        for service in newly_installed {
            // Not every release has every unit; what is absent is not enabled.
            let _absent = command::output(isolated("systemctl").args(["disable", service]));
        }
    }
    Ok(Installed { packages: packages.iter().map(|package| (*package).to_owned()).collect() })
}

fn package_exists(package: &str) -> bool {
    command::output(isolated("apt-cache").args(["show", "--no-all-versions", package])).is_ok()
}

/// Tells our policy, also one that a killed run left, from the owner's.
const OUR_POLICY: &str =
    "#!/bin/sh\n# written by Skep's test rig for the time of one apt-get\nexit 101\n";

/// While this lives, Debian's `invoke-rc.d` starts nothing. A policy that the
/// machine already has is left alone: it is its owner's decision.
struct ServicesOff {
    written: Option<PathBuf>,
}

impl ServicesOff {
    fn new(policy: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        match options.open(policy) {
            Ok(mut file) => {
                let guard = Self { written: Some(policy.to_owned()) };
                file.write_all(OUR_POLICY.as_bytes())
                    .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o755)))
                    .map_err(Error::file("write", policy))?;
                Ok(guard)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let ours = fs::read_to_string(policy).is_ok_and(|found| found == OUR_POLICY);
                Ok(Self { written: ours.then(|| policy.to_owned()) })
            }
            Err(error) => Err(Error::file("create", policy)(error)),
        }
    }
}

impl Drop for ServicesOff {
    fn drop(&mut self) {
        if let Some(policy) = &self.written {
            let _gone_already = fs::remove_file(policy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_written_for_the_time_of_the_installation_only() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        let guard = ServicesOff::new(&policy).unwrap();
        let status = std::process::Command::new("sh").arg(&policy).status().unwrap();
        assert_eq!(status.code(), Some(101));
        assert_eq!(fs::metadata(&policy).unwrap().permissions().mode() & 0o777, 0o755);
        // A run that is killed here leaves the policy; the next one takes it over.
        std::mem::forget(guard);
        drop(ServicesOff::new(&policy).unwrap());
        assert!(!policy.exists());
    }

    #[test]
    fn a_policy_that_was_there_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        fs::write(&policy, "the owner's").unwrap();
        drop(ServicesOff::new(&policy).unwrap());
        assert_eq!(fs::read_to_string(&policy).unwrap(), "the owner's");
    }

    #[test]
    fn without_permission_the_exact_command_is_named() {
        let mut said = Vec::new();
        let error = install(&["dockerd"], &["docker.io"], Permission::Forbidden, &mut |line| {
            said.push(line.to_owned());
        })
        .unwrap_err();
        let message = error.to_string();
        assert!(message.contains("apt-get install --yes --no-install-recommends docker.io"));
        assert!(said.is_empty());
    }
}
