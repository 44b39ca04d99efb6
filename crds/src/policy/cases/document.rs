//! A file of cases as it is written.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use skep_yaml::{Cursor, Resolved};

use super::{Allowed, Case, CaseOverride, Expect, Fleet, Readable};
use crate::format::{Flag, Format, Spanned, Text, Whole, mapping};
use crate::policy::Tier;

/// The most services and the longest age that a case may name.
const MOST: i64 = 1_000_000_000;

mapping! {
    /// Questions to a policy with the answers that it must give.
    pub(crate) struct CasesDocument {
        /// Version of the format.
        version: Option<Whole<u32, 1, 1>>,
        /// The cases; each is asked by itself.
        pub(super) cases: Vec<Spanned<CaseDocument>>,
    }
}

mapping! {
    /// One question and its answer.
    pub(crate) struct CaseDocument {
        /// What the case is about, as a sentence.
        name: Text,
        /// The kind of action.
        action: Text,
        /// The service; any when left out.
        target: Option<Text>,
        /// The domain of the service; default when left out.
        domain: Option<Text>,
        /// Who proposes it; manual, a person, when left out.
        source: Option<Text>,
        /// Parameters by name; those that are not given are not checked.
        parameters: Option<Values>,
        /// Whether these are all parameters, so that a missing one is an error.
        complete: Option<Flag>,
        /// Sensitive fields that it touches: words such as mounts, or JSON pointers.
        sensitive: Option<Vec<Text>>,
        /// Why the plan itself wants a person.
        confirm: Option<Text>,
        /// When it is asked, for maintenance windows; 2026-01-01T12:00:00Z when left out.
        at: Option<Text>,
        /// Whether ACTION_IRREVERSIBILITY_AVERSION is on.
        irreversibility_aversion: Option<Flag>,
        /// What was allowed before; nothing when left out.
        ledger: Option<LedgerFormat>,
        /// The fleet; a hundred services that are all up when left out.
        fleet: Option<FleetDocument>,
        /// Stored overrides in front of the file's rules; none when left out.
        overrides: Option<OverridesFormat>,
        /// What the policy must answer.
        expect: ExpectDocument,
    }
}

mapping! {
    /// An action that was allowed before.
    pub(crate) struct AllowedDocument {
        /// The kind of action.
        action: Text,
        /// The service.
        target: Text,
        /// How many seconds before the question.
        ago_s: Whole<u64, 0, MOST>,
        /// How many of them; 1 when left out.
        times: Option<Whole<u32, 1, 1000>>,
    }
}

mapping! {
    /// The fleet in numbers.
    pub(crate) struct FleetDocument {
        /// How many services.
        services: Whole<u64, 0, MOST>,
        /// The services that are down or being changed.
        unavailable: Option<Vec<Text>>,
    }
}

mapping! {
    /// A stored override.
    pub(crate) struct OverrideDocument {
        /// Glob over the action kind; * when left out.
        kind: Option<Text>,
        /// Glob over the target; * when left out.
        target: Option<Text>,
        /// Glob over the domain; * when left out.
        domain: Option<Text>,
        /// What happens to a matching action; forbidden is a freeze.
        tier: Tier,
        /// The highest comes first.
        priority: Option<Whole<i64, -1000, 1_000_000>>,
    }
}

mapping! {
    /// What the policy must answer; what is left out is not compared.
    pub(crate) struct ExpectDocument {
        /// allow, allow_notify, queue_approval or deny.
        decision: DecisionWord,
        /// The tier of the rule that decides.
        tier: Option<Tier>,
        /// The check that decides, for example rate_limit or outside_window.
        cause: Option<Text>,
        /// The name of the rule that decides; without a name it is called KIND on TARGET, and
        /// defaults stands for no rule.
        rule: Option<Text>,
        /// A part of the reason.
        reason: Option<Text>,
        /// Names of rules that are not enforced and would have decided otherwise.
        warnings: Option<Vec<Text>>,
    }
}

/// A list of what was allowed, or the word `unreadable`.
pub(crate) struct LedgerFormat;

/// A list of overrides, or the word `unreadable`.
pub(crate) struct OverridesFormat;

const UNREADABLE: &str = "unreadable";

fn readable<F: Format>(at: &Cursor<'_>) -> Option<Readable<F::Value>> {
    match at.resolved() {
        Some(_) => {
            at.word(&[(UNREADABLE, ())])?;
            Some(Readable::Unreadable)
        }
        None => Vec::<F>::read(at).map(Readable::Read),
    }
}

fn readable_schema<F: Format>(generator: &mut SchemaGenerator) -> Schema {
    let list = Vec::<F>::schema(generator);
    json_schema!({ "anyOf": [{ "enum": [UNREADABLE] }, list] })
}

impl Format for LedgerFormat {
    type Value = Readable<AllowedDocument>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        readable::<AllowedDocument>(at)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        readable_schema::<AllowedDocument>(generator)
    }
}

impl Format for OverridesFormat {
    type Value = Readable<OverrideDocument>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        readable::<OverrideDocument>(at)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        readable_schema::<OverrideDocument>(generator)
    }
}

/// The decisions by their words.
pub(crate) struct DecisionWord;

const DECISIONS: [&str; 4] = ["allow", "allow_notify", "queue_approval", "deny"];

impl Format for DecisionWord {
    type Value = &'static str;

    fn read(at: &Cursor<'_>) -> Option<&'static str> {
        at.word(&DECISIONS.map(|word| (word, word)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": DECISIONS })
    }
}

/// Scalars by name.
pub(crate) struct Values;

impl Format for Values {
    type Value = BTreeMap<String, Value>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let map = at.map()?;
        let read: Vec<_> = map
            .entries()
            .map(|(entry, value)| Some((entry.key.clone(), scalar(&value)?)))
            .collect();
        read.into_iter().collect()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let scalar = json_schema!({ "type": ["string", "number", "boolean"] });
        json_schema!({ "type": "object", "additionalProperties": scalar })
    }
}

fn scalar(at: &Cursor<'_>) -> Option<Value> {
    match at.resolved() {
        Some(Resolved::Bool(value)) => Some(value.into()),
        Some(Resolved::Int(value)) => match i64::try_from(value) {
            Ok(value) => Some(value.into()),
            Err(_) => {
                at.expected("a smaller number");
                None
            }
        },
        Some(Resolved::Float(value)) => Some(value.into()),
        Some(Resolved::Text(value) | Resolved::Timestamp(value)) => Some(value.into()),
        Some(Resolved::Null) | None => {
            at.expected("a text, a number, true or false");
            None
        }
    }
}

impl<T> Readable<T> {
    fn map<U>(self, one: impl Fn(T) -> U) -> Readable<U> {
        match self {
            Self::Unreadable => Readable::Unreadable,
            Self::Read(list) => Readable::Read(list.into_iter().map(one).collect()),
        }
    }
}

impl From<Spanned<CaseDocument>> for Case {
    fn from(read: Spanned<CaseDocument>) -> Self {
        let Spanned { value: case, location } = read;
        let nothing = || Readable::Read(Vec::new());
        Self {
            name: case.name,
            location,
            action: case.action,
            target: case.target.unwrap_or_default(),
            domain: case.domain.unwrap_or_else(|| "default".to_owned()),
            source: case.source.unwrap_or_else(|| "manual".to_owned()),
            parameters: case.parameters.unwrap_or_default(),
            complete: case.complete.unwrap_or(false),
            sensitive: case.sensitive.unwrap_or_default(),
            confirm: case.confirm,
            at: case.at,
            irreversibility_aversion: case.irreversibility_aversion.unwrap_or(false),
            ledger: case.ledger.map_or_else(nothing, |ledger| {
                ledger.map(|allowed| Allowed {
                    action: allowed.action,
                    target: allowed.target,
                    ago_s: allowed.ago_s,
                    times: allowed.times.unwrap_or(1),
                })
            }),
            fleet: case.fleet.map(|fleet| Fleet {
                services: fleet.services,
                unavailable: fleet.unavailable.unwrap_or_default(),
            }),
            overrides: case
                .overrides
                .map_or_else(|| Readable::Read(Vec::new()), |overrides| overrides.map(Into::into)),
            expect: Expect {
                decision: case.expect.decision,
                tier: case.expect.tier,
                cause: case.expect.cause,
                rule: case.expect.rule,
                reason: case.expect.reason,
                warnings: case.expect.warnings,
            },
        }
    }
}

impl From<OverrideDocument> for CaseOverride {
    fn from(read: OverrideDocument) -> Self {
        let glob = |glob: Option<String>| glob.unwrap_or_else(|| "*".to_owned());
        Self {
            kind: glob(read.kind),
            target: glob(read.target),
            domain: glob(read.domain),
            tier: read.tier,
            priority: read.priority.unwrap_or(0),
        }
    }
}
