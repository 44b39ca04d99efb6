//! The JSON Schemas of the files that people write: print, write, compare.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::args::SchemaArgs;
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::{Items, Printer};

/// `skep schema`.
pub(super) fn run(printer: &Printer, args: &SchemaArgs) -> Result<u8> {
    let schemas = skep_crds::schemas();
    if let Some(folder) = &args.write {
        return write(printer, folder, &schemas);
    }
    if let Some(folder) = &args.check {
        return check(printer, folder, &schemas);
    }
    match &args.name {
        Some(name) => show(printer, name, &schemas),
        None => {
            let items = schemas.iter().map(|(name, _)| Named { name }).collect();
            printer.data(&Items { items }, |list, _| {
                list.items.iter().map(|named| format!("{}\n", named.name)).collect()
            })?;
            Ok(exit::OK)
        }
    }
}

type Schemas = [(&'static str, Value)];

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// The form in which schemas are kept in files.
fn file_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn show(printer: &Printer, name: &str, schemas: &Schemas) -> Result<u8> {
    let short = |full: &str| full.trim_end_matches(".schema.json").to_owned();
    let found = schemas.iter().find(|(full, _)| *full == name || short(full) == name);
    let Some((_, schema)) = found else {
        let near = skep_yaml::did_you_mean(name, schemas.iter().map(|(name, _)| *name));
        let failure = Failure::new(codes::NOT_FOUND, format!("there is no schema {name:?}"));
        return Err(failure.next(match near {
            Some(near) => format!("skep schema {near}"),
            None => "skep schema".to_owned(),
        }));
    };
    printer.data(schema, |schema, _| file_text(schema))?;
    Ok(exit::OK)
}

fn write(printer: &Printer, folder: &Path, schemas: &Schemas) -> Result<u8> {
    let failed = |path: &Path, error: &io::Error| {
        let mut failure =
            Failure::new(codes::OUTPUT_FAILED, format!("cannot write {}", path.display()));
        failure.push_cause(error.to_string());
        failure
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, schema) in schemas {
        let path = folder.join(name);
        fs::write(&path, file_text(schema)).map_err(|error| failed(&path, &error))?;
        printer.note(&format!("wrote {}", path.display()));
    }
    Ok(exit::OK)
}

fn check(printer: &Printer, folder: &Path, schemas: &Schemas) -> Result<u8> {
    let stale: Vec<String> = schemas
        .iter()
        .filter(|(name, schema)| {
            fs::read_to_string(folder.join(name)).ok().as_ref() != Some(&file_text(schema))
        })
        .map(|(name, _)| folder.join(name).display().to_string())
        .collect();
    if stale.is_empty() {
        printer.note(&format!("the schemas in {} are up to date", folder.display()));
        return Ok(exit::OK);
    }
    let mut failure = Failure::new(
        codes::SCHEMA_STALE,
        format!("{} of {} schema files differ from this version", stale.len(), schemas.len()),
    )
    .next(format!("skep schema --write {}", folder.display()));
    for path in stale {
        failure.push_cause(format!("{path} is stale or missing"));
    }
    Err(failure)
}
