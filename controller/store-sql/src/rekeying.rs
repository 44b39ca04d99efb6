//! Actions from before digests had a key: what becomes of their digests, once, when the database is
//! first opened with this version.
//!
//! Every digest becomes what the same content gives today, so the history goes on: what was denied
//! stays denied. What waited for a decision or for its turn is the exception: a permission that was
//! bound to a digest without a key is never used, and the action says so when it is superseded.

use skep_core::action::{ActionState, ActuatorMode};
use skep_core::approval::{Moved, binding_by, keyless};
use skep_core::canonical::Digest;
use skep_core::digester::{Digester, Purpose};
use skep_core::plan::Step;
use skep_store::{Protection, Result, step_context};

use crate::columns::json;

const WHAT: &str = "action";

/// The columns of an action that depend on a digest, and those that say what becomes of it. Not
/// `Debug`: the step holds values of the environment.
#[derive(Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct KeyedColumns {
    pub seq: i64,
    pub id: String,
    pub state: String,
    pub mode: String,
    pub rule: String,
    pub plan_id: String,
    pub binding: String,
    pub step: Vec<u8>,
    pub moved: Option<String>,
}

impl KeyedColumns {
    /// The same action with keyed digests.
    ///
    /// A step that cannot be opened or read was damaged before; it stays as it is, and is reported
    /// whenever somebody looks at it.
    ///
    /// # Errors
    /// When the step cannot be sealed again.
    pub fn keyed(mut self, protection: &Protection) -> Result<Self> {
        let digester = protection.digester();
        self.plan_id = beginning(digester, Purpose::Plan, &self.plan_id);
        if let Some(moved) = &self.moved
            && let Ok(moved) = serde_json::from_str::<Moved>(moved)
        {
            self.moved = Some(json(serde_json::to_string(&keyed_moved(digester, moved)), WHAT)?);
        }
        self.binding = keyless().to_string();
        let context = step_context(&self.id);
        let Ok(plain) = protection.open(WHAT, &context, self.step.clone()) else { return Ok(self) };
        let Ok(mut step) = serde_json::from_slice::<Step>(&plain) else { return Ok(self) };
        step.give_key(digester);
        if let (false, Some(mode)) = (self.waits(), ActuatorMode::from_word(&self.mode)) {
            self.binding = binding_by(&step, &self.rule, mode).to_string();
        }
        let plain = json(serde_json::to_string(&step), WHAT)?;
        self.step = protection.seal(WHAT, &context, plain.as_bytes())?;
        Ok(self)
    }

    fn waits(&self) -> bool {
        [ActionState::Pending, ActionState::Granted].iter().any(|one| one.as_str() == self.state)
    }
}

/// The keyed digest of the difference that a hold is about: the hold is neither lost nor about more
/// than before.
#[must_use]
pub fn keyed_difference(digester: &Digester, plain: &str) -> String {
    digester.keyed(Purpose::Difference, &Digest::from_stored(plain)).to_string()
}

/// Only the beginning was kept, so only the beginning can be given a key.
fn beginning(digester: &Digester, purpose: Purpose, plain: &str) -> String {
    digester.keyed(purpose, &Digest::from_stored(plain)).short(16).to_owned()
}

fn keyed_moved(digester: &Digester, mut moved: Moved) -> Moved {
    for field in moved.fields.iter_mut().filter(|field| field.field == "digest") {
        for value in [&mut field.approved, &mut field.now] {
            if let Some(plain) = value.as_str() {
                *value = beginning(digester, Purpose::Step, plain).into();
            }
        }
    }
    moved
}
