//! A scenario: what happens in a world, step by step.

use std::sync::Arc;
use std::time::Duration;

use skep_core::action::ActuatorMode;
use skep_core::request::RequestVerb;
use skep_store::Decision;
use skep_swarm::fake::FakeSwarm;

use crate::tap::Process;
use crate::world::World;

/// One thing that happens.
#[derive(Clone)]
pub enum Step {
    /// The registry says this from now on; each line is one service.
    Declare(&'static str),
    /// The policy says this from now on.
    Policy(&'static str),
    /// The actuator from now on.
    Mode(ActuatorMode),
    /// A pass by hand that does not wait for rollouts.
    Pass,
    /// A pass by hand that waits for the rollouts that it began.
    PatientPass,
    /// The loop, for so long.
    Serve(Duration),
    /// A person decides everything that waits.
    Decide(Decision),
    /// A person asks for something by hand.
    Ask(&'static str, RequestVerb),
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
}

impl World {
    /// Takes a step.
    pub async fn take(&mut self, step: &Step) {
        match step {
            Step::Declare(services) => self.files.declare(services),
            Step::Policy(policy) => self.files.policy(policy),
            Step::Mode(mode) => self.mode = *mode,
            Step::Pass | Step::PatientPass | Step::Serve(_) => {
                let process = self.process();
                self.run(&process, step).await;
            }
            Step::Decide(decision) => self.decide(*decision).await,
            Step::Ask(name, verb) => self.ask(name, verb.clone()).await,
            Step::Swarm(change) => change(&self.swarm),
            Step::Rest(time) => tokio::time::sleep(*time).await,
        }
    }

    /// What a process does in a step; a pass in any other one.
    pub async fn run(&self, process: &Arc<Process>, step: &Step) {
        match step {
            Step::Serve(length) => self.serve(process, *length).await,
            Step::PatientPass => drop(self.pass(process, true).await),
            _ => drop(self.pass(process, false).await),
        }
    }

    /// Brings the files and settings to where they are before step `next`.
    pub fn replay_settings(&mut self, scenario: &Scenario, next: usize) {
        let steps = scenario.before.iter().chain(scenario.steps.iter().take(next));
        for step in steps {
            match step {
                Step::Declare(services) => self.files.declare(services),
                Step::Policy(policy) => self.files.policy(policy),
                Step::Mode(mode) => self.mode = *mode,
                _ => {}
            }
        }
    }
}
