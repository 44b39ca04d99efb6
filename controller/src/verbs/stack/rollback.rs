//! `skep stack rollback`: all services of a stack back to before its rollout, as one action.

use std::collections::BTreeSet;

use skep_core::identity::{ObjectKind, ServiceName};
use skep_core::request::RequestVerb;

use super::one::find;
use crate::args::AskArgs;
use crate::error::Result;
use crate::verbs::Session;
use crate::verbs::service::{ask_about, look};

/// `skep stack rollback`.
pub(super) async fn rollback(session: &Session, name: &str, args: &AskArgs) -> Result<u8> {
    let seen = look(session, &args.fleet).await?;
    let stacks = seen.wired.controller.stacks().await;
    let stack = &find(&stacks, name)?.name;
    let target = ServiceName::object(ObjectKind::Stack, stack);
    // Its members are carried out by whoever carries out the whole.
    let declared = seen.planned.desired.stacks.get(stack);
    let members: BTreeSet<ServiceName> =
        declared.map(|stack| stack.services.clone()).unwrap_or_default();
    let verb = RequestVerb::RollbackStack { automatic: false };
    ask_about(session, args, &seen, vec![(target, verb)], members).await
}
