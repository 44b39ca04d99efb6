//! `skep stack render`.

use base64::Engine as _;
use serde_json::{Map, Value, json};
use skep_core::desired::{self, EngineStack, FileObject};
use skep_crds::Problems;
use skep_crds::stack::{Loaded, Variables};
use skep_crds::value::Name;
use skep_sources::StackFiles;
use skep_yaml::{Item, emit};

use super::hide::Hide;
use super::variables;
use crate::args::{Around, RenderArgs};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::{Format, Printer};
use crate::verbs::problem::ProblemView;

/// `skep stack render`.
pub(super) fn render(printer: &Printer, args: &RenderArgs) -> Result<u8> {
    let variables = variables(&args.stack.variables, Around::Process)?;
    let loaded =
        StackFiles::new(args.stack.files.clone()).load(&variables).map_err(|error| match error
            .problems()
        {
            Some(problems) => invalid(problems),
            None => Failure::of(error.code(), &error).next("check the path"),
        })?;
    for warning in &loaded.warnings {
        printer.warn(&ProblemView::new(warning).text());
    }
    let mut data = match &args.name {
        Some(name) => engine(name, &loaded, args.reveal)?,
        None => serde_json::to_value(&loaded.stack)
            .map_err(|error| Failure::of(codes::INTERNAL, &error))?,
    };
    if !args.reveal {
        let hidden = hide(&loaded, &variables).all(&mut data);
        if hidden > 0 {
            printer.note(&format!(
                "{hidden} values may be secrets and are hidden; --reveal shows them"
            ));
        }
    }
    if printer.format() == Format::Json {
        printer.data(&data, |_, _| String::new())?;
    } else {
        // Read back by docker or by Skep, each text is still a text.
        printer.raw(&emit(&item(&data), 0))?;
    }
    Ok(exit::OK)
}

fn invalid(problems: &Problems) -> Failure {
    let message = match problems.len() {
        1 => "the stack is not valid: 1 problem".to_owned(),
        number => format!("the stack is not valid: {number} problems"),
    };
    let mut failure = Failure::new(codes::SOURCE_INVALID, message);
    for problem in problems {
        failure.push_cause(ProblemView::new(problem).text());
    }
    failure.next("correct it, then: skep stack validate FILE")
}

/// Texts that came from variables with secret names are hidden wherever they stand.
fn hide(loaded: &Loaded, variables: &Variables) -> Hide {
    Hide::new(
        loaded.variables.iter().filter_map(|name| Some((name.as_str(), variables.get(name)?))),
    )
}

/// What the engine would be asked for.
fn engine(name: &str, loaded: &Loaded, reveal: bool) -> Result<Value> {
    let name = Name::parse(name)
        .map_err(|why| Failure::usage(format!("{name} is no name of a stack: {why}")))?;
    let EngineStack { networks, external_networks, secrets, configs, services } =
        desired::stack(&name, loaded).map_err(|problems| invalid(&problems))?;
    let objects = |objects: Vec<FileObject>| -> Vec<Value> {
        objects.into_iter().map(|object| with_data(object, reveal)).collect()
    };
    Ok(json!({
        "networks": networks.into_iter().map(|network| network.request).collect::<Vec<_>>(),
        "external_networks": external_networks.into_keys().collect::<Vec<_>>(),
        "secrets": objects(secrets),
        "configs": objects(configs),
        "services": services.into_values().collect::<Vec<_>>(),
    }))
}

/// The spec with its data, as the engine takes it.
fn with_data(object: FileObject, reveal: bool) -> Value {
    let data = if reveal {
        base64::engine::general_purpose::STANDARD.encode(&object.data)
    } else {
        format!("<{} bytes hidden>", object.data.len())
    };
    let mut spec = object.spec;
    if let Value::Object(map) = &mut spec {
        map.insert("Data".to_owned(), Value::String(data));
    }
    spec
}

pub(super) fn item(value: &Value) -> Item {
    match value {
        Value::Null => Item::Null,
        Value::Bool(value) => Item::Bool(*value),
        Value::Number(number) => Item::Number(number.to_string()),
        Value::String(text) => Item::Text(text.clone()),
        Value::Array(items) => Item::List(items.iter().map(item).collect()),
        Value::Object(map) => Item::Map(entries(map)),
    }
}

fn entries(map: &Map<String, Value>) -> Vec<(String, Item)> {
    map.iter().map(|(key, value)| (key.clone(), item(value))).collect()
}
