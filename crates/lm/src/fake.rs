//! Models without weights, for tests of what stands above the seam.
//!
//! [`TableModel`] keeps a branch as its token ids and answers from closures: likelihood as a
//! function of (everything before, token), text as a function of (branch, hint, key).

use std::any::Any;
use std::sync::Mutex;

use crate::{
    Branch, BranchState, Error, Finish, GenJob, Generation, Generator, Limits, Prompt, RandomKey, Result, ScoreJob,
    Scored, Scorer,
};

struct Ids(Vec<u32>);

impl BranchState for Ids {
    fn tokens(&self) -> usize {
        self.0.len()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Logprob = dyn Fn(&[u32], u32) -> f32 + Send + Sync;
type Write = dyn Fn(&[u32], &[u32], &RandomKey) -> String + Send + Sync;

/// A model whose likelihoods and texts are given by two functions.
pub struct TableModel {
    limits: Limits,
    logprob: Box<Logprob>,
    write: Box<Write>,
    calls: Mutex<Calls>,
}

/// What a [`TableModel`] was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Score jobs.
    pub scored: usize,
    /// Generations.
    pub generated: usize,
}

impl TableModel {
    /// `logprob(before, token)` must not be positive; `write(branch, hint, key)` is the text generated.
    pub fn new(
        limits: Limits,
        logprob: impl Fn(&[u32], u32) -> f32 + Send + Sync + 'static,
        write: impl Fn(&[u32], &[u32], &RandomKey) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { limits, logprob: Box::new(logprob), write: Box::new(write), calls: Mutex::default() }
    }

    /// What it was asked so far.
    pub fn calls(&self) -> Calls {
        *self.calls.lock().expect("no test panics while holding the count")
    }

    fn ids<'a>(&self, branch: &'a Branch) -> Result<&'a [u32]> {
        branch.state::<Ids>().map(|ids| ids.0.as_slice()).ok_or(Error::ForeignBranch)
    }

    fn check(&self, tokens: usize) -> Result<()> {
        let limit = self.limits.context_tokens;
        if tokens > limit { Err(Error::ContextTooLong { asked: tokens, limit }) } else { Ok(()) }
    }

    fn score_one(&self, job: &ScoreJob<'_>) -> Result<Scored> {
        let mut before = self.ids(job.at)?.to_vec();
        self.check(before.len() + job.runs.iter().map(|run| run.ids.len()).sum::<usize>())?;
        let (mut nats, mut logprobs, mut ends) = (0.0, Vec::new(), Vec::new());
        for run in job.runs {
            for &id in run.ids {
                if run.scored {
                    let logprob = (self.logprob)(&before, id);
                    assert!(logprob <= 0.0, "a probability is at most one");
                    nats -= f64::from(logprob);
                    logprobs.push(logprob);
                    if job.refuse_above_nats.is_some_and(|bound| nats > bound) {
                        return Ok(Scored::Refused { nats_at_least: nats, tokens_seen: logprobs.len() });
                    }
                }
                before.push(id);
            }
            ends.push(Branch::new(Ids(before.clone())));
        }
        Ok(Scored::Full { nats, logprobs, ends })
    }
}

impl Scorer for TableModel {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn extend(&self, at: Option<&Branch>, ids: &[u32]) -> Result<Branch> {
        let mut all = match at {
            Some(branch) => self.ids(branch)?.to_vec(),
            None if ids.is_empty() => return Err(Error::EmptyContext),
            None => Vec::new(),
        };
        all.extend_from_slice(ids);
        self.check(all.len())?;
        Ok(Branch::new(Ids(all)))
    }

    fn score(&self, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>> {
        self.calls.lock().expect("no test panics while holding the count").scored += jobs.len();
        jobs.iter().map(|job| self.score_one(job)).collect()
    }
}

impl Generator for TableModel {
    fn generate(&self, jobs: &[GenJob<'_>]) -> Vec<Result<Generation>> {
        self.calls.lock().expect("no test panics while holding the count").generated += jobs.len();
        jobs.iter()
            .map(|job| match job.prompt {
                Prompt::Branch { at, hint } => {
                    let text = (self.write)(self.ids(at)?, hint, &job.key);
                    Ok(Generation { ids: Vec::new(), text, finish: Finish::Stop })
                }
                Prompt::Messages(_) => Err(Error::PromptForm { expected: "branch" }),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Run;

    fn model() -> TableModel {
        let limits = Limits { context_tokens: 8, vocabulary: 10 };
        TableModel::new(limits, |before, id| -(before.len() as f32) - id as f32, |_, _, _| String::new())
    }

    #[test]
    fn a_refused_job_says_a_sum_that_is_already_too_large() {
        let model = model();
        let at = model.extend(None, &[1]).unwrap();
        let runs = [Run { ids: &[2], scored: false }, Run { ids: &[3, 4], scored: true }];
        let full = model.score(&[ScoreJob { at: &at, runs: &runs, refuse_above_nats: Some(12.0) }]);
        let Ok(Scored::Full { nats, ends, .. }) = &full[0] else { panic!("{full:?}") };
        assert_eq!(*nats, (2.0 + 3.0) + (3.0 + 4.0));
        assert_eq!(ends[1].tokens(), 4);
        let refused = model.score(&[ScoreJob { at: &at, runs: &runs, refuse_above_nats: Some(4.9) }]);
        let Ok(Scored::Refused { nats_at_least, tokens_seen }) = refused[0] else { panic!("{refused:?}") };
        assert_eq!((nats_at_least, tokens_seen), (5.0, 1));
    }

    #[test]
    fn too_long_and_empty_contexts_are_refused() {
        let model = model();
        assert_eq!(model.extend(None, &[]).unwrap_err(), Error::EmptyContext);
        let error = model.extend(None, &[0; 9]).unwrap_err();
        assert_eq!(error, Error::ContextTooLong { asked: 9, limit: 8 });
    }
}
