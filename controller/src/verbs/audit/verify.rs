//! `skep audit verify`.

use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use skep_core::audit::{
    AuditKey, AuditRecord, Damage, ExportError, ExportHead, ExportLine, ExportWriter, Scope,
    TrailSeals, Verified, Verifier,
};
use skep_store::{Store, TrailReader};

use super::export;
use crate::args::VerifyArgs;
use crate::error::{Failure, Result, exit};
use crate::output::Style;
use crate::verbs::Session;
use crate::{codes, wiring};

/// What it came to.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    rows: u64,
    intact_rows: u64,
    rows_before_chains: u64,
    chains: usize,
    findings: u64,
    damage: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    row: Option<i64>,
    message: String,
    #[serde(flatten)]
    damage: Damage,
}

pub(super) async fn run(session: &Session, args: &VerifyArgs) -> Result<u8> {
    let verified = match &args.export {
        Some(path) => {
            let key = wiring::existing_key(&session.config, &session.environment)?;
            let key =
                AuditKey::new(&key).map_err(|error| Failure::of(codes::KEY_UNAVAILABLE, &error))?;
            let earlier = earlier(args.against.as_deref(), &key)?;
            of_export(path, &key, earlier.as_ref())?
        }
        None => {
            let opened = session.open().await?;
            let key = opened.protection.audit();
            let earlier = earlier(args.against.as_deref(), key)?;
            of_store(opened.store.as_ref(), key, earlier.as_ref()).await?
        }
    };
    let report = Report::of(verified);
    session.printer.data(&report, text)?;
    if report.ok {
        return Ok(exit::OK);
    }
    let first = report.damage.first().map(|found| found.message.clone()).unwrap_or_default();
    let message = format!("the audit trail is broken: {first}");
    Err(Failure::new(codes::AUDIT_BROKEN, message).next(
        "keep a copy of the database as it is, then compare with the newest export or backup",
    ))
}

fn earlier(path: Option<&Path>, key: &AuditKey) -> Result<Option<ExportHead>> {
    let Some(path) = path else { return Ok(None) };
    let head = export::head(path)?;
    check(path, &head, key)?;
    Ok(Some(head))
}

fn check(path: &Path, head: &ExportHead, key: &AuditKey) -> Result<()> {
    head.check(key).map_err(|error| {
        let code = match error {
            ExportError::Forged => codes::AUDIT_BROKEN,
            ExportError::WrongKey { .. } => codes::KEY_UNAVAILABLE,
            ExportError::Version { .. } | ExportError::Form => codes::AUDIT_EXPORT_INVALID,
        };
        let mut failure = Failure::new(code, format!("{} cannot be trusted", path.display()));
        failure.push_cause(error.to_string());
        failure.next("use an export that was made with this installation's key")
    })
}

/// Checks each row as it is read.
struct Check<'a> {
    key: &'a AuditKey,
    earlier: Option<&'a TrailSeals>,
    verifier: Option<Verifier>,
}

impl TrailReader for Check<'_> {
    fn seals(&mut self, seals: TrailSeals) {
        self.verifier = Some(Verifier::new(self.key, seals, Scope::Whole, self.earlier));
    }

    fn row(&mut self, record: AuditRecord) -> ControlFlow<()> {
        if let Some(verifier) = &mut self.verifier {
            verifier.row(&record);
        }
        ControlFlow::Continue(())
    }
}

async fn of_store(
    store: &dyn Store,
    key: &AuditKey,
    earlier: Option<&ExportHead>,
) -> Result<Verified> {
    let earlier = earlier.map(|head| &head.seals);
    let mut check = Check { key, earlier, verifier: None };
    store.read_trail(None, &mut check).await?;
    match check.verifier {
        Some(verifier) => Ok(verifier.finish()),
        None => Err(Failure::new(codes::INTERNAL, "the trail was not read")),
    }
}

fn of_export(path: &Path, key: &AuditKey, earlier: Option<&ExportHead>) -> Result<Verified> {
    let head = export::head(path)?;
    check(path, &head, key)?;
    let earlier = earlier.map(|head| &head.seals);
    let mut verifier = Verifier::new(key, head.seals.clone(), head.scope(), earlier);
    let mut digest = ExportWriter::default();
    export::each(path, |line| {
        if let ExportLine::Row(record) = line {
            digest.row(&record);
            verifier.row(&record);
        }
        Ok(())
    })?;
    let mut verified = verifier.finish();
    if let Some(damage) = digest.compare(&head) {
        verified.findings = verified.findings.saturating_add(1);
        verified.damage.push(damage);
    }
    Ok(verified)
}

impl Report {
    fn of(verified: Verified) -> Self {
        let damage = verified.damage.into_iter().map(|damage| Found {
            row: damage.seq(),
            message: damage.to_string(),
            damage,
        });
        Self {
            ok: verified.findings == 0,
            rows: verified.rows,
            intact_rows: verified.intact_rows,
            rows_before_chains: verified.legacy_rows,
            chains: verified.chains,
            findings: verified.findings,
            damage: damage.collect(),
        }
    }
}

fn text(report: &Report, style: Style) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let Report { rows, intact_rows, rows_before_chains, chains, findings, .. } = report;
    // Writing to a String cannot fail.
    let chains = if *chains == 1 { "1 chain".to_owned() } else { format!("{chains} chains") };
    let _ = writeln!(text, "{intact_rows} of {rows} rows are intact, in {chains}");
    if *rows_before_chains > 0 {
        let _ = writeln!(
            text,
            "{rows_before_chains} rows are from before there were chains; a digest covers them"
        );
    }
    for found in &report.damage {
        let _ = writeln!(text, "{} {}", style.red("x"), found.message);
    }
    let shown = u64::try_from(report.damage.len()).unwrap_or(u64::MAX);
    if *findings > shown {
        let _ = writeln!(text, "and {} more", findings.saturating_sub(shown));
    }
    text
}
