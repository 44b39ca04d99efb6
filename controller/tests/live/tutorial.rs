//! The tutorial about git, typed as it stands: each command of the page in one shell, and below it
//! what the page says comes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Fleet, PATIENCE};

const PAGE: &str = include_str!("../../../docs/tutorial-gitops.md");

/// What the page says to type, and what it says comes of the last of it.
#[derive(Debug, Default)]
struct Block {
    commands: Vec<String>,
    expected: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence = None;
    for line in page.lines() {
        match (fence, line.strip_prefix("```")) {
            (None, Some(language)) => {
                fence = Some(language);
                if language == "console" {
                    blocks.push(Block::default());
                }
            }
            (Some(_), Some(_)) => fence = None,
            (Some("console"), None) => {
                let commands = &mut blocks.last_mut().unwrap().commands;
                match line.strip_prefix("$ ") {
                    Some(command) => commands.push(command.to_owned()),
                    // The rest of a document, or of a command.
                    None => commands.last_mut().unwrap().push_str(&format!("\n{line}")),
                }
            }
            (Some("text"), None) => blocks.last_mut().unwrap().expected.push(line.to_owned()),
            _ => {}
        }
    }
    blocks
}

/// A shell that somebody types into.
struct Shell {
    child: Child,
    typed: ChildStdin,
    shown: BufReader<ChildStdout>,
    count: usize,
}

impl Shell {
    fn new(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let typed = child.stdin.take().unwrap();
        let shown = BufReader::new(child.stdout.take().unwrap());
        let mut shell = Self { child, typed, shown, count: 0 };
        // Job control as in a terminal, and errors where the rest is.
        let (shown, worked) = shell.run("exec 2>&1; set -m");
        assert!(worked, "{shown}");
        shell
    }

    /// What it shows, and whether it worked.
    fn run(&mut self, command: &str) -> (String, bool) {
        self.count += 1;
        let mark = format!("--- {} ", self.count);
        writeln!(self.typed, "{command}\necho \"{mark}$?\"").unwrap();
        let mut shown = String::new();
        loop {
            let mut line = String::new();
            let read = self.shown.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the shell ended: {shown}");
            if let Some((before, status)) = line.split_once(&mark) {
                return (shown + before, status.trim() == "0");
            }
            shown.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether each expected line comes, in this order; `…` stands for anything.
fn fits(shown: &str, expected: &[String]) -> Result<(), String> {
    let mut lines = shown.lines();
    for line in expected {
        let parts: Vec<String> = line.split('…').map(words).collect();
        let is_there = |shown: &str| {
            let shown = words(shown);
            let mut rest = Some(shown.as_str());
            for part in &parts {
                rest = rest.and_then(|rest| Some(rest.split_once(part.as_str())?.1));
            }
            rest.is_some()
        };
        if !lines.any(is_there) {
            return Err(format!("{line:?} does not come in\n{shown}"));
        }
    }
    Ok(())
}

/// Columns are as wide as what stands in them.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ends what the page leaves behind when a test fails half-way.
struct CleanUp<'a>(&'a Fleet, &'a Path);

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.1) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
        let _ = self.0.engine.docker(&["stack", "rm", "shop"]);
    }
}

#[test]
fn the_tutorial_about_git_does_what_it_says() {
    let fleet = Fleet::new("tutorial");
    for (ours, theirs) in [("skep-test/mcp:1", "nginx:1.27"), ("skep-test/mcp:2", "nginx:1.28")] {
        fleet.engine.docker(&["tag", ours, theirs]).unwrap();
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (home, pid) = (fleet.path("home"), fleet.path("serve.pid"));
    std::fs::create_dir(&home).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_skep")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([program.to_owned()].into_iter().chain(std::env::split_paths(&path)));
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc"])
        .env_clear()
        .env("PATH", path.unwrap())
        .env("HOME", &home)
        .env("USER", "ada")
        .env("DOCKER_HOST", fleet.proxy.host())
        .env("FLEET_NAME", &fleet.name)
        .env("FLEET_CONTROL_PLANE_PORT", port.to_string())
        .current_dir(&home);
    let clean_up = CleanUp(&fleet, &pid);
    let mut shell = Shell::new(bash);
    let blocks = blocks(PAGE);
    assert!(blocks.len() > 15, "{blocks:?}");
    for block in blocks {
        for command in &block.commands {
            // The port of the page may be somebody's.
            let last = command.replace("127.0.0.1:9464", &format!("127.0.0.1:{port}"));
            let (shown, worked) = shell.run(&last);
            assert!(worked || !block.expected.is_empty(), "{last}\n{shown}");
            if last.ends_with('&') {
                shell.run(&format!("echo $! > {}", pid.display()));
            }
            if command != block.commands.last().unwrap() {
                continue;
            }
            // "Ask again a moment later."
            let until = Instant::now() + PATIENCE;
            let mut found = fits(&shown, &block.expected);
            while let Err(missing) = found {
                let log = std::fs::read_to_string(home.join("skep-tutorial/serve.log"));
                assert!(Instant::now() < until, "{last}\n{missing}\n{}", log.unwrap_or_default());
                std::thread::sleep(Duration::from_millis(500));
                found = fits(&shell.run(&last).0, &block.expected);
            }
        }
    }
    drop(shell);
    drop(clean_up);
    fleet.finish();
}
