//! What was measured: one line a figure, beside what it is compared with.

use std::time::Duration;

use serde_json::{Value, json};

/// The lines so far.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Line>);

#[derive(Debug)]
struct Line {
    row: u8,
    what: String,
    value: f64,
    unit: &'static str,
    budget: Option<f64>,
}

impl Table {
    /// A figure; with a budget it is to be at most that.
    pub(crate) fn note(
        &mut self,
        row: u8,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        budget: Option<f64>,
    ) {
        let line = Line { row, what: what.into(), value, unit, budget };
        eprintln!("{}", line.text());
        self.0.push(line);
    }

    /// The median and the 99th percentile of some times, in milliseconds.
    pub(crate) fn times(&mut self, row: u8, what: &str, times: &[Duration], budget: Option<f64>) {
        self.note(row, format!("{what}, median"), at(times, 0.5), "ms", None);
        self.note(row, format!("{what}, p99 of {}", times.len()), at(times, 0.99), "ms", budget);
    }

    pub(crate) fn print(&mut self, as_json: bool) {
        self.0.sort_by_key(|line| line.row);
        if as_json {
            println!("{}", Value::Array(self.0.iter().map(Line::json).collect()));
            return;
        }
        println!("| row | figure | value | budget | |\n|---|---|---|---|---|");
        for line in &self.0 {
            println!("{}", line.text());
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let Self { row, what, value, unit, budget } = self;
        let verdict = match budget {
            Some(budget) if value <= budget => "met",
            Some(_) => "**missed**",
            None => "",
        };
        let budget = budget.map(|budget| format!("≤ {budget} {unit}")).unwrap_or_default();
        format!("| {row} | {what} | {value:.2} {unit} | {budget} | {verdict} |")
    }

    fn json(&self) -> Value {
        let Self { row, what, value, unit, budget } = self;
        json!({"row": row, "figure": what, "value": value, "unit": unit, "budget": budget})
    }
}

/// Milliseconds at this share of the sorted times.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
pub(crate) fn at(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let index = (sorted.len().saturating_sub(1) as f64 * share).ceil() as usize;
    sorted.get(index).map_or(f64::NAN, |time| ms(*time))
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
