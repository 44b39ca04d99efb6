//! Ending actions that have not started, and saying what moved under them.

use skep_core::action::{Action, ActionEvent};
use skep_core::approval::{Moved, PlannedNow, what_moved};
use skep_store::Closing;

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;

/// Ends an action.
pub(crate) async fn close(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    event: ActionEvent,
    why: &str,
) -> Result<(), Error> {
    end(context, leadership, action, event, why, None).await
}

/// Ends an action that is about something else than what is planned now, and keeps the difference.
pub(crate) async fn supersede(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    why: &str,
    now: PlannedNow<'_>,
) -> Result<(), Error> {
    let moved = Some(what_moved(action, now));
    end(context, leadership, action, ActionEvent::Supersede, why, moved).await
}

async fn end(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    event: ActionEvent,
    why: &str,
    moved: Option<Moved>,
) -> Result<(), Error> {
    let closing = Closing {
        action: action.id.clone(),
        revision: action.revision,
        event,
        actor: context.options.holder.clone(),
        detail: why.to_owned(),
        moved,
    };
    match context.store.close_action(leadership.fence(), &closing, context.clock.now()).await {
        // Somebody decided it, or a worker started it, in this very moment: the next pass sees it.
        Ok(()) | Err(skep_store::Error::Conflict { .. } | skep_store::Error::Transition(_)) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
