//! Killing very much at once: the first call says what would happen, the same call of the same
//! person within a minute means it. On a terminal both can be one.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal as _};

use jiff::Timestamp;
use skep_core::containment::{CONFIRM_WITHIN, Confirmation, Scope, needs_confirmation};
use skep_core::identity::ServiceName;

use super::Work;
use crate::codes;
use crate::error::{Failure, Result};

/// Passes when it need not be confirmed, or has been.
pub(super) async fn confirm(
    work: &Work<'_>,
    domain: &str,
    targets: &[ServiceName],
    actor: &str,
    at_once: bool,
) -> Result<()> {
    let fleet = work.seen.owned.len();
    if targets.is_empty() || !needs_confirmation(domain, targets.len(), fleet) {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if at_once && stdin.is_terminal() {
        let names: Vec<&str> = targets.iter().map(ServiceName::as_str).collect();
        let count = targets.len();
        work.session.printer.warn(&format!(
            "this scales {count} of {fleet} services to zero, now: {}\ntype the name of the \
             domain to go on:",
            names.join(", ")
        ));
        return if agrees(&mut stdin.lock(), domain) { Ok(()) } else { Err(declined(domain)) };
    }
    let scope = Scope::Domain(domain.to_owned());
    let exact: BTreeSet<ServiceName> = targets.iter().cloned().collect();
    let now = Timestamp::now();
    let cluster = &work.seen.snapshot.cluster;
    let confirmation = Confirmation::new(actor, cluster, &scope, &exact, now);
    if work.wired.store.confirm(&confirmation, now).await? {
        return Ok(());
    }
    Err(asked(domain, targets, fleet))
}

/// Whether the next line is the name that was asked for.
fn agrees(input: &mut impl BufRead, domain: &str) -> bool {
    let mut line = String::new();
    input.read_line(&mut line).is_ok() && line.trim() == domain
}

fn declined(domain: &str) -> Failure {
    let message = format!("the domain {domain} was not killed: nobody typed its name");
    Failure::new(codes::CONFIRMATION_NEEDED, message).next("nothing was changed")
}

fn asked(domain: &str, targets: &[ServiceName], fleet: usize) -> Failure {
    let count = targets.len();
    let mut failure = Failure::new(
        codes::CONFIRMATION_NEEDED,
        format!(
            "killing the domain {domain} scales {count} of {fleet} services to zero; nothing was \
             changed yet"
        ),
    )
    .next(format!(
        "the same command again within {} seconds confirms it",
        CONFIRM_WITHIN.as_secs()
    ));
    for name in targets {
        failure.causes.push(format!("would be killed: {name}"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_domain_agrees() {
        for (line, expected) in
            [("finance\n", true), (" finance ", true), ("y\n", false), ("\n", false), ("", false)]
        {
            assert_eq!(agrees(&mut line.as_bytes(), "finance"), expected, "{line:?}");
        }
    }

    #[test]
    fn the_first_call_names_everybody_concerned() {
        let failure = asked("finance", &["a".into(), "b".into()], 7);
        assert!(failure.message.contains("2 of 7"), "{}", failure.message);
        assert_eq!(failure.causes.len(), 2);
    }
}
