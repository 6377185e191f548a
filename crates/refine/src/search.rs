//! The search at one place: first thought, rounds of candidates, the thought that stands.
//!
//! Source: PAPER.md, definitions 4, 6, 7, 9.

use std::collections::BTreeMap;

use recon_schema::trajectory::{Author, InitialThought, Leak, Search};
use recon_thought::{Proposals, Thought};

use crate::budget::Learnt;
use crate::place::{Incumbent, Place};
use crate::round::round;
use crate::score::{Attempt, in_full, score};

/// What a search arrived at.
pub(crate) struct Found {
    pub(crate) search: Search,
    /// The thought that stands, with the places behind it.
    pub(crate) standing: Incumbent,
    /// Thoughts that passed the gate only because signatures are exempt, by author.
    pub(crate) exempted: BTreeMap<Author, u64>,
}

/// Searches at `place`, beginning with `first`, for at most `rounds` rounds. Where `learnt` is given
/// and the options have a budget, it may end before.
pub(crate) fn search(
    place: &Place<'_>,
    first: Thought,
    mut proposals: Proposals<'_>,
    rounds: u32,
    mut learnt: Option<&mut Learnt>,
) -> recon_lm::Result<Found> {
    let (first, leak) = proposals.begin(first);
    let (mut search, mut standing) = begin(place, first, leak)?;
    let mut accepted = false;
    for number in 1..=rounds {
        if let (Some(learnt), Some(budget)) = (&mut learnt, &place.options.budget) {
            search.spared = learnt.spares((number, accepted), rounds - number + 1, search.target_tokens, budget);
            if search.spared.is_some() {
                break;
            }
        }
        let before_nats = standing.nats;
        let (played, incumbent) = round(place, &mut proposals, standing, number);
        standing = incumbent;
        if let Some(learnt) = &mut learnt {
            learnt.add((number, accepted), &played, before_nats, search.target_tokens);
        }
        accepted = standing.nats < before_nats;
        search.rounds.push(played);
    }
    search.final_nats = standing.nats;
    Ok(Found { search, standing, exempted: proposals.exempted() })
}

/// Scores the targets without any thought and with the first one.
fn begin(place: &Place<'_>, first: Thought, replaced: Option<Leak>) -> recon_lm::Result<(Search, Incumbent)> {
    let turn = first.turn(place.models.renderer);
    let attempts =
        [Attempt { at: place.document, thought: None }, Attempt { at: place.header, thought: Some(turn.as_slice()) }];
    let mut totals = score(place.models.scorer, &attempts, place.targets, None).into_iter();
    let mut next = || totals.next().expect("one result an attempt").map(in_full);
    let (baseline_nats, _) = next()?;
    let (initial_nats, ahead) = next()?;
    let ahead = ahead.expect("a scored thought has a place behind it");
    let search = Search {
        targets: place.targets.iter().map(|target| target.path.clone()).collect(),
        baseline_nats,
        initial_nats,
        final_nats: initial_nats,
        target_tokens: place.target_tokens(),
        target_bytes: place.target_bytes(),
        initial: InitialThought { author: first.author, text: first.text.clone(), replaced },
        rounds: Vec::new(),
        spared: None,
        control: None,
    };
    Ok((search, Incumbent { thought: first, nats: initial_nats, ahead }))
}
