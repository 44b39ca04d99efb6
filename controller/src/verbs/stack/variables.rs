//! Variables for stack files: what is around, then files, then single ones.

use skep_crds::stack::{Variables, parse_env_file};
use skep_sources::{MAX_FILE_BYTES, read_file};

use crate::args::{Around, VariableArgs};
use crate::codes;
use crate::error::{Failure, Result};

/// The variables that the flags give.
pub(in crate::verbs) fn variables(args: &VariableArgs, default: Around) -> Result<Variables> {
    let process: Variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut variables = match args.environment.unwrap_or(default) {
        Around::Process => process.clone(),
        Around::None => Variables::default(),
    };
    for file in &args.env_file {
        let bytes = read_file(file, MAX_FILE_BYTES)
            .map_err(|error| Failure::of(error.code(), &error).next("check the path"))?;
        let lines = parse_env_file(&bytes, &variables).map_err(|bad| {
            let place = format!("{}:{}", file.display(), bad.line);
            let next = "each line is NAME=value, NAME, or begins with #";
            Failure::new(codes::SOURCE_INVALID, format!("{place}: {}", bad.message)).next(next)
        })?;
        for (name, value) in lines {
            variables.set(name, value);
        }
    }
    for given in &args.set {
        let (name, value) = match given.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (given.as_str(), process.get(given)),
        };
        if name.is_empty() {
            return Err(Failure::usage("--set needs a name: --set NAME=VALUE"));
        }
        let Some(value) = value else {
            let message = format!("the variable {name} is not set in the environment");
            return Err(Failure::usage(message).next(format!("--set {name}=VALUE")));
        };
        variables.set(name, value);
    }
    Ok(variables)
}
