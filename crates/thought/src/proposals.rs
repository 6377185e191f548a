//! Thoughts proposed at one place, round after round: none twice, none that hands its target over.

use std::collections::{BTreeMap, HashSet};

use recon_lm::{Branch, Generator};
use recon_schema::trajectory::{Author, Leak, Subject};

use crate::gate::Gate;
use crate::outline::Detail;
use crate::usable::Unusable;
use crate::writer::{Ask, Thought, Writer};

/// What was proposed at one place so far.
pub struct Proposals<'a> {
    writer: &'a Writer<'a>,
    subject: &'a Subject,
    /// Index of the thought among the steps of its trajectory.
    step: usize,
    gate: &'a Gate<'a>,
    /// Every text that was proposed, the first thought included.
    tried: HashSet<String>,
    /// Levels of detail the outline has given.
    levels: usize,
    exempted: BTreeMap<Author, u64>,
}

impl<'a> Proposals<'a> {
    /// Nothing is proposed yet for the thought about `subject`, which is step `step`.
    pub fn new(writer: &'a Writer<'a>, subject: &'a Subject, step: usize, gate: &'a Gate<'a>) -> Self {
        Self { writer, subject, step, gate, tried: HashSet::new(), levels: 0, exempted: BTreeMap::new() }
    }

    /// The first thought; where the gate refuses it, the briefest outline that passes, and the leak.
    pub fn begin(&mut self, first: Thought) -> (Thought, Option<Leak>) {
        let (first, leak) = match self.judge(first) {
            Ok(first) => (first, None),
            Err(leak) => (self.replacement(), Some(leak)),
        };
        self.tried.insert(first.text.clone());
        (first, leak)
    }

    /// The model's answers to a hint that shows the incumbent, not yet admitted.
    pub fn ask(
        &self,
        generator: &dyn Generator,
        at: &Branch,
        incumbent: &str,
        round: u32,
        candidates: &[u32],
    ) -> Vec<Result<Thought, Unusable>> {
        let ask = Ask { subject: self.subject, at, step: self.step, round, incumbent: Some(incumbent) };
        self.writer.ask(generator, &ask, candidates)
    }

    /// A thought that is new at this place and passes the gate.
    ///
    /// # Errors
    /// [`Unusable::Repetition`] and [`Unusable::Leaked`].
    pub fn admit(&mut self, thought: Thought) -> Result<Thought, Unusable> {
        if !self.tried.insert(thought.text.clone()) {
            return Err(Unusable::Repetition);
        }
        let text = thought.text.clone();
        self.judge(thought).map_err(|leak| Unusable::Leaked { text, leak })
    }

    /// The outline's next level of detail that says something new.
    ///
    /// # Errors
    /// [`Unusable::Exhausted`] and [`Unusable::Leaked`].
    pub fn next_outline(&mut self) -> Result<Thought, Unusable> {
        while let Some(&detail) = Detail::ALL.get(self.levels) {
            self.levels += 1;
            let thought = self.writer.outline(self.subject, detail);
            if !thought.text.is_empty() && !self.tried.contains(&thought.text) {
                return self.admit(thought);
            }
        }
        Err(Unusable::Exhausted)
    }

    /// Thoughts that passed the gate only because signatures are exempt, by author.
    pub fn exempted(self) -> BTreeMap<Author, u64> {
        self.exempted
    }

    fn judge(&mut self, thought: Thought) -> Result<Thought, Leak> {
        let verdict = self.gate.judge(&thought.text);
        match verdict.leak {
            Some(leak) => Err(leak),
            None => {
                if verdict.exempted {
                    *self.exempted.entry(thought.author).or_default() += 1;
                }
                Ok(thought)
            }
        }
    }

    fn replacement(&self) -> Thought {
        let brief = self.writer.outline(self.subject, Detail::Brief);
        if brief.text.is_empty() || self.gate.judge(&brief.text).leak.is_some() {
            return Thought { text: self.writer.project.least(self.subject), author: Author::Outline };
        }
        brief
    }
}
