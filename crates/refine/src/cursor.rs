//! The place in the document that the search has reached, and what is already computed beyond.
//!
//! Tokens reach the model when the place is asked for. Where a score has already run over the
//! tokens that follow, its branches are taken instead, so that nothing is computed twice.

use recon_lm::{Branch, Result, Scorer};

/// A growing document on the model's side.
pub(crate) struct Cursor<'a> {
    scorer: &'a dyn Scorer,
    branch: Option<Branch>,
    unsent: Vec<u32>,
    ahead: Option<Ahead>,
}

/// Places after runs that were scored behind an accepted thought.
#[derive(Debug, Clone)]
pub(crate) struct Ahead {
    /// The thought's turn.
    pub(crate) thought: Branch,
    /// Runs after the thought, with the place after each.
    pub(crate) following: Vec<(Vec<u32>, Branch)>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(scorer: &'a dyn Scorer, begin: Vec<u32>) -> Self {
        Self { scorer, branch: None, unsent: begin, ahead: None }
    }

    pub(crate) fn push(&mut self, ids: &[u32]) {
        self.unsent.extend_from_slice(ids);
    }

    /// Goes on behind an accepted thought; everything before it was sent when it was scored.
    pub(crate) fn jump(&mut self, ahead: Ahead) {
        self.branch = Some(ahead.thought.clone());
        self.unsent.clear();
        self.ahead = Some(ahead);
    }

    /// The place after everything pushed.
    pub(crate) fn branch(&mut self) -> Result<Branch> {
        if let Some(ahead) = self.ahead.take() {
            self.follow(ahead);
        }
        if self.branch.is_none() || !self.unsent.is_empty() {
            self.branch = Some(self.scorer.extend(self.branch.as_ref(), &self.unsent)?);
            self.unsent.clear();
        }
        Ok(self.branch.clone().expect("it was set above"))
    }

    /// Takes over what was computed ahead, as far as the document took the same course.
    fn follow(&mut self, ahead: Ahead) {
        for (ids, branch) in ahead.following {
            if !self.unsent.starts_with(&ids) {
                break;
            }
            self.unsent.drain(..ids.len());
            self.branch = Some(branch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use recon_lm::fake::TableModel;
    use recon_lm::{Limits, ScoreJob, Scored};

    use super::*;

    /// Remembers what it had to compute.
    struct Counting(TableModel, RefCell<Vec<Vec<u32>>>);

    impl Scorer for Counting {
        fn limits(&self) -> Limits {
            self.0.limits()
        }

        fn extend(&self, at: Option<&Branch>, ids: &[u32]) -> Result<Branch> {
            self.1.borrow_mut().push(ids.to_vec());
            self.0.extend(at, ids)
        }

        fn score(&self, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>> {
            self.0.score(jobs)
        }
    }

    #[test]
    fn what_was_scored_is_taken_over_as_far_as_the_document_agrees() {
        let limits = Limits { context_tokens: 100, vocabulary: 100 };
        let model = Counting(TableModel::new(limits, |_, _| -1.0, |_, _, _| String::new()), RefCell::default());
        for (pushed, computed) in [(vec![1, 2, 3, 4, 5], vec![5]), (vec![1, 2, 3, 9], vec![9]), (vec![7], vec![7])] {
            let mut cursor = Cursor::new(&model, vec![0]);
            let document = cursor.branch().unwrap();
            let thought = model.extend(Some(&document), &[50]).unwrap();
            let first = model.extend(Some(&thought), &[1, 2, 3]).unwrap();
            let second = model.extend(Some(&first), &[4]).unwrap();
            cursor.jump(Ahead { thought, following: vec![(vec![1, 2, 3], first), (vec![4], second)] });
            cursor.push(&pushed);
            model.1.borrow_mut().clear();
            assert_eq!(cursor.branch().unwrap().tokens(), 2 + pushed.len());
            assert_eq!(*model.1.borrow(), [computed]);
            assert_eq!(cursor.branch().unwrap().tokens(), 2 + pushed.len());
            assert_eq!(model.1.borrow().len(), 1, "nothing new, nothing computed");
        }
    }
}
