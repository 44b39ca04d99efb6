//! The images in use beside what their tags stand for.

use skep_core::image::short_digest;

use super::Session;
use crate::args::ImagesArgs;
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, plain};

/// `skep images`.
pub(super) async fn run(session: &Session, args: &ImagesArgs) -> Result<u8> {
    let wired = session.controller(&args.fleet.only, "images").await?;
    let items = wired.controller.images_in_use(args.check).await?;
    let list = Items { items };
    session.printer.data(&list, |list, style| {
        let mut columns = Columns::new(["IMAGE", "RUNNING", "NEWEST", "UPDATE", "SERVICES"]);
        for image in &list.items {
            let short = |digest: &Option<String>, none: &str| {
                digest.as_deref().map_or(none, short_digest).to_owned()
            };
            let update = match image.update_available {
                Some(true) => "available",
                Some(false) => "none",
                None => "-",
            };
            let services: Vec<_> = image.services.iter().map(|name| name.as_str()).collect();
            columns.row([
                image.image.clone(),
                short(&image.running, "(tag)"),
                short(&image.newest, "-"),
                update.to_owned(),
                services.join(", "),
            ]);
        }
        columns.text(style, "no image is in use")
    })?;
    for image in &list.items {
        if let Some(problem) = &image.problem {
            session.printer.warn(&plain(&format!("{}: {problem}", image.image)));
        }
    }
    if !args.check {
        session.printer.note("next: skep images --check asks the image registries");
    }
    Ok(exit::OK)
}
