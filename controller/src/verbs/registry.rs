//! Checking registry files: every problem in one go, with its place.

pub(super) mod import;

use serde::Serialize;
use skep_sources::RegistrySource;

use crate::args::ValidateArgs;
use crate::error::{Failure, Result, exit};
use crate::output::{Format, Printer};
use crate::verbs::problem::ProblemView;

#[derive(Serialize)]
struct Validation {
    valid: bool,
    problems: Vec<ProblemView>,
    services: usize,
}

/// `skep registry validate`.
pub(super) fn validate(printer: &Printer, args: &ValidateArgs) -> Result<u8> {
    let source =
        RegistrySource::new(args.files.clone(), args.overlay.clone(), args.profile.clone());
    let validation = match source.load() {
        Ok(loaded) => Validation {
            valid: true,
            problems: loaded.warnings.iter().map(ProblemView::new).collect(),
            services: loaded.registry.services.len(),
        },
        Err(error) => match error.problems() {
            Some(problems) => Validation {
                valid: false,
                problems: problems.iter().map(ProblemView::new).collect(),
                services: 0,
            },
            None => {
                let failure = Failure::of(error.code(), &error);
                if printer.format() == Format::Table {
                    return Err(failure.next("check the path"));
                }
                // Programs get one shape, whatever is wrong with the file.
                let file = args.files.first().map(|path| path.display().to_string());
                let problem = ProblemView::of_file(file.unwrap_or_default(), failure);
                Validation { valid: false, problems: vec![problem], services: 0 }
            }
        },
    };
    printer.data(&validation, |validation, style| {
        let mut text: String =
            validation.problems.iter().map(|problem| format!("{}\n", problem.text())).collect();
        let total = match (validation.valid, validation.problems.len()) {
            (true, 0) => style.green(&format!("valid: {} services", validation.services)),
            (true, n) => {
                style.yellow(&format!("valid: {} services, {n} warnings", validation.services))
            }
            (false, 1) => style.red("not valid: 1 problem"),
            (false, n) => style.red(&format!("not valid: {n} problems")),
        };
        text.push_str(&total);
        text.push('\n');
        text
    })?;
    Ok(if validation.valid { exit::OK } else { exit::FAILED })
}
