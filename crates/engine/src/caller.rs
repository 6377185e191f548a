//! One caller of an engine: what `lm` asks, as documents of the schedule; and what it cost.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use recon_lm::{Branch, Error, GenJob, Generation, Generator, Limits, Prompt, Result, ScoreJob, Scored, Scorer};
use recon_schema::trajectory::ModelRef;
use recon_text::Tokenizer;

use crate::branch::{Place, place};
use crate::callers::{Answered, Desk};
use crate::conversation::conversation;
use crate::generate::{Draft, check};
use crate::job::{Answer, Work};
use crate::options::Stats;
use crate::radix::Tree;
use crate::schedule::Asked;
use crate::score::Tally;
use crate::sequence::Sequence;

/// Documents that are asked for at once: what lies in the schedule is looked through for every forward.
const DOCUMENTS_AT_ONCE: usize = 1024;

/// What callers ask of: one model, with the bounds of what it takes.
pub(crate) struct Served {
    pub(crate) model: ModelRef,
    /// None where ids alone are asked about.
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) limits: Limits,
    /// Names the engine in its branches.
    pub(crate) id: u64,
    pub(crate) prefill_tokens: usize,
    pub(crate) refusal_tokens: usize,
    pub(crate) desk: Desk,
}

impl Served {
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        self.tokenizer.as_ref().expect("an engine for ids is asked for nothing that is text")
    }
}

/// Asks on behalf of one repository. Clones of a branch may be used by any caller of the same engine.
pub struct Caller<'e> {
    served: &'e Served,
    id: u64,
    spent: Mutex<(Stats, Duration)>,
}

/// A document of its own, and which of its ids are scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// All its ids.
    pub ids: &'a [u32],
    /// Positions of the scored ones, from 1 on: the first has nothing before it.
    pub scored: Range<usize>,
}

impl<'e> Caller<'e> {
    pub(crate) fn new(served: &'e Served) -> Self {
        Self { served, id: served.desk.number(), spent: Mutex::default() }
    }

    /// Which model is asked.
    pub fn model_ref(&self) -> &'e ModelRef {
        &self.served.model
    }

    /// What this caller's jobs cost. Seconds are its share, by rows, of the forwards they rode in; forwards and pages
    /// are not counted by caller.
    pub fn stats(&self) -> Stats {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Time from asking to answers, over all calls.
    pub fn waited(&self) -> Duration {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Scores documents of their own; one result each, in order, without branches. What they begin with in common is
    /// computed once. Any number is taken: they wait for room.
    pub fn score_documents(&self, documents: &[Document<'_>]) -> Vec<Result<Scored>> {
        let ids: Vec<&[u32]> = documents.iter().map(|document| document.ids).collect();
        let mut results: Vec<Option<Result<Scored>>> = documents.iter().map(|_| None).collect();
        for some in Tree::new(&ids).order.chunks(DOCUMENTS_AT_ONCE) {
            let asked = some.iter().map(|&at| self.document(&documents[at])).collect();
            for (&at, answer) in some.iter().zip(self.ask(asked)) {
                results[at] = Some(answer.map(scored));
            }
        }
        results.into_iter().map(|result| result.expect("an order names each document once")).collect()
    }

    fn ask(&self, asked: Vec<Asked>) -> Vec<Result<Answer>> {
        let begin = Instant::now();
        let Answered { answers, spent } = self.served.desk.ask(self.id, asked);
        let mut all = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.add(&spent);
        all.1 += begin.elapsed();
        answers
    }

    fn at(&self, branch: &Branch) -> Result<Arc<Place>> {
        place(branch, self.served.id)
    }

    /// Refuses ids outside the vocabulary, documents without a token and documents too long.
    fn check_ids(&self, start: usize, ids: &[u32]) -> Result<()> {
        let Limits { context_tokens: limit, vocabulary } = self.served.limits;
        let asked = start + ids.len();
        if asked == 0 {
            return Err(Error::EmptyContext);
        }
        if asked > limit {
            return Err(Error::ContextTooLong { asked, limit });
        }
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            Some(&id) => Err(Error::UnknownToken { id, vocabulary }),
            None => Ok(()),
        }
    }

    fn extension(&self, at: Option<&Branch>, ids: &[u32]) -> Asked {
        let at = at.map(|branch| self.at(branch)).transpose()?;
        self.check_ids(at.as_ref().map_or(0, |at| at.tokens()), ids)?;
        Ok((Sequence::new(at, ids, &[ids.len()], 0, self.served.prefill_tokens), Work::Extend))
    }

    fn document(&self, Document { ids, scored }: &Document<'_>) -> Asked {
        self.check_ids(0, ids)?;
        if scored.start == 0 {
            return Err(Error::EmptyContext);
        }
        let tally = Tally::new(vec![scored.start..scored.end.min(ids.len())], None);
        Ok((Sequence::new(None, ids, &[], 0, self.served.prefill_tokens), Work::Score(tally)))
    }

    fn score_job(&self, job: &ScoreJob<'_>) -> Asked {
        let at = self.at(job.at)?;
        let ids = job.runs.iter().flat_map(|run| run.ids).copied().collect::<Vec<_>>();
        self.check_ids(at.tokens(), &ids)?;
        let (mut borders, mut scored, mut end) = (Vec::new(), Vec::new(), 0);
        for run in job.runs {
            if run.scored {
                scored.push(at.tokens() + end..at.tokens() + end + run.ids.len());
            }
            end += run.ids.len();
            borders.push(end);
        }
        let chunk_tokens = match job.refuse_above_nats {
            Some(_) => self.served.refusal_tokens.min(self.served.prefill_tokens),
            None => self.served.prefill_tokens,
        };
        let tally = Tally::new(scored, job.refuse_above_nats);
        Ok((Sequence::new(Some(at), &ids, &borders, 0, chunk_tokens), Work::Score(tally)))
    }

    fn text(&self, job: &GenJob<'_>) -> Asked {
        check(&job.sampling)?;
        let (at, prompt) = match job.prompt {
            Prompt::Branch { at, hint } => (Some(self.at(at)?), hint.to_vec()),
            Prompt::Messages(messages) => (None, conversation(self.served.tokenizer(), messages)?),
        };
        let start = at.as_ref().map_or(0, |at| at.tokens());
        self.check_ids(start, &prompt)?;
        let left = self.served.limits.context_tokens - start - prompt.len();
        let room = left.min(job.sampling.max_new_tokens);
        let draft = Draft::new(job.sampling, job.key.stream(), job.stop_ids, room);
        Ok((Sequence::new(at, &prompt, &[], room, self.served.prefill_tokens), Work::Write(draft)))
    }
}

fn scored(answer: Answer) -> Scored {
    match answer {
        Answer::Scored(scored) => scored,
        _ => unreachable!("a likelihood was asked for"),
    }
}

impl Scorer for Caller<'_> {
    fn limits(&self) -> Limits {
        self.served.limits
    }

    fn extend(&self, at: Option<&Branch>, ids: &[u32]) -> Result<Branch> {
        let answer = self.ask(vec![self.extension(at, ids)]).pop().expect("one answer a job");
        answer.map(|answer| match answer {
            Answer::Extended(branch) => branch,
            _ => unreachable!("a branch was asked for"),
        })
    }

    fn score(&self, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>> {
        let answers = self.ask(jobs.iter().map(|job| self.score_job(job)).collect());
        answers.into_iter().map(|answer| answer.map(scored)).collect()
    }
}

impl Generator for Caller<'_> {
    fn generate(&self, jobs: &[GenJob<'_>]) -> Vec<Result<Generation>> {
        let tokenizer = self.served.tokenizer();
        let answers = self.ask(jobs.iter().map(|job| self.text(job)).collect());
        let generation = |answer| match answer {
            Answer::Written { ids, finish } => Generation { text: tokenizer.decode(&ids), ids, finish },
            _ => unreachable!("a text was asked for"),
        };
        answers.into_iter().map(|answer| answer.map(generation)).collect()
    }
}
