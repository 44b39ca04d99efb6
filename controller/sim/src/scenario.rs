//! A scenario: what happens in a world, step by step.

use std::sync::Arc;
use std::time::Duration;

use skep_core::action::ActuatorMode;
use skep_core::containment::ContainmentVerb;
use skep_core::request::RequestVerb;
use skep_store::Decision;
use skep_swarm::fake::{FakeSwarm, Fault};

use crate::people::Target;
use crate::tap::Process;
use crate::world::World;

/// One thing that happens.
#[derive(Clone)]
pub enum Step {
    /// The registry says this from now on; each line is one service.
    Declare(&'static str),
    /// Files of a stack say this from now on: a name and its text each.
    Put(&'static [(&'static str, &'static str)]),
    /// The policy says this from now on.
    Policy(&'static str),
    /// The actuator from now on.
    Mode(ActuatorMode),
    /// A pass by hand that does not wait for rollouts.
    Pass,
    /// A pass by hand that waits for the rollouts that it began.
    PatientPass,
    /// A process that only contains.
    Contain,
    /// The loop, for so long.
    Serve(Duration),
    /// The loop for so long, and after the second time what a person does while it runs.
    ServeWhile(Duration, Duration, Box<Step>),
    /// A pass whose process dies where the last fault holds its write.
    Crash(&'static [Fault]),
    /// A person decides everything that waits.
    Decide(Decision),
    /// A person decides everything that waits as one decision.
    DecideTogether(Decision),
    /// A person asks for something by hand.
    Ask(&'static str, RequestVerb),
    /// A person pauses, kills or resumes.
    Order(ContainmentVerb, Target),
    /// A person kills a domain, or confirms it.
    KillDomain(&'static str, &'static [&'static str]),
    /// A person has what failed proposed again.
    Requeue,
    /// Something happens to the swarm.
    Swarm(fn(&FakeSwarm)),
    /// Time goes by.
    Rest(Duration),
}

/// What happens, and what was before.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What is disturbed nowhere.
    pub before: Vec<Step>,
    /// What is disturbed everywhere.
    pub steps: Vec<Step>,
    /// Whether everything is in the end as it was before [`Self::steps`].
    pub gives_back: bool,
    /// How many networks, configs and secrets of stacks there are in the end, when all is as
    /// declared and nothing is planned any more.
    pub leaves: Option<[usize; 3]>,
}

impl Scenario {
    pub(crate) fn new(name: &'static str, before: Vec<Step>, steps: Vec<Step>) -> Self {
        Self { name, before, steps, gives_back: false, leaves: None }
    }

    /// What was stopped in it is as it was.
    pub(crate) fn giving_back(self) -> Self {
        Self { gives_back: true, ..self }
    }

    /// In the end all is as declared, and there are so many networks, configs and secrets.
    pub(crate) fn leaving(self, networks: usize, configs: usize, secrets: usize) -> Self {
        Self { leaves: Some([networks, configs, secrets]), ..self }
    }
}

impl Step {
    /// True for what a process does, which can crash in it.
    fn is_of_a_process(&self) -> bool {
        matches!(
            self,
            Self::Pass
                | Self::PatientPass
                | Self::Contain
                | Self::Serve(_)
                | Self::ServeWhile(..)
                | Self::Crash(_)
        )
    }
}

impl World {
    /// Takes a step.
    pub async fn take(&mut self, step: &Step) {
        match step {
            Step::Declare(_) | Step::Put(_) | Step::Policy(_) | Step::Mode(_) => self.set(step),
            step if step.is_of_a_process() => {
                let process = self.process();
                self.run(&process, step).await;
            }
            Step::Swarm(change) => change(&self.swarm),
            Step::Rest(time) => tokio::time::sleep(*time).await,
            step => self.person(step).await,
        }
    }

    /// What a person does in a step.
    async fn person(&self, step: &Step) {
        match step {
            Step::Decide(decision) => self.decide(*decision).await,
            Step::DecideTogether(decision) => self.decide_together(*decision).await,
            Step::Ask(name, verb) => self.ask(name, verb.clone()).await,
            Step::Order(verb, target) => self.order(*verb, *target).await,
            Step::KillDomain(domain, services) => self.kill_domain(domain, services).await,
            Step::Requeue => self.requeue().await,
            _ => {}
        }
    }

    /// What a process does in a step; a pass in any other one.
    pub async fn run(&self, process: &Arc<Process>, step: &Step) {
        match step {
            Step::Contain => self.contain(process).await,
            Step::Serve(length) => self.serve(process, *length, async {}).await,
            Step::ServeWhile(length, after, what) => {
                let meanwhile = async {
                    tokio::time::sleep(*after).await;
                    self.person(what).await;
                };
                self.serve(process, *length, meanwhile).await;
            }
            Step::Crash(faults) => {
                faults.iter().for_each(|fault| self.swarm.fail_next(*fault));
                tokio::select! {
                    _ = self.pass(process, false) => panic!("nothing was held"),
                    () = self.swarm.held() => {}
                }
            }
            Step::PatientPass => drop(self.pass(process, true).await),
            _ => drop(self.pass(process, false).await),
        }
    }

    /// Brings the files and settings to where they are before step `next`.
    pub fn replay_settings(&mut self, scenario: &Scenario, next: usize) {
        let steps = scenario.before.iter().chain(scenario.steps.iter().take(next));
        steps.for_each(|step| self.set(step));
    }

    /// What a step says about the files and settings from now on.
    fn set(&mut self, step: &Step) {
        match step {
            Step::Declare(services) => self.files.declare(services),
            Step::Put(files) => files.iter().for_each(|(name, text)| self.files.put(name, text)),
            Step::Policy(policy) => self.files.policy(policy),
            Step::Mode(mode) => self.mode = *mode,
            _ => {}
        }
    }
}
