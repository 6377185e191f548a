//! One repository without any stage, for commands that look at it.

use recon_repository::{Repository, Source};

use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// The repository that a command works on, cleaned as its configuration says, without any stage.
///
/// # Errors
/// Where it cannot be read, or nothing of it is left.
pub fn one(config: &Config, source: &Source) -> Outcome<Repository> {
    let mut repository = source.read(&config.read, &config.source).map_err(Failure::input)?;
    let report = recon_repository::clean(&mut repository, &config.clean);
    if let Some(rule) = &report.refused {
        return Err(refused(source, rule, repository.reference.licence.as_deref()));
    }
    if !repository.has_source() {
        return Err(emptied(source, report.dropped.len()));
    }
    Ok(repository)
}

/// The files that the configuration holds out of one repository.
///
/// # Errors
/// As [`one`].
pub fn held_out(config: &Config, source: &Source) -> Outcome<Vec<recon_eval::HeldOutFile>> {
    config.holdout.validate()?;
    let mut repository = one(config, source)?;
    let mut graph = recon_graph::build(&repository);
    Ok(crate::holdout::divide(&mut repository, &mut graph, &config.holdout, true))
}

/// What is said of a repository that a rule refuses.
pub(crate) fn refused(source: &Source, rule: &str, licence: Option<&str>) -> Failure {
    let licence = licence.unwrap_or("not known");
    Failure::input_because(format!("{source} is refused: {rule} (its licence: {licence})")).hint("see `clean.licences`")
}

/// What is said of a repository of which cleaning leaves nothing.
pub(crate) fn emptied(source: &Source, dropped: usize) -> Failure {
    Failure::input_because(format!("{source}: cleaning dropped all source files ({dropped} files)"))
        .hint("the `diagnostics` of `recon graph` with rules switched off under `clean` name the rules")
}
