//! `skep stack previews` and `skep stack preview`: what pull requests would change.

use jiff::Timestamp;
use serde::Serialize;
use skep_core::plan::Summary;
use skep_core::push::{Preview, StackPreview, StepPreview};
use skep_store::KeptPreview;

use super::list::short;
use crate::args::PreviewArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::change::change_line;
use crate::output::table::Columns;
use crate::output::{Items, Style, plain, since};
use crate::verbs::Session;

/// A preview in a list.
#[derive(Serialize)]
struct Row {
    number: u64,
    repository: String,
    title: String,
    author: String,
    into: String,
    stacks: Vec<String>,
    steps: usize,
    planned: bool,
    at: Timestamp,
}

impl Row {
    fn new(preview: Preview) -> Self {
        let steps = preview.stacks.iter().map(|stack| stack.steps.len() + stack.more).sum();
        Self {
            planned: !preview.has_failed(),
            number: preview.number,
            repository: preview.repository,
            title: preview.title,
            author: preview.author,
            into: preview.into,
            stacks: preview.stacks.into_iter().map(|stack| stack.stack).collect(),
            steps,
            at: preview.at,
        }
    }
}

/// `skep stack previews`.
pub(super) async fn list(session: &Session) -> Result<u8> {
    let kept = session.open_store().await?.previews().await?;
    let items: Vec<Row> = kept.iter().filter_map(read).map(Row::new).collect();
    session.printer.data(&Items { items }, |list, style| {
        let header = ["NUMBER", "REPOSITORY", "STACKS", "STEPS", "AUTHOR", "TITLE", "PLANNED"];
        let mut columns = Columns::new(header);
        let now = Timestamp::now();
        for row in &list.items {
            let steps = if row.planned { row.steps.to_string() } else { "failed".to_owned() };
            columns.row([
                row.number.to_string(),
                row.repository.clone(),
                row.stacks.join(", "),
                steps,
                row.author.clone(),
                row.title.clone(),
                since(row.at, now),
            ]);
        }
        columns.text(style, "no pull request was planned; see docs/how-to/webhooks.md")
    })?;
    Ok(exit::OK)
}

/// What an older or newer version kept is told as if it were not there: it is planned again with
/// the next announcement.
fn read(kept: &KeptPreview) -> Option<Preview> {
    Preview::from_stored(&kept.content).ok()
}

/// `skep stack preview`.
pub(super) async fn show(session: &Session, args: &PreviewArgs) -> Result<u8> {
    let kept = session.open_store().await?.previews().await?;
    let part = args.repository.as_deref().unwrap_or_default().to_lowercase();
    let is_meant =
        |kept: &&KeptPreview| kept.number == args.number && kept.repository.contains(&part);
    let mut found: Vec<Preview> = kept.iter().filter(is_meant).filter_map(read).collect();
    let preview = match (found.pop(), found.is_empty()) {
        (Some(preview), true) => preview,
        (Some(preview), false) => {
            let mut failure = Failure::usage(format!(
                "several repositories have a pull request {} that was planned",
                args.number
            ));
            let all = found.iter().chain([&preview]);
            all.for_each(|one| failure.push_cause(one.repository.clone()));
            let next =
                format!("skep stack preview {} --repository {}", args.number, preview.repository);
            return Err(failure.next(next));
        }
        (None, _) => {
            let message = format!("no pull request {} was planned", args.number);
            return Err(Failure::new(codes::NOT_FOUND, message).next("skep stack previews"));
        }
    };
    session.printer.data(&preview, text)?;
    if let Some(problem) = preview.comment.as_ref().and_then(|comment| comment.problem.as_ref()) {
        session.printer.warn(&plain(&format!("it has no current comment: {problem}")));
    }
    Ok(if preview.has_failed() { exit::FAILED } else { exit::OK })
}

fn text(preview: &Preview, style: Style) -> String {
    let Preview { repository, number, title, author, into, at, .. } = preview;
    let heading = format!("{repository} #{number}: {title}");
    let mut text = format!(
        "{}\n{}\n",
        style.bold(&plain(&heading)),
        style.dim(&plain(&format!(
            "{author} into {into}, planned {}",
            since(*at, Timestamp::now())
        )))
    );
    preview.stacks.iter().for_each(|stack| stack_text(&mut text, stack, style));
    text
}

fn stack_text(text: &mut String, stack: &StackPreview, style: Style) {
    let commit = stack.commit.as_deref().map_or("-", short);
    text.push_str(&format!("\n{}  {}\n", style.bold(&plain(&stack.stack)), plain(commit)));
    if let Some(problem) = &stack.problem {
        for line in problem.lines() {
            text.push_str(&format!("    {}: {}\n", style.red("not planned"), plain(line)));
        }
        return;
    }
    stack.steps.iter().for_each(|step| step_text(text, step, style));
    if stack.more > 0 {
        text.push_str(&format!("and {} steps more\n", stack.more));
    }
    let Summary { create, update, remove, adopt, unchanged, blocked } = stack.summary;
    text.push_str(&format!(
        "{create} to create, {update} to update, {remove} to remove, {adopt} to adopt, \
         {unchanged} unchanged, {blocked} blocked\n"
    ));
}

fn step_text(text: &mut String, step: &StepPreview, style: Style) {
    let place = step.provenance.as_ref().map(|at| format!("  {at}")).unwrap_or_default();
    text.push_str(&format!(
        "{}  {}  {}  risk {}{}\n    {}\n",
        style.bold(&plain(&step.target)),
        step.action,
        step.class,
        step.risk,
        style.dim(&plain(&place)),
        style.dim(&plain(&step.reason))
    ));
    step.changes.iter().for_each(|change| change_line(text, change, style));
    if step.more > 0 {
        text.push_str(&format!("    and {} changes more\n", step.more));
    }
    if let Some(blocked) = &step.blocked {
        let (code, message) = (style.red(&plain(&blocked.code)), plain(&blocked.message));
        text.push_str(&format!("    blocked {code}: {message}\n"));
    }
}
