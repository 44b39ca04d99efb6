//! What the sources need of git: the files of a commit.

use async_trait::async_trait;
use skep_core::push::Provider;
use skep_crds::stacks::GitOrigin;
use skep_sources::{Checkout, Commit};

/// Reads repositories.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// The files of the commit that the origin stands for now, for the stack of this name.
    /// `before` is the commit that was used last: one that is not made from it says so in
    /// [`Commit::replaces`].
    ///
    /// # Errors
    /// Why there is none, in words for the owner of the stack; never with a secret in them.
    async fn checkout(
        &self,
        stack: &str,
        origin: &GitOrigin,
        before: Option<&Commit>,
    ) -> Result<Checkout, String>;

    /// The files of the newest commit of a proposal to merge something into this repository, as
    /// the repository itself has it. The same rules hold as for [`Self::checkout`].
    ///
    /// # Errors
    /// As [`Self::checkout`].
    async fn proposal(
        &self,
        stack: &str,
        origin: &GitOrigin,
        forge: Provider,
        number: u64,
    ) -> Result<Checkout, String> {
        let _ = (stack, origin, forge, number);
        Err("proposals are not read here".to_owned())
    }
}

/// Reads no repository: for commands that need none.
#[derive(Debug, Clone, Copy)]
pub struct NoRepositories;

#[async_trait]
impl Repositories for NoRepositories {
    async fn checkout(
        &self,
        _: &str,
        _: &GitOrigin,
        _: Option<&Commit>,
    ) -> Result<Checkout, String> {
        Err("repositories are not read here".to_owned())
    }
}
