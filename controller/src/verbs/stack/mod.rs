//! Stack files: what they say, what is wrong with them, and what could be safer.

mod hide;
mod import;
mod lint;
mod list;
mod one;
pub(super) mod own;
mod preview;
pub(super) mod reference;
mod render;
mod rollback;
mod sync;
mod variables;

use std::path::PathBuf;

use serde::Serialize;
use skep_crds::stack::Loaded;
use skep_sources::{Error, StackFiles};

pub(super) use self::variables::variables;
use super::Session;
use super::problem::ProblemView;
use crate::args::{Around, StackFileVerb, StackFleetVerb, ValidateStackArgs};
use crate::error::{Failure, Result, exit};
use crate::output::{Format, Printer, Style};

/// A problem with what follows from it.
#[derive(Serialize)]
struct Judged {
    /// `error`, `deny` or `warn`.
    level: &'static str,
    #[serde(flatten)]
    problem: ProblemView,
}

/// What came of checking stack files.
#[derive(Serialize)]
struct Judgement {
    valid: bool,
    problems: Vec<Judged>,
    services: usize,
}

/// The verbs of `skep stack` that read files and nothing else.
pub(super) fn run(printer: &Printer, verb: &StackFileVerb) -> Result<u8> {
    match verb {
        StackFileVerb::Render(args) => render::render(printer, args),
        StackFileVerb::Validate(args) => validate(printer, args),
        StackFileVerb::Lint(args) => lint::lint(printer, args),
    }
}

/// The verbs of `skep stack` that are about declared and running stacks.
pub(super) async fn run_fleet(session: &Session, verb: &StackFleetVerb) -> Result<u8> {
    match verb {
        StackFleetVerb::List { fleet } => list::list(session, fleet).await,
        StackFleetVerb::Diff(args) => one::diff(session, args).await,
        StackFleetVerb::Sync(args) => sync::sync(session, args).await,
        StackFleetVerb::Previews { .. } => preview::list(session).await,
        StackFleetVerb::Preview(args) => preview::show(session, args).await,
        StackFleetVerb::Rollback { name, ask } => rollback::rollback(session, name, ask).await,
        StackFleetVerb::Import(args) => import::import(session, args).await,
    }
}

/// `skep stack validate`.
fn validate(printer: &Printer, args: &ValidateStackArgs) -> Result<u8> {
    let variables = variables(&args.stack.variables, Around::None)?;
    let loaded = StackFiles::new(args.stack.files.clone()).load(&variables);
    let judgement = judge(printer, &args.stack.files, loaded.as_ref())?;
    tell(printer, &judgement)
}

/// Problems and warnings of what was loaded.
fn judge(
    printer: &Printer,
    files: &[PathBuf],
    loaded: Result<&Loaded, &Error>,
) -> Result<Judgement> {
    let judged = |level| move |problem| Judged { level, problem: ProblemView::new(problem) };
    Ok(match loaded {
        Ok(loaded) => Judgement {
            valid: true,
            problems: loaded.warnings.iter().map(judged("warn")).collect(),
            services: loaded.stack.services.len(),
        },
        Err(error) => match error.problems() {
            Some(problems) => Judgement {
                valid: false,
                problems: problems.iter().map(judged("error")).collect(),
                services: 0,
            },
            None => {
                let failure = Failure::of(error.code(), error);
                if printer.format() == Format::Table {
                    return Err(failure.next("check the path"));
                }
                // Programs get one shape, whatever is wrong with the file.
                let file = files.first().map(|path| path.display().to_string());
                let problem = ProblemView::of_file(file.unwrap_or_default(), failure);
                Judgement {
                    valid: false,
                    problems: vec![Judged { level: "error", problem }],
                    services: 0,
                }
            }
        },
    })
}

/// Writes it; the exit code says whether the stack is refused.
fn tell(printer: &Printer, judgement: &Judgement) -> Result<u8> {
    printer.data(judgement, text)?;
    Ok(if judgement.valid { exit::OK } else { exit::FAILED })
}

fn text(judgement: &Judgement, style: Style) -> String {
    let mut text = String::new();
    for Judged { level, problem } in &judgement.problems {
        let level = if *level == "warn" { style.yellow(level) } else { style.red(level) };
        text.push_str(&format!("{level}: {}\n", problem.text()));
    }
    let refusing = judgement.problems.iter().filter(|judged| judged.level != "warn").count();
    let warnings = judgement.problems.len() - refusing;
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    let total = if !judgement.valid {
        style.red(&format!(
            "not valid: {}, {}",
            count(refusing, "problem"),
            count(warnings, "warning")
        ))
    } else if warnings > 0 {
        let services = count(judgement.services, "service");
        style.yellow(&format!("valid: {services}, {}", count(warnings, "warning")))
    } else {
        style.green(&format!("valid: {}", count(judgement.services, "service")))
    };
    text.push_str(&total);
    text.push('\n');
    text
}
