//! One declared stack as a source: its files, its variables, and what both name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_crds::stack::lint::{Level, lint};
use skep_crds::stack::{self, Files, Loaded, Variables, parse_env_file};
use skep_crds::stacks::{
    FirstRollout, GitOrigin, OnFailure, Origin, StackDeclaration, StackVariables,
};
use skep_crds::value::{EnvValue, Name};
use skep_yaml::{Location, Problem, Problems};

use crate::Error;
use crate::bundle::{Commit, Role, SourceBundle, SourceFile};
use crate::checkout::Checkout;
use crate::file::{MAX_FILE_BYTES, read_file};
use crate::last_good::{Content, Source};
use crate::references::resolve;
use crate::stack::{LocalFiles, cleaned};

/// A declared stack.
#[derive(Clone, Debug)]
pub struct StackSource {
    declaration: StackDeclaration,
    /// The folder that a folder of the declaration begins at.
    base: PathBuf,
    /// Variables that are there besides those of the declaration.
    around: Variables,
}

/// A stack with the bytes that it came from.
#[derive(Debug)]
pub struct LoadedStack {
    /// What its files say.
    pub loaded: Loaded,
    /// The files.
    pub bundle: SourceBundle,
}

impl LoadedStack {
    /// The commit of the files, when they came from git.
    #[must_use]
    pub const fn commit(&self) -> Option<&Commit> {
        self.bundle.commit.as_ref()
    }
}

impl StackSource {
    /// A stack of the stacks file at this path.
    #[must_use]
    pub fn declared(declaration: StackDeclaration, stacks_file: &Path) -> Self {
        let base = stacks_file.parent().unwrap_or(Path::new("")).to_owned();
        Self { declaration, base, around: Variables::default() }
    }

    /// A stack of these files that no stacks file declares, with these variables around.
    #[must_use]
    pub fn local(name: Name, files: &[PathBuf], around: Variables) -> Self {
        let shown: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let location = Location::whole_file(shown.first().map_or("", String::as_str));
        let declaration = StackDeclaration {
            name,
            files: shown,
            source: Origin::Folder(String::new()),
            variables: StackVariables::default(),
            prune: false,
            domain: skep_crds::registry::DEFAULT_DOMAIN.to_owned(),
            depends_on: Vec::new(),
            on_failure: OnFailure::default(),
            rollout: FirstRollout::default(),
            lint: None,
            interval: skep_crds::value::Duration::from_nanos(0),
            location,
        };
        Self { declaration, base: PathBuf::new(), around }
    }

    /// The declaration.
    #[must_use]
    pub const fn declaration(&self) -> &StackDeclaration {
        &self.declaration
    }

    /// The repository that the files come from, if any.
    #[must_use]
    pub const fn repository(&self) -> Option<&GitOrigin> {
        match &self.declaration.source {
            Origin::Git(git) => Some(git),
            Origin::Folder(_) => None,
        }
    }

    /// Reads the files of this machine now. Blocks.
    ///
    /// # Errors
    /// When a file cannot be read, or what they say is not valid or breaks a rule that denies.
    pub fn load(&self) -> Result<LoadedStack, Error> {
        self.build(&LocalFiles, None, &|path| read_file(Path::new(path), MAX_FILE_BYTES))
    }

    /// Reads the files of a commit. Blocks.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_from(&self, checkout: &Checkout) -> Result<LoadedStack, Error> {
        self.build(checkout, Some(&checkout.commit), &|path| {
            checkout.read(path).map_err(|reason| Error::NotInCommit {
                path: path.trim_start_matches('/').to_owned(),
                commit: checkout.commit.id.clone(),
                reason,
            })
        })
    }

    /// What must be watched besides what a loaded bundle names: files that may appear.
    ///
    /// # Errors
    /// When the current folder is not known.
    pub fn paths(&self) -> Result<Vec<PathBuf>, Error> {
        if self.repository().is_some() {
            return Ok(Vec::new());
        }
        let folder = self.folder()?;
        let files = self.declaration.files.iter().chain(&self.declaration.variables.files);
        Ok(files.map(|file| Path::new(&join(&folder, file)).to_owned()).collect())
    }

    /// Where relative paths begin, as an absolute one. For a commit it is the folder of the source.
    fn folder(&self) -> Result<String, Error> {
        let Origin::Folder(folder) = &self.declaration.source else { return Ok("/".to_owned()) };
        // A local stack names whole paths; its folder is that of its first file.
        let first = self.declaration.files.first().map_or("", String::as_str);
        let folder = match folder.as_str() {
            "" => Path::new(first).parent().unwrap_or(Path::new("")).to_owned(),
            folder => self.base.join(folder),
        };
        let path = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        let whole = std::path::absolute(path)
            .map_err(|source| Error::Read { path: folder.clone(), source })?;
        Ok(cleaned(&whole))
    }

    /// The absolute path of a stack file, and what people call it.
    fn named(&self, folder: &str, file: &str) -> Result<(String, String), Error> {
        match &self.declaration.source {
            Origin::Folder(own) if own.is_empty() => {
                let whole = std::path::absolute(file)
                    .map_err(|source| Error::Read { path: file.into(), source })?;
                Ok((cleaned(&whole), file.to_owned()))
            }
            Origin::Folder(own) => {
                let shown = self.base.join(own).join(file);
                let shown: PathBuf =
                    shown.components().filter(|part| part.as_os_str() != ".").collect();
                Ok((join(folder, file), shown.display().to_string()))
            }
            Origin::Git(git) if git.folder.is_empty() => Ok((join(folder, file), file.to_owned())),
            Origin::Git(git) => {
                let shown = format!("{}/{file}", git.folder.trim_end_matches('/'));
                Ok((join(folder, file), shown))
            }
        }
    }

    fn build(
        &self,
        files: &dyn Files,
        commit: Option<&Commit>,
        read: &dyn Fn(&str) -> Result<Vec<u8>, Error>,
    ) -> Result<LoadedStack, Error> {
        let folder = self.folder()?;
        let mut bundle = SourceBundle { files: Vec::new(), commit: commit.cloned() };
        let mut sources = Vec::new();
        for file in &self.declaration.files {
            let (path, shown) = self.named(&folder, file)?;
            let bytes = read(&path)?;
            sources.push(stack::Source { name: shown.into(), bytes: bytes.clone() });
            bundle.files.push(SourceFile { role: Role::Stack, path, bytes });
        }
        let variables = self.variables(&folder, read, &mut bundle)?;
        let recorder = Recorder { files, read: RefCell::default() };
        let invalid = |problems| Error::Invalid { problems };
        let mut loaded = stack::load(&sources, &folder, &variables, &recorder).map_err(invalid)?;
        let named = recorder.read.into_inner().into_iter();
        bundle.files.extend(named.map(|(path, bytes)| SourceFile {
            role: Role::Named,
            path,
            bytes,
        }));
        self.hold_against_rules(&mut loaded)?;
        Ok(LoadedStack { loaded, bundle })
    }

    /// What is around, then files, then single values.
    fn variables(
        &self,
        folder: &str,
        read: &dyn Fn(&str) -> Result<Vec<u8>, Error>,
        bundle: &mut SourceBundle,
    ) -> Result<Variables, Error> {
        let mut variables = self.around.clone();
        let mut problems = Problems::new();
        for file in &self.declaration.variables.files {
            let (path, shown) = self.named(folder, file)?;
            let bytes = read(&path)?;
            match parse_env_file(&bytes, &variables) {
                Ok(lines) => lines.into_iter().for_each(|(name, value)| variables.set(name, value)),
                Err(bad) => problems.push(Problem {
                    location: Location { file: shown.into(), line: bad.line, column: 1 },
                    path: String::new(),
                    code: "BAD_ENV_FILE",
                    message: bad.message.to_owned(),
                    hint: Some("each line is NAME=value, NAME, or begins with #".to_owned()),
                }),
            }
            bundle.files.push(SourceFile { role: Role::Variables, path, bytes });
        }
        for (name, value) in &self.declaration.variables.values {
            match (value, resolve(value)) {
                (EnvValue::Literal(text), _) => variables.set(name, text),
                (_, Ok(text)) => variables.set_hidden(name, text),
                (_, Err(why)) => problems.push(Problem {
                    location: self.declaration.location.clone(),
                    path: format!("variables.values.{name}"),
                    code: "VARIABLE_UNRESOLVED",
                    message: format!(
                        "the variable {name} of the stack {} has no value: {why}",
                        self.declaration.name
                    ),
                    hint: Some(
                        "set it in the environment of Skep, or make the file readable for it"
                            .to_owned(),
                    ),
                }),
            }
        }
        if problems.is_empty() { Ok(variables) } else { Err(Error::Invalid { problems }) }
    }

    /// Rules that deny refuse the stack; those that warn add to its warnings.
    fn hold_against_rules(&self, loaded: &mut Loaded) -> Result<(), Error> {
        let Some(levels) = &self.declaration.lint else { return Ok(()) };
        let mut denied = Problems::new();
        for finding in lint(loaded, levels) {
            let mut problem = finding.problem;
            problem.message = format!("{} ({})", problem.message, problem.code);
            if finding.level == Level::Deny {
                denied.push(problem);
            } else {
                loaded.warnings.push(problem);
            }
        }
        if denied.is_empty() { Ok(()) } else { Err(Error::Invalid { problems: denied }) }
    }
}

impl Source for StackSource {
    type Loaded = LoadedStack;

    /// References are resolved again.
    fn rebuild(&self, bundle: SourceBundle) -> Result<LoadedStack, Error> {
        let folder = self.folder()?;
        let mut named = Vec::new();
        for (role, files) in [
            (Role::Stack, &self.declaration.files),
            (Role::Variables, &self.declaration.variables.files),
        ] {
            for file in files {
                named.push((role, self.named(&folder, file)?.0));
            }
        }
        let stored = bundle.files.iter().filter(|file| file.role != Role::Named);
        let stored = stored.map(|file| (file.role, file.path.clone()));
        if !stored.eq(named) || bundle.commit.is_some() != self.repository().is_some() {
            let reason = "it is that of other files than those that are named now".to_owned();
            return Err(Error::Stored { reason });
        }
        let commit = bundle.commit.clone();
        let files: BTreeMap<String, Vec<u8>> =
            bundle.files.into_iter().map(|file| (file.path, file.bytes)).collect();
        let files = Arc::new(Stored(files));
        self.build(files.as_ref(), commit.as_ref(), &|path| {
            files.read(path).map_err(|reason| Error::Stored { reason })
        })
    }
}

impl Content for LoadedStack {
    fn bundle(&self) -> &SourceBundle {
        &self.bundle
    }

    fn is_same(&self, other: &Self) -> bool {
        // The values of references are in no file.
        self.bundle == other.bundle
            && self.loaded.stack == other.loaded.stack
            && self.loaded.hidden == other.loaded.hidden
    }
}

/// Remembers what was read.
struct Recorder<'a> {
    files: &'a dyn Files,
    read: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Files for Recorder<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let bytes = self.files.read(path)?;
        self.read.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// Files as they were read before.
struct Stored(BTreeMap<String, Vec<u8>>);

impl Files for Stored {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| format!("{path} was not kept"))
    }
}

fn join(folder: &str, file: &str) -> String {
    cleaned(&Path::new(folder).join(file))
}

#[cfg(test)]
mod tests;
