//! The settings in force, and the generated reference pages.

use serde::Serialize;

use super::Session;
use crate::args::ReferencePage;
use crate::codes;
use crate::config::value::Value;
use crate::config::{Resolved, reference};
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Printer};

#[derive(Serialize)]
struct SettingView<'a> {
    key: &'a str,
    value: Option<&'a str>,
    origin: String,
    environment: &'a [&'a str],
    flag: Option<&'a str>,
    default: Option<&'a str>,
    doc: &'a str,
}

impl<'a> SettingView<'a> {
    fn new(found: &'a Resolved) -> Self {
        Self {
            key: found.setting.key,
            // What is in force: an unknown word for the actuator counts as the dry run.
            value: found.value.as_ref().map(|value| match value {
                Value::Actuator(mode, _) => mode.as_str(),
                _ => found.shown.as_str(),
            }),
            origin: found.origin.to_string(),
            environment: found.setting.variables,
            flag: found.setting.flag,
            default: found.setting.default,
            doc: found.setting.doc,
        }
    }
}

/// `skep config show`.
pub(super) fn show(session: &Session, origin: bool) -> Result<u8> {
    for warning in &session.config.warnings {
        session.printer.warn(warning);
    }
    if let Some(file) = &session.config.file {
        session.printer.note(&format!("configuration file: {}", file.display()));
    }
    let items = session.config.all().iter().map(SettingView::new).collect();
    session.printer.data(&Items { items }, |list, style| {
        let value = |setting: &SettingView<'_>| setting.value.unwrap_or("(none)").to_owned();
        if origin {
            let mut columns = Columns::new(["KEY", "VALUE", "ORIGIN"]);
            for setting in &list.items {
                columns.row([setting.key.to_owned(), value(setting), setting.origin.clone()]);
            }
            columns.text(style, "")
        } else {
            let mut columns = Columns::new(["KEY", "VALUE"]);
            for setting in &list.items {
                columns.row([setting.key.to_owned(), value(setting)]);
            }
            columns.text(style, "")
        }
    })?;
    Ok(exit::OK)
}

/// `skep config reference`.
pub(super) fn reference(printer: &Printer, page: ReferencePage) -> Result<u8> {
    printer.raw(&match page {
        ReferencePage::Settings => reference::markdown(),
        ReferencePage::Errors => codes::markdown(),
        ReferencePage::Stacks => super::stack::reference::markdown(),
    })?;
    Ok(exit::OK)
}
