//! Flags that choose a configuration, and the repositories it is for.

mod include;
mod load;

use std::path::{Path, PathBuf};

use clap::Args;
use recon_pipeline::{Config, Failure, Members, Outcome, Share};
use recon_repository::Source;

pub use load::load;

/// Flags of every command that reads a configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, over the file; may be repeated. Sections are separated by dots.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub assignments: Vec<String>,
    /// Where results go, over the file.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl ConfigArgs {
    /// The configuration with flags applied.
    pub fn load(&self) -> Outcome<Config> {
        let mut config: Config = load(self.config.as_deref(), &self.assignments)?;
        if let Some(out) = &self.out {
            config.out = Some(out.clone());
        }
        Ok(config)
    }
}

/// Flags of every command that goes over a set of repositories.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// A corpus instead of one repository: shards (.jsonl, .jsonl.gz, .jsonl.zst, .parquet), a
    /// folder of shards, or a folder of repositories and archives; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub corpus: Vec<PathBuf>,
    /// Work on a share of the corpus, chosen by the repositories' names; N workers with one OUT do all of it.
    #[arg(long, value_name = "I/N", requires = "corpus", default_value_t = Share::WHOLE)]
    pub shard: Share,
}

impl SetArgs {
    /// The repositories meant.
    pub fn members(&self, config: &Config) -> Outcome<Members> {
        if !self.corpus.is_empty() {
            if config.out.is_none() {
                return Err(Failure::input_because("a corpus needs a place for its results").hint("add `--out DIR`"));
            }
            return Ok(Members::Many(self.corpus.clone()));
        }
        Ok(Members::One(repository(config)?))
    }
}

/// The repository to read: as configured, or the git root of the current folder.
pub fn repository(config: &Config) -> Outcome<Source> {
    match &config.repository {
        Some(name) => Ok(Source::locate(name)),
        None => {
            let here = std::env::current_dir().map_err(Failure::run)?;
            Ok(Source::Directory(git_root(&here).unwrap_or(&here).to_path_buf()))
        }
    }
}

/// The nearest folder above that holds `.git`.
fn git_root(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|it| it.join(".git").exists())
}
