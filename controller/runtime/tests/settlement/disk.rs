//! A disk without room: nothing reaches the engine that is not on record first.
//!
//! The disk is a real one, of a megabyte, in a mount namespace of its own; it is gone with the
//! process.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use skep_store_sqlite::{OpenOptions, SqliteStore};

use super::*;

const DISK: &str = "SKEP_TEST_DISK";

/// The small disk, in the child; runs the test as a child on such a disk otherwise.
fn small_disk(test: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(DISK) {
        return Some(PathBuf::from(path));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut unshare = Command::new("unshare");
    if !is_root() {
        // Whoever is not root is, in a user namespace of their own.
        unshare.args(["--user", "--map-root-user"]);
    }
    const MOUNT: &str = r#"mount -t tmpfs -o size=1m none "$1" && shift && exec "$@""#;
    unshare.args(["--mount", "sh", "-c", MOUNT, "sh"]).arg(folder.path());
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = unshare.env(DISK, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && ran.contains("1 passed"), "{ran}\n{said}");
    None
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Fills the disk but for so many bytes.
fn fill(disk: &Path, room: usize) -> PathBuf {
    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(room as u64)).unwrap();
    ballast
}

#[tokio::test]
async fn nothing_starts_while_the_disk_is_full() {
    let Some(disk) = small_disk("disk::nothing_starts_while_the_disk_is_full") else { return };
    let open = async || {
        let options = OpenOptions::new(protection()).creating();
        SqliteStore::open(disk.join("skep.db"), options).await
    };
    let mut world = World::new().await;
    world.store = open().await.unwrap();
    world.pass().await;
    world.approve().await;
    let mut refused = 0;
    // From no room at all to enough: wherever in the pass the disk is full.
    for room in (0..60).map(|pages| pages * 4096) {
        // Folded into the file, so that the log needs room again.
        world.store.close().await;
        let ballast = fill(&disk, room);
        match open().await {
            Ok(store) => {
                world.store = store;
                refused += u32::from(!world.try_once().await);
                world.store.close().await;
            }
            Err(_) => refused += 1,
        }
        std::fs::remove_file(ballast).unwrap();
        world.store = open().await.unwrap();
        let (states, detail) = world.states().await;
        assert!(
            world.swarm.effects() == 0
                || !matches!(states[0], ActionState::Granted | ActionState::Pending),
            "room for {room} bytes: the engine was written to without a record: {states:?} {detail}"
        );
        if world.swarm.effects() > 0 {
            break;
        }
    }
    assert!(refused > 0, "the disk was never full");
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1, "exactly one, once there is room");
}

impl World {
    /// One pass; false when it failed. It waits for the lease of one that could not give it back.
    async fn try_once(&self) -> bool {
        loop {
            match self.process().reconcile_once(&CancellationToken::new()).await {
                Err(skep_runtime::Error::LeaseHeld { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                report => return report.is_ok(),
            }
        }
    }
}
