//! Where a node is in its document, such as `services[3].name`.

use std::fmt;
use std::rc::Rc;

use crate::resolve::shorten;

/// A path as a list from the leaf to the root, so that a cursor costs no text until it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Path(Option<Rc<Segment>>);

#[derive(Debug)]
struct Segment {
    parent: Path,
    step: Step,
}

#[derive(Debug)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(crate) fn root() -> Self {
        Self(None)
    }

    pub(crate) fn join(&self, step: Step) -> Self {
        Self(Some(Rc::new(Segment { parent: self.clone(), step })))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(segment) = &self.0 else { return Ok(()) };
        segment.parent.fmt(f)?;
        match &segment.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => {
                if segment.parent.0.is_some() {
                    f.write_str(".")?;
                }
                // Who writes `TOKEN=value` as a key by mistake must not find the value in a log.
                match key.split_once('=') {
                    Some((name, _)) => write!(f, "{}=…", shorten(name)),
                    None => f.write_str(&shorten(key)),
                }
            }
        }
    }
}
