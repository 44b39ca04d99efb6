//! Running a program of somebody else: with nothing of our environment, for a limited time, with
//! limited output, and with all of its descendants ended when nobody waits any more.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// What is run.
pub(crate) struct Run<'a> {
    pub(crate) program: &'a OsStr,
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// What it reads.
    pub(crate) input: Vec<u8>,
    /// The most that is read of its output, in bytes.
    pub(crate) most_output: u64,
    /// How long it may take.
    pub(crate) within: Duration,
    /// A folder that it fills, and how full that may get, in bytes.
    pub(crate) fills: Option<(&'a Path, u64)>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    /// The beginning of what it said on stderr.
    pub(crate) said: Vec<u8>,
}

/// Why nothing came of it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It cannot be started, or the pipes to it broke.
    Start(std::io::Error),
    /// It took longer than it may.
    TimedOut,
    /// Its output is longer than it may be.
    TooMuchOutput,
    /// The folder got fuller than it may.
    TooFull,
}

/// The most that is kept of stderr: the reason is at its beginning or repeats.
const SAID_BYTES: usize = 16 << 10;
/// How often the folder is measured: a second's worth of a fast network is not much above a limit.
const MEASURE_EVERY: Duration = Duration::from_millis(200);
/// The address space of each program. git maps what it has received, which is far below this.
const MEMORY_BYTES: u64 = 8 << 30;
/// Processor time of each program, in seconds: what decompresses for ever is ended.
const PROCESSOR_SECONDS: u64 = 600;

/// The processes of one run. Killed when this is dropped before it is told that they ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Its leader has not been waited for yet, so the id cannot be somebody else's.
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Run<'_> {
    /// Runs it to its end.
    ///
    /// Dropping the future ends it and its descendants.
    pub(crate) async fn ended(self) -> Result<Ended, Trouble> {
        let mut child = Command::new(self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // Anywhere that is neither a repository nor going away.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Trouble::Start)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut group = Group(pid);
        restrict(pid, self.fills.map(|(_, most)| most));
        let finished = tokio::select! {
            finished = exchange(&mut child, self.input, self.most_output) => finished,
            () = tokio::time::sleep(self.within) => Err(Trouble::TimedOut),
            () = filled(self.fills) => Err(Trouble::TooFull),
        };
        let (output, said) = finished?;
        let status = child.wait().await.map_err(Trouble::Start)?;
        group.0 = None;
        // It may have been quicker than the measure, or been stopped at the limit of one file.
        if let Some((folder, most)) = self.fills
            && size(folder.to_owned()).await >= most
        {
            return Err(Trouble::TooFull);
        }
        Ok(Ended { status, output, said })
    }
}

/// Bounds what the program and what it starts may use. What cannot be bounded is measured.
fn restrict(pid: Option<Pid>, most_file: Option<u64>) {
    let Some(pid) = pid else { return };
    let limit = |resource, most: u64| {
        let most = Rlimit { current: Some(most), maximum: Some(most) };
        // Refused only where the limits are lower already.
        let _lower_already = prlimit(Some(pid), resource, most);
    };
    limit(Resource::Core, 0);
    limit(Resource::As, MEMORY_BYTES);
    limit(Resource::Cpu, PROCESSOR_SECONDS);
    if let Some(most) = most_file {
        limit(Resource::Fsize, most);
    }
}

/// Feeds it and reads both of its outputs to their ends.
async fn exchange(
    child: &mut Child,
    input: Vec<u8>,
    most_output: u64,
) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // One that ends without listening closes its end early.
            let _closed = stdin.write_all(&input).await;
        }
        Ok(())
    };
    let output = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            let mut stdout = stdout.take(most_output.saturating_add(1));
            stdout.read_to_end(&mut output).await.map_err(Trouble::Start)?;
        }
        let length = u64::try_from(output.len()).unwrap_or(u64::MAX);
        if length > most_output { Err(Trouble::TooMuchOutput) } else { Ok(output) }
    };
    let said = async {
        let Some(stderr) = stderr else { return Ok(Vec::new()) };
        beginning(stderr).await.map_err(Trouble::Start)
    };
    let ((), output, said) = tokio::try_join!(feed, output, said)?;
    Ok((output, said))
}

/// The beginning of a stream that is read to its end, so that nobody waits to be read.
async fn beginning(mut stream: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = [0_u8; 4 << 10];
    loop {
        let count = stream.read(&mut chunk).await?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(kept);
        };
        let room = SAID_BYTES.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }
}

/// Returns when the folder is fuller than it may be.
async fn filled(fills: Option<(&Path, u64)>) {
    let Some((folder, most)) = fills else { return std::future::pending().await };
    loop {
        tokio::time::sleep(MEASURE_EVERY).await;
        if size(folder.to_owned()).await > most {
            return;
        }
    }
}

/// The bytes of all files below a folder. What vanishes meanwhile counts for nothing.
pub(crate) async fn size(folder: PathBuf) -> u64 {
    tokio::task::spawn_blocking(move || size_of(&folder)).await.unwrap_or_default()
}

fn size_of(folder: &Path) -> u64 {
    let mut total = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                total = total.saturating_add(metadata.len());
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Variables;

    async fn shell<'a>(script: &str, change: impl FnOnce(&mut Run<'a>)) -> Result<Ended, Trouble> {
        // For as long as the test runs: what is run borrows it.
        let path = std::env::var_os("PATH").expect("a path");
        let environment: &'static Variables = Box::leak(Box::new(vec![("PATH".into(), path)]));
        let mut run = Run {
            program: OsStr::new("sh"),
            arguments: vec!["-c".into(), script.into()],
            environment,
            input: Vec::new(),
            most_output: 100_000,
            within: Duration::from_secs(60),
            fills: None,
        };
        change(&mut run);
        run.ended().await
    }

    #[tokio::test]
    async fn it_is_fed_and_heard() {
        let ended = shell("cat; echo why >&2; exit 3", |run| run.input = b"in".to_vec()).await;
        let ended = ended.expect("run");
        assert_eq!((ended.output.as_slice(), ended.said.as_slice()), (&b"in"[..], &b"why\n"[..]));
        assert_eq!(ended.status.code(), Some(3));
        // More than any pipe holds, on both sides at once.
        let ended = shell("cat; yes | head -c 300000 >&2", |run| {
            run.input = vec![b'x'; 90_000];
        });
        let ended = ended.await.expect("run");
        assert_eq!((ended.output.len(), ended.said.len()), (90_000, SAID_BYTES));
    }

    #[tokio::test]
    async fn nothing_of_our_environment_reaches_it() {
        let ended = shell("env", |_| {}).await.expect("run");
        let text = String::from_utf8(ended.output).expect("text");
        for line in text.lines() {
            let name = line.split('=').next().unwrap_or_default();
            assert!(["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(&name), "{line}");
        }
    }

    #[tokio::test]
    async fn too_much_output_and_too_much_time_end_it() {
        let much = shell("yes", |run| run.most_output = 1000).await;
        assert!(matches!(much, Err(Trouble::TooMuchOutput)), "{much:?}");
        let long = shell("sleep 600", |run| run.within = Duration::from_millis(50)).await;
        assert!(matches!(long, Err(Trouble::TimedOut)), "{long:?}");
        let missing = Run {
            program: OsStr::new("no-such-program-anywhere"),
            arguments: Vec::new(),
            environment: &[],
            input: Vec::new(),
            most_output: 1,
            within: Duration::from_secs(60),
            fills: None,
        };
        assert!(matches!(missing.ended().await, Err(Trouble::Start(_))));
    }

    #[tokio::test]
    async fn a_folder_that_gets_too_full_ends_it() {
        let folder = tempfile::tempdir().expect("a folder");
        // Many files: a single one is also bounded by the system.
        let script = format!(
            "cd {}; while :; do i=$((i+1)); head -c 10000 /dev/zero > f$i; sleep 0.01; done",
            folder.path().display()
        );
        let full = shell(&script, |run| run.fills = Some((folder.path(), 50_000))).await;
        assert!(matches!(full, Err(Trouble::TooFull)), "{full:?}");
    }

    /// A descendant that ignores its parent's end still ends with the group.
    #[tokio::test]
    async fn descendants_end_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("sh -c 'echo $$ > {}; exec sleep 600' & wait", file.display());
        let long = shell(&script, |run| run.within = Duration::from_secs(1)).await;
        assert!(matches!(long, Err(Trouble::TimedOut)), "{long:?}");
        let pid = std::fs::read_to_string(&file).expect("a process").trim().to_owned();
        let stat = format!("/proc/{pid}/stat");
        let ended = || match std::fs::read_to_string(&stat) {
            Ok(text) => text.contains(") Z "),
            Err(_) => true,
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !ended() {
            assert!(std::time::Instant::now() < deadline, "{pid} still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
