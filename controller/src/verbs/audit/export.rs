//! `skep audit export`: the trail as lines of JSON, and reading such a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use skep_core::audit::{AuditRecord, ExportHead, ExportLine, ExportWriter, TrailSeals};
use skep_store::TrailReader;

use crate::args::ExportArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::verbs::Session;

/// Writes each row as it is read.
struct Lines<W> {
    out: W,
    seals: Option<TrailSeals>,
    digest: ExportWriter,
    rows_wanted: bool,
    failed: Option<io::Error>,
}

impl<W: Write + Send> TrailReader for Lines<W> {
    fn seals(&mut self, seals: TrailSeals) {
        self.seals = Some(seals);
    }

    fn row(&mut self, record: AuditRecord) -> ControlFlow<()> {
        if !self.rows_wanted {
            return ControlFlow::Break(());
        }
        self.digest.row(&record);
        match line(&mut self.out, &ExportLine::Row(record)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

fn line(out: &mut impl Write, line: &ExportLine) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

pub(super) async fn run(session: &Session, args: &ExportArgs) -> Result<u8> {
    let Some(path) = &args.to else {
        write(session, args, io::stdout()).await?;
        return Ok(exit::OK);
    };
    let beside = beside(path);
    let failed = |error: io::Error| failed("written", path, &error);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    let placed = async {
        let rows = write(session, args, &file).await?;
        file.sync_all().map_err(failed)?;
        place(&beside, path, args.force)?;
        Ok(rows)
    };
    let placed: Result<u64> = placed.await;
    if !args.force || placed.is_err() {
        // Only a name too many is left when this fails.
        let _ = fs::remove_file(&beside);
    }
    let rows = placed?;
    session.printer.note(&format!("{rows} rows and a signed line in {}", path.display()));
    Ok(exit::OK)
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// A link, unlike a rename, fails when the name is taken.
fn place(beside: &Path, path: &Path, force: bool) -> Result<()> {
    let placed = if force { fs::rename(beside, path) } else { fs::hard_link(beside, path) };
    match placed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} exists already", path.display());
            Err(Failure::new(codes::FILE_EXISTS, message).next("choose another --to, or --force"))
        }
        placed => placed.map_err(|error| failed("written", path, &error)),
    }
}

async fn write(session: &Session, args: &ExportArgs, out: impl Write + Send) -> Result<u64> {
    let opened = session.open().await?;
    let from = match args.since {
        // None since then: an export of no rows, from a number that no row has.
        Some(since) => Some(opened.store.first_since(since).await?.unwrap_or(i64::MAX)),
        None if args.head_only => Some(i64::MAX),
        None => None,
    };
    let mut lines = Lines {
        out: BufWriter::new(out),
        seals: None,
        digest: ExportWriter::default(),
        rows_wanted: !args.head_only,
        failed: None,
    };
    opened.store.read_trail(from, &mut lines).await?;
    let Lines { mut out, seals, digest, failed: broke, .. } = lines;
    let ended = |error: io::Error| Failure::of(codes::OUTPUT_FAILED, &error);
    if let Some(error) = broke {
        return Err(ended(error));
    }
    let Some(seals) = seals else {
        return Err(Failure::new(codes::INTERNAL, "the trail was not read"));
    };
    let installation = opened.store.installation_id();
    let head = digest
        .sign(opened.protection.audit(), installation, Timestamp::now(), from, seals)
        .map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    let rows = head.rows;
    line(&mut out, &ExportLine::Head(head)).and_then(|()| out.flush()).map_err(ended)?;
    Ok(rows)
}

/// The signed line at the end of a file.
pub(super) fn head(path: &Path) -> Result<ExportHead> {
    let mut last = None;
    each(path, |record| {
        last = Some(record);
        Ok(())
    })?;
    match last {
        Some(ExportLine::Head(head)) => Ok(head),
        _ => Err(invalid(path, "it does not end with the signed line; it may have been cut off")),
    }
}

/// Calls a function with every line.
pub(super) fn each(path: &Path, mut take: impl FnMut(ExportLine) -> Result<()>) -> Result<()> {
    let file = File::open(path).map_err(|error| failed("read", path, &error))?;
    for (index, text) in BufReader::new(file).lines().enumerate() {
        let text = text.map_err(|error| failed("read", path, &error))?;
        let line = serde_json::from_str(&text).map_err(|error| {
            let place = format!("line {}, column {}", index + 1, error.column());
            invalid(path, &format!("{place} is no line of an export"))
        })?;
        take(line)?;
    }
    Ok(())
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let mut failure =
        Failure::new(codes::OUTPUT_FAILED, format!("{} cannot be {what}", path.display()));
    failure.push_cause(error.to_string());
    failure.next("check the path, and that this user may use it")
}

fn invalid(path: &Path, why: &str) -> Failure {
    let mut failure = Failure::new(
        codes::AUDIT_EXPORT_INVALID,
        format!("{} is not an export of an audit trail", path.display()),
    );
    failure.push_cause(why.to_owned());
    failure.next("skep audit export --to FILE writes one")
}
