//! Validity: which answers of a model count as thoughts, for first thoughts and proposals alike.
//!
//! An answer is trimmed, cut at the end of a sentence, and refused with a [`Fault`] where it is
//! no natural language ([`prose`]), or is not about its subject ([`about`]). Nothing is
//! repaired beyond that: a text is taken as it is, or refused.
//!
//! Input: an answer, its subject, the project's names, a budget. Output: the thought's text, or
//! what is wrong with it.

mod about;
mod mentions;
mod prose;
mod repetition;
mod sentences;

use recon_schema::trajectory::{Fault, Subject};

use crate::outline::Project;
use crate::unusable::Unusable;

/// Places behind the sentences and items of a text, ascending.
pub(crate) fn sentence_ends(text: &str) -> Vec<usize> {
    sentences::ends(text, true)
}

/// What a model answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// As it was decoded.
    pub(crate) text: &'a str,
    /// Whether the model ended it; else it was cut off at its budget.
    pub(crate) ended: bool,
}

/// A fault with one clear line about it.
pub(crate) type Found = (Fault, String);

/// The thought that an answer about `subject` is: the longest beginning in whole sentences that
/// `fits` the budget.
///
/// # Errors
/// [`Unusable::Refused`], with the text as it was judged.
pub(crate) fn thought(
    answer: Answer<'_>,
    subject: &Subject,
    project: &Project<'_>,
    fits: impl Fn(&str) -> bool,
) -> Result<String, Unusable> {
    let trimmed = prose::trimmed(answer.text);
    let judged = prose::form(&trimmed)
        .and_then(|()| sentences::whole(&trimmed, answer.ended, &fits).ok_or_else(unfinished))
        .and_then(|text| speaks(text, subject).map(|()| text))
        .and_then(|text| repetition::check(text).map(|()| text))
        .and_then(|text| about::check(text, subject, project).map(|()| text));
    match judged {
        Ok(text) => Ok(text.to_owned()),
        Err((fault, reason)) => Err(Unusable::Refused { text: trimmed.clone(), fault, reason }),
    }
}

/// A thought is sentences; only a plan may be a list.
fn speaks(text: &str, subject: &Subject) -> Result<(), Found> {
    let (all, spoken) = sentences::spoken(text);
    if *subject == Subject::Plan || spoken * 2 >= all {
        return Ok(());
    }
    Err((Fault::NotProse, format!("{spoken} of {all} characters stand in sentences")))
}

fn unfinished() -> Found {
    (Fault::Unfinished, "no sentence comes to its end within the budget".into())
}

#[cfg(test)]
mod tests;
