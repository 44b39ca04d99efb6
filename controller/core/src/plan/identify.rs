//! What a step is known by: its digest, its id, and the group of steps that do the same.

use serde_json::Value;

use super::Step;
use crate::approval::group_key;
use crate::canonical::Digest;
use crate::digester::{Digester, Purpose};
use crate::identity::StepId;

impl Step {
    /// Gives the step the digest of its content, and what follows from it.
    pub(crate) fn identify(&mut self, digester: &Digester, content: &Value) {
        self.digest = digester.digest(Purpose::Step, content);
        self.complete(digester);
    }

    /// Turns what a step has from before digests had a key into what the same content gives now.
    pub fn give_key(&mut self, digester: &Digester) {
        self.digest = digester.keyed(Purpose::Step, &self.digest);
        let keyed = |plain: &Digest| digester.keyed(Purpose::Difference, plain);
        self.difference = self.difference.as_ref().map(keyed);
        self.complete(digester);
    }

    fn complete(&mut self, digester: &Digester) {
        self.id = StepId::new(format!("{}-{}", self.digest.short(8), self.target));
        self.group = group_key(digester, self);
    }
}
