//! What may be written, from what people saw and said, from what was true, and from the swarm
//! itself; never from what the code made of it.
//!
//! A fact counts as seen when it was true at some moment since the pass began: a file that is
//! replaced in the moment of the write cannot be noticed by anybody. What people take back, the
//! object and its Version have no such leeway.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use skep_core::action::{Action, ActionState, ActuatorMode};
use skep_core::identity::ActionId;
use skep_core::plan::{Operation, Step};
use skep_core::ports::Clock as _;
use skep_store::{ActionFilter, Actions as _, Decision, Intent, Intents as _, Leases as _};

use super::Told;
use super::truth::{AUTO, FIELDS, FORBIDDEN, IMAGE, Truth, at, restarts, the_rest};
use crate::database::Database;
use crate::recording::Write;
use crate::tap::{Process, TappedStore, Witness};
use crate::time::VirtualClock;

/// What is known of an action since it was filed.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    /// What a person was shown.
    step: Step,
    mode: ActuatorMode,
    needs_a_person: bool,
    /// The truths between which it was made.
    made: RangeInclusive<usize>,
    allowed_at: Option<Timestamp>,
    /// How long it may take to start.
    time: SignedDuration,
    grants: usize,
    refused: bool,
    effects: usize,
    removals: usize,
}

/// A pass of a process.
#[derive(Debug, Clone)]
struct Passing {
    mode: ActuatorMode,
    /// The newest truth when it began.
    since: usize,
}

#[derive(Debug)]
struct State {
    truths: Vec<Truth>,
    known: BTreeMap<ActionId, Known>,
    begun: Vec<Intent>,
    passes: BTreeMap<String, Passing>,
    told: Told,
}

/// Sees everything and knows what may be.
#[derive(Debug)]
pub(super) struct Oracle {
    state: Mutex<State>,
    store: TappedStore,
    clock: VirtualClock,
}

impl Oracle {
    pub(super) fn new(truth: Truth, database: Arc<Database>, clock: VirtualClock) -> Arc<Self> {
        let (known, begun, passes, told) = Default::default();
        let state = State { truths: vec![truth], known, begun, passes, told };
        let store = TappedStore::new(database, Arc::new(Process::new(None)));
        Arc::new(Self { state: Mutex::new(state), store, clock })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on record before anything happens may not be begun again.
    pub(super) async fn look_back(&self) {
        let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
        let now = self.clock.now();
        let mut state = self.state();
        for action in &actions {
            let mut known = State::known_of(action, 0..=0, now);
            (known.grants, known.allowed_at) = (0, None);
            state.known.insert(action.id.clone(), known);
        }
    }

    /// From now on this is true.
    pub(super) fn learn(&self, truth: Truth) {
        self.state().truths.push(truth);
    }

    /// A process begins to look.
    pub(super) fn begins(&self, pass: &str, mode: ActuatorMode) {
        let mut state = self.state();
        let since = state.truths.len() - 1;
        state.passes.insert(pass.to_owned(), Passing { mode, since });
    }

    /// A person's decision was put on record.
    pub(super) fn decided(&self, action: &ActionId, decision: Decision, time: SignedDuration) {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(known) = state.known.get_mut(action) else {
            return state.told.wrong.push(format!("a decision about {action}, which nobody filed"));
        };
        match decision {
            Decision::Approve => {
                (known.allowed_at, known.time) = (Some(now), time);
                known.grants += 1;
            }
            Decision::Deny | Decision::Revoke => known.refused = true,
        }
    }

    pub(super) fn say(&self, line: &str) {
        let at = self.clock.now();
        self.state().told.trace.push(format!("{at} {line}"));
    }

    /// What it all came to.
    pub(super) async fn end(&self) -> Told {
        let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
        let mut state = self.state();
        for action in actions.iter().rev() {
            let known = state.known.get(&action.id).cloned();
            let (effects, residual) = known.map_or((0, false), |one| (one.effects, one.refused));
            let line = format!("{} {} {} {effects}", action.key.name, action.kind, action.state);
            let never = [ActionState::Pending, ActionState::Rehearsed, ActionState::Expired];
            let is_denied = action.state == ActionState::Denied && !residual;
            if effects > 0 && (never.contains(&action.state) || is_denied) {
                state.told.wrong.push(format!("written and not on record: {line}"));
            }
            state.told.rehearsals += usize::from(action.state == ActionState::Rehearsed);
            state.told.trace.push(line);
        }
        state.told.clone()
    }
}

#[async_trait]
impl Witness for Oracle {
    async fn recorded(&self, process: &str, call: &'static str) {
        match call {
            "propose" => {
                let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
                let now = self.clock.now();
                self.state().filed(process, &actions, now);
            }
            "begin" => {
                let open = self.store.open_intents().await.unwrap();
                let holder = self.store.lease_holder().await.unwrap();
                let fresh = open.into_iter().filter(|one| !self.state().has_begun(one));
                for intent in fresh.collect::<Vec<_>>() {
                    let action = self.store.action(intent.action.as_str()).await.unwrap();
                    let now = self.clock.now();
                    let mut state = self.state();
                    // Another worker of the process has told of it meanwhile.
                    if state.has_begun(&intent) {
                        continue;
                    }
                    if holder.as_ref().is_none_or(|holder| holder.holder != process) {
                        state.told.wrong.push(format!("{process} began and does not lead"));
                    }
                    state.judge_intent(process, intent, &action, now);
                }
            }
            _ => {}
        }
    }

    async fn took_effect(&self, process: &str, write: &Write, before: &[Value]) {
        let problem = self.state().judge_write(process, write, before).err();
        self.say(&format!("{process} wrote"));
        self.state().told.wrong.extend(problem.map(|why| format!("{process} wrote: {why}")));
    }
}

impl State {
    fn has_begun(&self, intent: &Intent) -> bool {
        self.begun.iter().any(|one| one.id == intent.id)
    }

    fn window(&self, process: &str) -> RangeInclusive<usize> {
        let since = self.passes.get(process).map_or(0, |pass| pass.since);
        since..=self.truths.len() - 1
    }

    fn mode(&self, process: &str) -> ActuatorMode {
        self.passes.get(process).map_or(ActuatorMode::DryRun, |pass| pass.mode)
    }

    fn seen(&self, window: &RangeInclusive<usize>) -> &[Truth] {
        self.truths.get(window.clone()).unwrap_or_default()
    }

    fn filed(&mut self, process: &str, actions: &[Action], now: Timestamp) {
        let made = self.window(process);
        for action in actions {
            if self.known.contains_key(&action.id) {
                continue;
            }
            if action.mode != self.mode(process) {
                self.told.wrong.push(format!("{process} filed for another actuator"));
            }
            let known = Self::known_of(action, made.clone(), now);
            self.known.insert(action.id.clone(), known);
        }
    }

    fn known_of(action: &Action, made: RangeInclusive<usize>, now: Timestamp) -> Known {
        let needs_a_person = action.approval.is_some();
        Known {
            name: action.key.name.clone(),
            step: action.step.clone(),
            mode: action.mode,
            needs_a_person,
            made,
            allowed_at: (!needs_a_person).then_some(now),
            time: SignedDuration::from_mins(10),
            grants: usize::from(!needs_a_person),
            refused: false,
            effects: 0,
            removals: 0,
        }
    }

    /// An intent was stored: everything that was decided about has to hold.
    fn judge_intent(&mut self, process: &str, intent: Intent, action: &Action, now: Timestamp) {
        self.told.intents += 1;
        let problem = self.covers(process, &intent, action, now).err();
        let line = format!("{process} begins {} {}", action.kind, action.key.name);
        self.told.wrong.extend(problem.map(|why| format!("{line}: {why}")));
        self.told.trace.push(line);
        self.begun.push(intent);
    }

    fn covers(
        &self,
        process: &str,
        intent: &Intent,
        action: &Action,
        now: Timestamp,
    ) -> Result<(), String> {
        let known = self.known.get(&intent.action).ok_or("nobody filed it")?;
        let window = self.window(process);
        let seen = self.seen(&window);
        let live = ActuatorMode::Swarm;
        if known.mode != live || self.mode(process) != live {
            return Err("it is a rehearsal".to_owned());
        }
        if known.refused {
            return Err("it was denied or taken back".to_owned());
        }
        if known.grants != 1 || known.effects > 0 {
            return Err(format!("{} grants, {} effects before", known.grants, known.effects));
        }
        // While it is known to wait its time does not run.
        let waits = action.wait.is_some() || action.runnable_since > known.allowed_at;
        let late = known.allowed_at.is_none_or(|at| now > at + known.time);
        if late && !waits {
            return Err(format!("its time was over: allowed at {:?}", known.allowed_at));
        }
        let made = self.seen(&known.made);
        let fits = |rule: usize| {
            rule != FORBIDDEN
                && (rule == AUTO) != known.needs_a_person
                && made.iter().any(|one| one.rule == rule)
        };
        if !seen.iter().any(|one| fits(one.rule)) {
            return Err("the policy is another one".to_owned());
        }
        if seen.iter().all(|one| one.frozen) {
            return Err("everything is frozen".to_owned());
        }
        let image = known.step.changes.iter().find(|change| change.path == IMAGE);
        if let (Some(image), None) = (image, &known.step.request)
            && !seen.iter().any(|one| one.image(&known.name).as_deref() == image.after.as_str())
        {
            return Err(format!("{} is not declared", image.after));
        }
        if known.step.object != intent.object {
            return Err("it is about another object".to_owned());
        }
        Ok(())
    }

    /// A write has had its effect: exactly one grant covers it, to the byte.
    fn judge_write(
        &mut self,
        process: &str,
        write: &Write,
        before: &[Value],
    ) -> Result<(), String> {
        let is_meant = |intent: &&Intent| match write {
            Write::Create(bytes) => intent.object.is_none() && intent.body == **bytes,
            Write::Update(id, version, bytes) => {
                intent.object.as_ref() == Some(id)
                    && intent.version == Some(*version)
                    && intent.body == **bytes
            }
            Write::Remove(id) => intent.object.as_ref() == Some(id),
            // Nothing here declares one.
            Write::CreateObject(..) | Write::UpdateObject(..) | Write::RemoveObject(..) => false,
        };
        let meant: Vec<&Intent> = self.begun.iter().filter(is_meant).collect();
        let [intent] = meant.as_slice() else {
            return Err(format!("{} intents say so", meant.len()));
        };
        let action = intent.action.clone();
        if self.mode(process) != ActuatorMode::Swarm {
            return Err("its actuator is a dry run".to_owned());
        }
        let known = self.known.get_mut(&action).ok_or("nobody filed it")?;
        if matches!(write, Write::Remove(_)) {
            known.removals += 1;
            let is_half = matches!(known.step.operation, Operation::Replace { .. });
            return if is_half && known.removals == 1 {
                Ok(())
            } else {
                Err("a removal that nobody decided".to_owned())
            };
        }
        known.effects += 1;
        self.told.executions += 1;
        if known.effects > 1 {
            return Err("it ran twice".to_owned());
        }
        if known.refused {
            // A create that its sender had given up: the engine compares no Version.
            if !matches!(write, Write::Create(_)) {
                return Err("it was denied or taken back".to_owned());
            }
            self.told.residual += 1;
        }
        as_shown(known, write, before)
    }
}

/// The bytes change what a person was shown, and nothing else.
fn as_shown(known: &Known, write: &Write, before: &[Value]) -> Result<(), String> {
    let (Write::Create(bytes) | Write::Update(_, _, bytes)) = write else { return Ok(()) };
    let written: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if at(&written, "/Name") != known.name.as_str() {
        return Err(format!("it is about {} and not {}", at(&written, "/Name"), known.name));
    }
    let live = before.iter().find(|one| at(one, "/Spec/Name") == known.name.as_str());
    let id = live.and_then(|live| live["ID"].as_str());
    if id != known.step.object.as_ref().map(skep_core::identity::SwarmId::as_str) {
        return Err("it is another object now".to_owned());
    }
    let former = live.map(|live| live["Spec"].clone());
    let edit = |pointer: &str| match &known.step.operation {
        Operation::Create { spec } => Some(at(spec, pointer)),
        Operation::Update { edits } | Operation::Replace { edits } => edits
            .iter()
            .find(|edit| edit.pointer == pointer)
            .map(|edit| edit.value.clone().unwrap_or_default()),
        _ => None,
    };
    for field in FIELDS {
        let there = former.as_ref().map(|former| at(former, field)).unwrap_or_default();
        let shown = known.step.changes.iter().find(|change| change.path == field);
        if former.is_some() && shown.is_some_and(|shown| shown.before != there) {
            return Err(format!("{field} was shown otherwise than {there}"));
        }
        if at(&written, field) != edit(field).unwrap_or(there) {
            return Err(format!("{field} is {}, which nobody was shown", at(&written, field)));
        }
    }
    let rest = match (&former, &known.step.operation) {
        (Some(former), _) => the_rest(former),
        (None, Operation::Create { spec }) => the_rest(spec),
        (None, _) => return Err("nothing was there".to_owned()),
    };
    if the_rest(&written) != rest {
        return Err(format!("it changes more than was shown: {written}"));
    }
    let more = u64::from(known.step.operation == Operation::Restart);
    let restarted = former.as_ref().map_or(0, restarts) + more;
    if restarts(&written) != restarted {
        return Err("its tasks are replaced otherwise than was shown".to_owned());
    }
    Ok(())
}
