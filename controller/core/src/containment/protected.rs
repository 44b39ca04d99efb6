//! The protected set: what nobody may stop through Skep, because stopping it would stop Skep, or
//! cut it off from what it needs to start anything again.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::action::ActionKind;
use crate::gate::Pattern;
use crate::identity::ServiceName;
use crate::observed::{ObservedService, Snapshot};
use crate::plan::{Blocked, Operation, REPLICAS, Step};

/// The code of everything that is refused for this reason.
pub const PROTECTED: &str = "PROTECTED";

/// What starts a rule about labels.
const LABEL: &str = "label:";

/// What is protected, and why.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    rules: Vec<(String, Rule)>,
    /// Services that were found to be parts of Skep itself.
    detected: BTreeMap<ServiceName, String>,
}

#[derive(Debug, Clone)]
enum Rule {
    Name(Pattern),
    Label { key: String, value: Option<Pattern> },
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{rule:?} does not say what is protected ({why}); write a service name, a glob such as \
     skep-*, or label:KEY or label:KEY=VALUE"
)]
pub struct InvalidProtection {
    /// The rule.
    pub rule: String,
    /// What is wrong with it.
    pub why: String,
}

impl Protected {
    /// The set that these rules describe: names, globs, `label:KEY`, `label:KEY=VALUE`.
    ///
    /// # Errors
    /// The first rule that cannot be read: a slip must not leave something unprotected in silence.
    pub fn parse<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidProtection> {
        let rules = rules.into_iter().map(|rule| Ok((rule.to_owned(), parse(rule)?)));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, detected: BTreeMap::new() })
    }

    /// Adds a service that was found to be part of Skep itself.
    pub fn detect(&mut self, name: ServiceName, what: impl Into<String>) {
        self.detected.insert(name, what.into());
    }

    /// Why a service is protected, if it is.
    #[must_use]
    pub fn why(&self, service: &ObservedService) -> Option<String> {
        if let Some(what) = self.detected.get(&service.name) {
            return Some(format!("it is {what}"));
        }
        let rule = self.rules.iter().find(|(_, rule)| rule.fits(service))?;
        Some(format!("the setting fleet_protected names it ({})", rule.0))
    }
}

fn parse(rule: &str) -> Result<Rule, InvalidProtection> {
    let invalid = |why: &str| InvalidProtection { rule: rule.to_owned(), why: why.to_owned() };
    let pattern = |text: &str| {
        let pattern = Pattern::new(text);
        match pattern.problem() {
            Some(why) => Err(invalid(why)),
            None if text.is_empty() => Err(invalid("it is empty")),
            None => Ok(pattern),
        }
    };
    let Some(label) = rule.strip_prefix(LABEL) else { return Ok(Rule::Name(pattern(rule)?)) };
    let (key, value) = match label.split_once('=') {
        Some((key, value)) => (key, Some(pattern(value)?)),
        None => (label, None),
    };
    if key.is_empty() {
        return Err(invalid("the label has no name"));
    }
    Ok(Rule::Label { key: key.to_owned(), value })
}

impl Rule {
    fn fits(&self, service: &ObservedService) -> bool {
        match self {
            Self::Name(pattern) => pattern.matches(service.name.as_str()) == Some(true),
            Self::Label { key, value } => {
                let spec = service.spec.value();
                let label = spec.get("Labels").and_then(|labels| labels.get(key));
                match (label.and_then(Value::as_str), value) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(label), Some(pattern)) => pattern.matches(label) == Some(true),
                }
            }
        }
    }
}

/// Whether carrying a step out would stop all tasks of its service or remove it.
#[must_use]
pub fn takes_down(step: &Step) -> bool {
    if matches!(step.action, ActionKind::RemoveService | ActionKind::StopService) {
        return true;
    }
    match &step.operation {
        Operation::Replace { .. } => true,
        Operation::Update { edits } => edits.iter().any(|edit| {
            let is_zero = edit.value.as_ref().and_then(Value::as_u64) == Some(0);
            edit.pointer == REPLICAS && is_zero
        }),
        Operation::Create { .. }
        | Operation::Restart
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        // Its members are looked at one by one.
        | Operation::ReturnStack { .. }
        | Operation::Remove => false,
    }
}

/// Blocks a step that would take something protected down.
pub fn block_protected(step: &mut Step, protected: &Protected, live: Option<&ObservedService>) {
    if !takes_down(step) {
        return;
    }
    let Some(why) = live.and_then(|live| protected.why(live)) else { return };
    step.blocked = Some(blocked(&step.target, &why));
}

impl Protected {
    /// Blocks what is protected in a whole plan.
    pub fn block(&self, steps: &mut [Step], observed: &Snapshot) {
        for step in steps {
            let live = observed.services.get(&step.target);
            block_protected(step, self, live);
        }
    }
}

fn blocked(target: &ServiceName, why: &str) -> Blocked {
    Blocked {
        code: PROTECTED.to_owned(),
        message: format!("{target} is protected: {why}; Skep neither stops nor removes it"),
        hint: "if it must go: take it out of the setting fleet_protected, or use docker itself"
            .to_owned(),
    }
}
