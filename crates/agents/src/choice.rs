//! What is done next, decided by the model among the actions that are valid at that moment.
//!
//! The valid actions are known and few, so their lines are a tree over token ids, each line in the one
//! encoding that a document holds. The tree is walked from its root: where lines part, the next ids
//! are weighed by the model's likelihoods and one is drawn; where they do not, nothing is asked. What
//! all such lines begin with stands for the decision itself: its whole likelihood is weighed against
//! that of doing anything else. So no invalid action can come out, and a decision takes fewer
//! forwards than its line has tokens.
//!
//! Legend: `L` lines of ids, none of which begins with another.
//!
//! Invariant: the outcome depends on the place, the lines and the key alone.

use recon_lm::{Branch, RandomStream, Result, Run, ScoreJob, Scored, Scorer};

/// A decision at one place.
pub(crate) struct Choice<'a> {
    scorer: &'a dyn Scorer,
    stream: RandomStream,
    /// 0 takes what is most likely.
    temperature: f64,
    /// Numbers taken from the stream.
    drawn: u64,
}

impl<'a> Choice<'a> {
    pub(crate) fn new(scorer: &'a dyn Scorer, stream: RandomStream, temperature: f64) -> Self {
        Self { scorer, stream, temperature, drawn: 0 }
    }

    /// The index of one of `lines`, each of which begins with `head`; `None` where another thing is done.
    ///
    /// `header` opens the turn in which the line would stand.
    pub(crate) fn among(
        mut self,
        at: &Branch,
        header: &[u32],
        head: &[u32],
        lines: &[&[u32]],
    ) -> Result<Option<usize>> {
        let runs = [Run { ids: header, scored: false }, Run { ids: head, scored: true }];
        let (log_p, mut place) = self.weigh(&[ScoreJob { at, runs: &runs, refuse_above_nats: None }])?.remove(0);
        // Of what is likely to the last bit nothing is left for anything else.
        let log_other = (-log_p.exp()).ln_1p();
        if self.draw(&[log_p, log_other]) == 1 {
            return Ok(None);
        }
        let mut left: Vec<usize> = (0..lines.len()).collect();
        let mut depth = head.len();
        while left.len() > 1 {
            let shared = shared(left.iter().map(|&line| &lines[line][depth..]));
            if shared > 0 {
                place = self.scorer.extend(Some(&place), &lines[left[0]][depth..depth + shared])?;
                depth += shared;
            }
            let mut next: Vec<[u32; 1]> = left.iter().map(|&line| [lines[line][depth]]).collect();
            next.sort_unstable();
            next.dedup();
            let runs: Vec<[Run<'_>; 1]> = next.iter().map(|ids| [Run { ids, scored: true }]).collect();
            let jobs: Vec<ScoreJob<'_>> =
                runs.iter().map(|runs| ScoreJob { at: &place, runs, refuse_above_nats: None }).collect();
            let mut weighed = self.weigh(&jobs)?;
            let logs: Vec<f64> = weighed.iter().map(|(log_p, _)| *log_p).collect();
            let taken = self.draw(&logs);
            left.retain(|&line| lines[line][depth] == next[taken][0]);
            place = weighed.swap_remove(taken).1;
            depth += 1;
        }
        Ok(left.pop())
    }

    /// Log-likelihood of what is scored in each job, nats, and the place behind it.
    fn weigh(&self, jobs: &[ScoreJob<'_>]) -> Result<Vec<(f64, Branch)>> {
        let weighed = self.scorer.score(jobs).into_iter().map(|scored| match scored? {
            Scored::Full { nats, mut ends, .. } => Ok((-nats, ends.pop().expect("a job has runs"))),
            Scored::Refused { .. } => unreachable!("no bound was set"),
        });
        weighed.collect()
    }

    /// One of several, by their log-likelihoods; of equals the first where the temperature is 0.
    fn draw(&mut self, logs: &[f64]) -> usize {
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let likeliest = logs.iter().position(|log| *log == most).expect("something is weighed, and nothing is NaN");
        if self.temperature == 0.0 {
            return likeliest;
        }
        let weights: Vec<f64> = logs.iter().map(|log| ((log - most) / self.temperature).exp()).collect();
        let reached = self.stream.uniform(self.drawn) * weights.iter().sum::<f64>();
        self.drawn += 1;
        let mut sum = 0.0;
        let found = weights.iter().position(|weight| {
            sum += weight;
            sum > reached
        });
        found.unwrap_or(likeliest)
    }
}

/// How many ids all of `lines` begin with in common.
pub(crate) fn shared<'l>(lines: impl IntoIterator<Item = &'l [u32]>) -> usize {
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    lines.fold(first.len(), |most, line| first[..most].iter().zip(line).take_while(|(one, other)| one == other).count())
}

#[cfg(test)]
mod tests {
    use recon_lm::Limits;
    use recon_lm::fake::TableModel;

    use super::*;

    const HEADER: &[u32] = &[9];
    const HEAD: &[u32] = &[1, 2];
    const LINES: [&[u32]; 4] = [&[1, 2, 3, 4, 0], &[1, 2, 3, 4, 5, 0], &[1, 2, 3, 6, 0], &[1, 2, 7, 0]];

    /// Probabilities that sum to 1 over 10 ids and depend on all that stands before.
    fn probability(before: &[u32], id: u32) -> f64 {
        let weight =
            |id: u32| 1.0 + f64::from((before.iter().sum::<u32>() * 31 + id * 17) % 13) * f64::from(id % 4 + 1);
        weight(id) / (0..10).map(weight).sum::<f64>()
    }

    fn model() -> TableModel {
        let limits = Limits { context_tokens: 64, vocabulary: 10 };
        TableModel::new(limits, |before, id| probability(before, id).ln() as f32, |_, _, _| String::new())
    }

    fn chosen(key: u64, temperature: f64) -> Option<usize> {
        let model = model();
        let at = model.extend(None, &[8, 8]).unwrap();
        Choice::new(&model, RandomStream::from_key(key), temperature).among(&at, HEADER, HEAD, &LINES).unwrap()
    }

    /// The probability of each line by its definition, and at the end that of none.
    fn defined(temperature: f64) -> Vec<f64> {
        let warm = |p: f64| p.powf(1.0 / temperature);
        let before = [8, 8, 9];
        let head = probability(&before, 1) * probability(&[8, 8, 9, 1], 2);
        let some = warm(head) / (warm(head) + warm(1.0 - head));
        let line = |line: &[u32]| -> f64 {
            let step = |at: usize| {
                let valid: std::collections::BTreeSet<u32> =
                    LINES.iter().filter(|other| other.starts_with(&line[..at])).map(|other| other[at]).collect();
                let context = [&before[..], &line[..at]].concat();
                let weight = |id: u32| warm(probability(&context, id));
                weight(line[at]) / valid.into_iter().map(weight).sum::<f64>()
            };
            some * (HEAD.len()..line.len()).map(step).product::<f64>()
        };
        LINES.into_iter().map(line).chain([1.0 - some]).collect()
    }

    #[test]
    fn lines_come_as_often_as_the_model_makes_them_likely() {
        const DRAWS: usize = 4000;
        for temperature in [1.0, 0.5] {
            let mut counts = [0_usize; 5];
            (0..DRAWS as u64).for_each(|key| counts[chosen(key, temperature).unwrap_or(4)] += 1);
            let defined = defined(temperature);
            assert!((defined.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{defined:?}");
            for (count, p) in counts.iter().zip(&defined) {
                let deviation = (p * (1.0 - p) * DRAWS as f64).sqrt();
                let expected = p * DRAWS as f64;
                assert!((*count as f64 - expected).abs() < 5.0 * deviation, "{counts:?} at {defined:?}");
            }
        }
        assert_ne!(defined(1.0), defined(0.5), "the two temperatures are told apart");
    }

    #[test]
    fn without_temperature_the_likeliest_id_is_taken_at_every_parting() {
        let chosen: Vec<_> = (0..20).map(|key| chosen(key, 0.0)).collect();
        assert!(chosen.windows(2).all(|pair| pair[0] == pair[1]), "{chosen:?}");
    }

    #[test]
    fn a_single_line_is_asked_for_nothing_but_whether_it_is_wanted() {
        let model = model();
        let at = model.extend(None, &[8]).unwrap();
        let sure = TableModel::new(Limits { context_tokens: 64, vocabulary: 10 }, |_, _| 0.0, |_, _, _| String::new());
        let sure_at = sure.extend(None, &[8]).unwrap();
        let choice = |scorer| Choice::new(scorer, RandomStream::from_key(1), 1.0);
        assert_eq!(choice(&sure).among(&sure_at, HEADER, HEAD, &LINES[..1]).unwrap(), Some(0));
        assert_eq!(sure.calls().scored, 1);
        let drawn = (0..200).map(|key| {
            Choice::new(&model, RandomStream::from_key(key), 1.0).among(&at, HEADER, HEAD, &LINES[..1]).unwrap()
        });
        assert!(drawn.clone().any(|it| it.is_none()) && drawn.clone().any(|it| it == Some(0)));
    }
}
