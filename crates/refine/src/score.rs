//! Scoring thoughts on their targets: all candidates and targets of a round in one call.

use recon_lm::{Branch, Error, Run, ScoreJob, Scored, Scorer};
use recon_schema::trajectory::Step;
use recon_text::Renderer;

use crate::cursor::Ahead;
use crate::report::Likelihood;
use crate::target::Target;

/// Likelihood of all targets behind one thought.
#[derive(Debug, Clone)]
pub(crate) enum Total {
    /// Every target token was seen.
    Full {
        nats: f64,
        /// The places behind the thought; those after it only where there is one target.
        ahead: Option<Ahead>,
    },
    /// Dropped early.
    Refused { nats_at_least: f64, tokens_seen: u64 },
}

/// Likelihood and places of a score that had no bound to exceed.
pub(crate) fn in_full(total: Total) -> (f64, Option<Ahead>) {
    match total {
        Total::Full { nats, ahead } => (nats, ahead),
        Total::Refused { .. } => unreachable!("without a bound nothing is refused"),
    }
}

/// What is scored: a thought's turn after its header, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// The place after the header; without a thought, the place before it.
    pub(crate) at: &'a Branch,
    /// Body and end of the turn.
    pub(crate) thought: Option<&'a [u32]>,
}

/// Scores every attempt on every target; one result an attempt, in order.
pub(crate) fn score(
    scorer: &dyn Scorer,
    attempts: &[Attempt<'_>],
    targets: &[Target],
    refuse_above_nats: Option<f64>,
) -> Vec<Result<Total, Error>> {
    let pairs = attempts.iter().flat_map(|attempt| targets.iter().map(move |target| (attempt, target)));
    let runs: Vec<Vec<Run<'_>>> = pairs.map(|(attempt, target)| runs(attempt, target)).collect();
    let at = attempts.iter().flat_map(|attempt| std::iter::repeat_n(attempt.at, targets.len()));
    let jobs: Vec<ScoreJob<'_>> =
        runs.iter().zip(at).map(|(runs, at)| ScoreJob { at, runs, refuse_above_nats }).collect();
    if jobs.is_empty() {
        return Vec::new();
    }
    let mut results = scorer.score(&jobs).into_iter();
    let total = |attempt: &Attempt<'_>| total(attempt, targets, results.by_ref().take(targets.len()).collect());
    attempts.iter().map(total).collect()
}

fn runs<'a>(attempt: &Attempt<'a>, target: &'a Target) -> Vec<Run<'a>> {
    let unscored = |ids| Run { ids, scored: false };
    let between = target.between.iter().map(|ids| unscored(ids.as_slice()));
    let mut runs: Vec<Run<'a>> = attempt.thought.map(unscored).into_iter().chain(between).collect();
    runs.push(Run { ids: &target.content, scored: true });
    runs
}

fn total(attempt: &Attempt<'_>, targets: &[Target], results: Vec<Result<Scored, Error>>) -> Result<Total, Error> {
    let (mut nats, mut tokens, mut refused, mut places) = (0.0, 0, false, None);
    for result in results {
        match result? {
            Scored::Full { nats: more, logprobs, ends } => {
                nats += more;
                tokens += logprobs.len();
                places.get_or_insert(ends);
            }
            Scored::Refused { nats_at_least, tokens_seen } => {
                nats += nats_at_least;
                tokens += tokens_seen;
                refused = true;
            }
        }
    }
    if refused {
        return Ok(Total::Refused { nats_at_least: nats, tokens_seen: tokens as u64 });
    }
    let ahead = attempt.thought.and(places).map(|ends| ahead(targets, ends));
    Ok(Total::Full { nats, ahead })
}

fn ahead(targets: &[Target], ends: Vec<Branch>) -> Ahead {
    let mut ends = ends.into_iter();
    let thought = ends.next().expect("the first run is the thought");
    // Behind several targets the document takes none of the courses that were scored.
    let only = (targets.len() == 1).then(|| &targets[0]);
    let runs = only.into_iter().flat_map(|target| target.between.iter().chain([&target.content]));
    Ahead { thought, following: runs.cloned().zip(ends).collect() }
}

/// Likelihood of every written file of a document, scored once from end to end.
pub(crate) fn document(scorer: &dyn Scorer, renderer: &Renderer<'_>, steps: &[Step]) -> Result<Likelihood, Error> {
    let (mut pieces, mut total) = (Vec::new(), Likelihood::default());
    for step in steps {
        let turn = renderer.step(step);
        let Some(file) = step.written() else {
            pieces.push((turn.ids, false));
            continue;
        };
        pieces.push((turn.ids[..turn.body.start].to_vec(), false));
        pieces.push((turn.ids[turn.body.clone()].to_vec(), true));
        pieces.push((turn.ids[turn.body.end..].to_vec(), false));
        total.tokens += turn.body.len() as u64;
        total.bytes += file.text.len() as u64;
    }
    let opening = renderer.opening();
    let at = scorer.extend(None, &opening)?;
    // The first turn is the document's opening, whose header has been computed.
    if let Some((first, _)) = pieces.first_mut() {
        first.drain(..opening.len() - renderer.begin().len());
    }
    let runs: Vec<Run<'_>> = pieces.iter().map(|(ids, scored)| Run { ids, scored: *scored }).collect();
    let job = ScoreJob { at: &at, runs: &runs, refuse_above_nats: None };
    match scorer.score(&[job]).pop().expect("one result a job")? {
        Scored::Full { nats, .. } => Ok(Likelihood { nats, ..total }),
        Scored::Refused { .. } => unreachable!("without a bound nothing is refused"),
    }
}
