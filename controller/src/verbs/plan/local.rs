//! Stacks that a plan is asked for by their files, and what docker would refuse of them.

use skep_core::labels;
use skep_core::plan::{Operation, Step};
use skep_runtime::Planned;
use skep_sources::StackSource;
use skep_yaml::Problems;

use crate::args::{Around, PlanArgs};
use crate::codes;
use crate::error::{Failure, Result};
use crate::sources;
use crate::verbs::Session;
use crate::verbs::problem::ProblemView;
use crate::verbs::stack::{own, variables};

/// The stacks of `--stack`.
pub(super) struct Local {
    pub(super) sources: Vec<StackSource>,
}

/// Loads the stacks that the arguments name, so that what is wrong with them is told before
/// anybody is asked.
pub(super) fn stacks(session: &Session, args: &PlanArgs) -> Result<Local> {
    if args.stack.is_empty() {
        return Ok(Local { sources: Vec::new() });
    }
    let variables = variables(&args.variables, Around::Process)?;
    let sources = sources::local(&args.stack, &variables)?;
    for source in &sources {
        let name = &source.declaration().name;
        let read = source.load().map_err(|error| match error.problems() {
            Some(problems) => invalid(name.as_str(), problems),
            None => {
                let mut failure = Failure::of(error.code(), &error);
                failure.push_cause(error.reason());
                failure.next("check the path")
            }
        })?;
        for warning in &read.loaded.warnings {
            session.printer.warn(&ProblemView::new(warning).text());
        }
    }
    Ok(Local { sources })
}

fn invalid(stack: &str, problems: &Problems) -> Failure {
    let message = format!("the stack {stack} is not valid");
    let mut failure = Failure::new(codes::SOURCE_INVALID, message);
    for problem in problems {
        failure.push_cause(ProblemView::new(problem).text());
    }
    failure.next("correct it, then: skep stack validate FILE")
}

impl Local {
    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Leaves what the plan is about: the stacks, when there are some.
    pub(super) fn restrict(&self, planned: &mut Planned) {
        if !self.is_empty() {
            own::restrict(planned, &self.names());
        }
    }

    fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.declaration().name.to_string()).collect()
    }

    /// Whether docker would deploy the stacks.
    ///
    /// # Errors
    /// Everything that it would refuse, with the place.
    pub(super) fn is_acceptable(&self, planned: &Planned) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let steps = planned.plan.steps.iter();
        let mut refused: Vec<(String, String)> =
            steps.filter_map(|step| refusal(planned, step)).collect();
        // What is held back by something else says nothing that the other does not say.
        if refused.iter().any(|(code, _)| code != codes::STACK_BLOCKED) {
            refused.retain(|(code, _)| code != codes::STACK_BLOCKED);
        }
        let Some((code, _)) = refused.first() else { return Ok(()) };
        let code = codes::CODES.iter().find(|known| known.word == code);
        let message = "docker would refuse to deploy this".to_owned();
        let mut failure = Failure::new(code.map_or(codes::BLOCKED, |code| code.word), message);
        for (_, text) in refused {
            failure.push_cause(text);
        }
        Err(failure)
    }
}

fn refusal(planned: &Planned, step: &Step) -> Option<(String, String)> {
    let place = step.provenance.as_ref()?;
    if let Some(blocked) = &step.blocked {
        let text = format!("{place}: {}: {} ({})", step.target, blocked.message, blocked.hint);
        return Some((blocked.code.clone(), text));
    }
    // Docker looks for the services of a stack by this label, and then cannot make a second one.
    let namespace = |spec: &skep_core::spec::Spec| {
        let label = spec.value().pointer("/Labels")?.get(labels::STACK_NAMESPACE)?.clone();
        label.as_str().map(str::to_owned)
    };
    let service = planned.desired.services.get(&step.target)?;
    let live = planned.snapshot.services.get(&step.target)?;
    let is_foreign =
        step.operation == Operation::Adopt && namespace(&live.spec) != namespace(&service.spec);
    is_foreign.then(|| {
        let text = format!(
            "{place}: a service {} exists already and is of no stack of this name; remove or rename \
             one of the two, or adopt it: skep service adopt {}",
            step.target, step.target
        );
        (codes::FOREIGN_NAME.to_owned(), text)
    })
}
