//! The leak gate before one thought: all of its targets, in the context before it.

use recon_text::Tokenizer;

use crate::leak::{Context, Guarded, Verdict};
use crate::outline::Project;

/// Judges thoughts that are to stand at one place.
pub struct Gate<'a> {
    tokenizer: &'a Tokenizer,
    context: &'a Context,
    guarded: Vec<Guarded>,
}

impl<'a> Gate<'a> {
    /// `targets`: path and text of each file the thought is scored on. What the outline gave of
    /// their signatures may be repeated.
    pub fn new<'t>(
        tokenizer: &'a Tokenizer,
        context: &'a Context,
        project: &Project<'_>,
        targets: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Self {
        let guard = |(path, text): (&str, &str)| {
            let given = project.signatures(path);
            Guarded::new(tokenizer, context, text, given.iter().map(String::as_str))
        };
        Self { tokenizer, context, guarded: targets.into_iter().map(guard).collect() }
    }

    /// The first leak found, and whether any target needed the exemption of signatures.
    pub fn judge(&self, thought: &str) -> Verdict {
        let mut all = Verdict { leak: None, exempted: false };
        for guarded in &self.guarded {
            let verdict = guarded.judge(self.tokenizer, self.context, thought);
            all.exempted |= verdict.exempted;
            all.leak = all.leak.or(verdict.leak);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use recon_schema::graph::{RepoGraph, RepositoryRef, SCHEMA};
    use recon_text::fake;

    use super::*;

    #[test]
    fn a_thought_that_leaks_any_of_its_targets_is_refused() {
        let tokenizer = fake::tokenizer();
        let context = Context::default();
        let graph = RepoGraph {
            schema: SCHEMA.into(),
            repository: RepositoryRef { name: "r".into(), source: "r".into(), commit: None, licence: None },
            files: vec![],
            edges: vec![],
            unresolved: vec![],
            order: vec![],
            cycles: vec![],
            diagnostics: vec![],
        };
        let body = "the one long line that nobody but its author could have written";
        let targets = [("a.py", "nothing like it"), ("b.py", body)];
        let gate = Gate::new(&tokenizer, &context, &Project::new(&graph), targets);
        assert!(gate.judge(body).leak.is_some());
        assert_eq!(gate.judge("Soon."), Verdict { leak: None, exempted: false });
    }
}
