//! A plan after people have had their say: what is contained waits, what is protected is blocked.

use super::{Plan, Step, Summary, Waiting, classify};

impl Plan {
    /// Takes the steps out that something holds back, and says so in their place; `change` may
    /// also block a step. The plan is then another one, with its own digest.
    #[must_use]
    pub fn guarded(
        mut self,
        change: impl Fn(&mut [Step]),
        held: impl Fn(&Step) -> Option<Waiting>,
    ) -> Self {
        change(&mut self.steps);
        let unchanged = self.summary.unchanged;
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in self.steps {
            match held(&step) {
                Some(waiting) => self.waiting.push(waiting),
                None => steps.push(step),
            }
        }
        let digest = classify::digest_of(&self.cluster_id, &steps);
        Self {
            plan_id: classify::id_of(&digest),
            digest,
            summary: Summary::count(&steps, unchanged),
            steps,
            ..self
        }
    }
}
