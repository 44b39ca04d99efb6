//! `skep stack lint`.

use serde::Serialize;
use skep_crds::stack::lint::{self, Level, Levels, RULES};
use skep_sources::StackFiles;

use super::{Judged, ProblemView, judge, tell, variables};
use crate::args::{Around, LintStackArgs};
use crate::error::{Failure, Result, exit};
use crate::output::{Items, Printer, table::Columns};

/// `skep stack lint`.
pub(super) fn lint(printer: &Printer, args: &LintStackArgs) -> Result<u8> {
    let levels = levels(args)?;
    if args.rules {
        return rules(printer, &levels);
    }
    let variables = variables(&args.variables, Around::None)?;
    let loaded = StackFiles::new(args.files.clone()).load(&variables);
    let mut judgement = judge(printer, &args.files, loaded.as_ref())?;
    if let Ok(loaded) = &loaded {
        for finding in lint::lint(loaded, &levels) {
            judgement.valid &= finding.level != Level::Deny;
            let problem = ProblemView::new(&finding.problem);
            judgement.problems.push(Judged { level: finding.level.as_str(), problem });
        }
        judgement.problems.sort_by(|one, other| {
            let place = |judged: &Judged| (judged.problem.line, judged.problem.column);
            one.problem.file.cmp(&other.problem.file).then(place(one).cmp(&place(other)))
        });
    }
    tell(printer, &judgement)
}

/// The levels of the rules; the last flag that is the strictest wins.
fn levels(args: &LintStackArgs) -> Result<Levels> {
    let mut levels = Levels::default();
    let given = [(&args.off, Level::Off), (&args.warn, Level::Warn), (&args.deny, Level::Deny)];
    // `all` first, so that a rule of its own is an exception.
    for all in [true, false] {
        for (codes, level) in &given {
            for code in codes.iter().filter(|code| (*code == "all") == all) {
                if !levels.set(code, *level) {
                    let known = RULES.iter().map(|rule| rule.code);
                    let mut failure = Failure::usage(format!("there is no rule {code}"));
                    if let Some(word) = skep_yaml::did_you_mean(code, known) {
                        failure.push_cause(format!("did you mean {word}?"));
                    }
                    return Err(failure.next("skep stack lint --rules"));
                }
            }
        }
    }
    Ok(levels)
}

#[derive(Serialize)]
struct RuleView {
    rule: &'static str,
    level: &'static str,
    asks: &'static str,
}

fn rules(printer: &Printer, levels: &Levels) -> Result<u8> {
    let items: Vec<RuleView> = RULES
        .iter()
        .map(|rule| RuleView {
            rule: rule.code,
            level: levels.of(rule.code).as_str(),
            asks: rule.asks,
        })
        .collect();
    printer.data(&Items { items }, |list, style| {
        let mut columns = Columns::new(["RULE", "LEVEL", "ASKS FOR"]);
        for rule in &list.items {
            columns.row([rule.rule, rule.level, rule.asks]);
        }
        columns.text(style, "no rules")
    })?;
    Ok(exit::OK)
}
