//! Putting dead letters away for a reason.

use std::io::{self, BufRead as _, IsTerminal as _};

use jiff::Timestamp;
use skep_core::letter::{DeadLetter, LetterState};
use skep_store::{DropLetter, LetterAnswer, LetterFilter, Store};

use super::{Handling, filter, named, operator, tell};
use crate::args::DropArgs;
use crate::error::{Failure, Result};
use crate::verbs::Session;

/// `skep dlq drop`.
pub(super) async fn run(session: &Session, args: &DropArgs) -> Result<u8> {
    let store = session.open_store().await?;
    let (letters, mut items) = if args.all {
        (chosen(session, store.as_ref(), args).await?, Vec::new())
    } else {
        named(store.as_ref(), &args.ids).await?
    };
    let by = operator(session, &args.operator);
    for letter in letters {
        let wish =
            DropLetter { letter: letter.id.clone(), by: by.clone(), why: args.reason.clone() };
        items.push(match store.drop_letter(&wish, Timestamp::now()).await? {
            LetterAnswer::Changed(letter) => Handling::of(&letter, "dropped", args.reason.clone()),
            LetterAnswer::Already(letter) => Handling::already(&letter),
        });
    }
    tell(session, items)
}

/// Every open letter as far as the filters go, once a person has agreed.
async fn chosen(session: &Session, store: &dyn Store, args: &DropArgs) -> Result<Vec<DeadLetter>> {
    let filter =
        LetterFilter { states: vec![LetterState::Open], ..filter(&args.filter, &args.failed_as) };
    let letters = store.letters(&filter).await?;
    if args.yes || letters.is_empty() {
        return Ok(letters);
    }
    let count = letters.len();
    let refused = |why: &str| {
        Failure::usage(format!("{count} dead letters would be put away; {why}"))
            .next("skep dlq list, then the same command with --yes")
    };
    if !io::stdin().is_terminal() {
        return Err(refused("without a terminal it takes --yes"));
    }
    session.printer.note(&format!("Put {count} dead letters away? Type yes to go on:"));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    match read {
        Ok(_) if line.trim() == "yes" => Ok(letters),
        _ => Err(refused("nothing was done")),
    }
}
