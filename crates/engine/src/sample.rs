//! Draws one token from a row of logits.
//!
//! Input: logits over the vocabulary, the ids that may be drawn, a uniform number. Output: an id.
//!
//! Invariants: everything is computed in f64 in a fixed order, so the same row gives the same id
//! whatever else is in the batch; ties go to the lowest id; an id that is not allowed is never
//! returned, however likely.
//!
//! Source of top-p: *The Curious Case of Neural Text Degeneration* (Holtzman et al. 2019,
//! arXiv 1904.09751): the smallest set of most likely tokens whose mass reaches p.

use recon_lm::{Error, Result, Sampling};

/// Refuses parameters that name no distribution.
pub(crate) fn check(sampling: &Sampling) -> Result<()> {
    let Sampling { temperature, top_p, .. } = *sampling;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(Error::Engine(format!("temperature must be a number from 0 on, not {temperature}")));
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(Error::Engine(format!("top_p must lie in (0, 1], not {top_p}")));
    }
    Ok(())
}

/// The id drawn with `uniform` in [0, 1) among those `allowed`.
pub(crate) fn draw(logits: &[f32], allowed: impl Fn(u32) -> bool, sampling: &Sampling, uniform: f64) -> Result<u32> {
    let mut candidates: Vec<(u32, f64)> = Vec::with_capacity(logits.len());
    for (id, &logit) in (0_u32..).zip(logits) {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(Error::Engine(format!("the logit of token {id} is {logit}")));
        }
        if allowed(id) {
            candidates.push((id, f64::from(logit)));
        }
    }
    let Some(&(best, best_logit)) = candidates.iter().reduce(|best, other| if other.1 > best.1 { other } else { best })
    else {
        return Err(Error::Engine("no token may be drawn".into()));
    };
    if sampling.temperature == 0.0 || best_logit == f64::NEG_INFINITY {
        return Ok(best);
    }
    for (_, weight) in &mut candidates {
        *weight = ((*weight - best_logit) / sampling.temperature).exp();
    }
    if sampling.top_p < 1.0 {
        candidates.sort_unstable_by(|(a, a_weight), (b, b_weight)| b_weight.total_cmp(a_weight).then(a.cmp(b)));
        let mass = sampling.top_p * sum(&candidates);
        let mut kept = 0.0;
        let reached = candidates.iter().position(|(_, weight)| {
            kept += weight;
            kept >= mass
        });
        candidates.truncate(reached.map_or(candidates.len(), |last| last + 1));
    }
    Ok(walk(&candidates, uniform))
}

fn sum(candidates: &[(u32, f64)]) -> f64 {
    candidates.iter().map(|(_, weight)| weight).sum()
}

/// The candidate under `uniform` of the total mass.
fn walk(candidates: &[(u32, f64)], uniform: f64) -> u32 {
    let mut left = uniform * sum(candidates);
    let mut drawn = candidates[0].0;
    for &(id, weight) in candidates.iter().filter(|(_, weight)| *weight > 0.0) {
        drawn = id;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use recon_lm::RandomStream;

    use super::*;

    fn sampling(temperature: f64, top_p: f64) -> Sampling {
        Sampling { temperature, top_p, max_new_tokens: 1 }
    }

    #[test]
    fn cold_takes_the_most_likely_and_the_lowest_id_on_ties() {
        let logits = [0.5, 2.0, -1.0, 2.0];
        assert_eq!(draw(&logits, |_| true, &sampling(0.0, 1.0), 0.99), Ok(1));
        assert_eq!(draw(&logits, |id| id != 1, &sampling(0.0, 1.0), 0.0), Ok(3));
    }

    #[test]
    fn frequencies_follow_the_tempered_softmax() {
        let logits = [0.0_f32, 1.0, -2.0, 1.0, f32::NEG_INFINITY];
        let temperature = 0.7;
        let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) / temperature).exp()).collect();
        let (total, draws) = (weights.iter().sum::<f64>(), 40_000);
        let stream = RandomStream::from_key(3);
        let mut counts = [0_u32; 5];
        for index in 0..draws {
            let id = draw(&logits, |_| true, &sampling(temperature, 1.0), stream.uniform(index)).unwrap();
            counts[id as usize] += 1;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            let p = weight / total;
            let deviation = (f64::from(*count) - p * draws as f64).abs();
            assert!(deviation <= 5.0 * (p * (1.0 - p) * draws as f64).sqrt(), "{counts:?} against {weights:?}");
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_the_mass() {
        // Probabilities 0.5, 0.3, 0.2 in the order of ids 2, 0, 1.
        let logits = [0.3_f32.ln(), 0.2_f32.ln(), 0.5_f32.ln()];
        let reached = |top_p: f64| {
            let stream = RandomStream::from_key(5);
            let mut ids: Vec<u32> = (0..500)
                .map(|index| draw(&logits, |_| true, &sampling(1.0, top_p), stream.uniform(index)).unwrap())
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(reached(0.4), [2]);
        assert_eq!(reached(0.6), [0, 2]);
        assert_eq!(reached(0.81), [0, 1, 2]);
    }

    #[test]
    fn what_is_not_allowed_is_never_drawn() {
        let logits = [50.0_f32, 0.0, 1.0];
        let stream = RandomStream::from_key(9);
        for index in 0..200 {
            let id = draw(&logits, |id| id != 0, &sampling(1.5, 0.9), stream.uniform(index)).unwrap();
            assert_ne!(id, 0);
        }
        assert!(draw(&logits, |_| false, &sampling(1.0, 1.0), 0.5).is_err());
    }

    #[test]
    fn broken_logits_and_parameters_are_errors() {
        assert!(draw(&[0.0, f32::NAN], |_| true, &sampling(0.0, 1.0), 0.0).is_err());
        for bad in [sampling(-1.0, 1.0), sampling(f64::NAN, 1.0), sampling(1.0, 0.0), sampling(1.0, 1.1)] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(check(&sampling(0.0, 1.0)), Ok(()));
    }
}
