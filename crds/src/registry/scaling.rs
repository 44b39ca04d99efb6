//! The `scaling:` block: between which bounds, and by which signal, replicas follow the load.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, MapCursor};

use crate::format::{Format, Ratio, Whole, mapping};

/// The most replicas a service may have, and the most a step may change.
pub(crate) const MOST_REPLICAS: i64 = 100_000;

/// How a service is scaled, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas; never below `min`.
    pub max: u32,
    /// Name of the signal.
    pub signal: String,
    /// The signal's value per replica that scaling aims at; greater than 0.
    pub target: f64,
    /// Most replicas added at once.
    pub scale_up_step: u32,
    /// Most replicas taken away at once.
    pub scale_down_step: u32,
    /// Seconds without another change after one.
    pub cooldown_s: u32,
    /// Share of the target within which nothing is done.
    pub deadband: f64,
    /// Samples in a row that must ask for more.
    pub scale_up_stabilization_samples: u32,
    /// Samples in a row that must ask for less.
    pub scale_down_stabilization_samples: u32,
}

mapping! {
    /// Target tracking: how many replicas follow from a signal, within bounds.
    pub(crate) struct ScalingDocument {
        /// Fewest replicas; 1 when left out.
        min: Option<Whole<u32, 0, MOST_REPLICAS>>,
        /// Most replicas.
        max: Whole<u32, 0, MOST_REPLICAS>,
        /// Name of the signal to follow.
        signal: Signal,
        /// The signal's value per replica to aim at.
        target: Target,
        /// Most replicas added at once; 1 when left out.
        scale_up_step: Option<Whole<u32, 1, MOST_REPLICAS>>,
        /// Most replicas taken away at once; 1 when left out.
        scale_down_step: Option<Whole<u32, 1, MOST_REPLICAS>>,
        /// Seconds without another change after one; 300 when left out.
        cooldown_s: Option<Whole<u32, 0, 86_400>>,
        /// Share of the target within which nothing is done; 0.05 when left out.
        deadband: Option<Ratio>,
        /// Samples in a row that must ask for more; 1 when left out.
        scale_up_stabilization_samples: Option<Whole<u32, 1, 60>>,
        /// Samples in a row that must ask for less; 3 when left out.
        scale_down_stabilization_samples: Option<Whole<u32, 1, 60>>,
    }
    check bounds;
}

/// Fewest replicas when the block does not say.
const DEFAULT_MIN: u32 = 1;

fn bounds(read: &ScalingDocument, map: &MapCursor<'_>) -> Option<()> {
    let min = read.min.unwrap_or(DEFAULT_MIN);
    if read.max >= min {
        return Some(());
    }
    let at = map.optional("max").unwrap_or_else(|| map.cursor().clone());
    at.refuse("OUT_OF_RANGE", format!("max ({}) is less than min ({min})", read.max));
    None
}

impl From<ScalingDocument> for Scaling {
    fn from(read: ScalingDocument) -> Self {
        Self {
            min: read.min.unwrap_or(DEFAULT_MIN),
            max: read.max,
            signal: read.signal,
            target: read.target,
            scale_up_step: read.scale_up_step.unwrap_or(1),
            scale_down_step: read.scale_down_step.unwrap_or(1),
            cooldown_s: read.cooldown_s.unwrap_or(300),
            deadband: read.deadband.unwrap_or(0.05),
            scale_up_stabilization_samples: read.scale_up_stabilization_samples.unwrap_or(1),
            scale_down_stabilization_samples: read.scale_down_stabilization_samples.unwrap_or(3),
        }
    }
}

pub(crate) struct Signal;

const LONGEST_SIGNAL: usize = 128;

impl Format for Signal {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        if text.chars().count() > LONGEST_SIGNAL {
            at.refuse(
                "OUT_OF_RANGE",
                format!("a signal's name has at most {LONGEST_SIGNAL} characters"),
            );
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LONGEST_SIGNAL })
    }
}

pub(crate) struct Target;

const HIGHEST_TARGET: f64 = 1e12;

impl Format for Target {
    type Value = f64;

    fn read(at: &Cursor<'_>) -> Option<f64> {
        let target = at.number(f64::MIN..=f64::MAX)?;
        if target > 0.0 && target <= HIGHEST_TARGET {
            return Some(target);
        }
        at.refuse(
            "OUT_OF_RANGE",
            format!("expected a number above 0 and at most {HIGHEST_TARGET:e}, found {target}"),
        );
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_TARGET })
    }
}

/// A `scaling` key: a block, or `null` to switch scaling off.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ScalingChoice {
    Off,
    On(Scaling),
}

impl Format for ScalingChoice {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        if at.is_null() {
            return Some(Self::Off);
        }
        ScalingDocument::read(at).map(|read| Self::On(read.into()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let block = ScalingDocument::schema(generator);
        json_schema!({ "anyOf": [block, { "type": "null" }] })
    }
}
