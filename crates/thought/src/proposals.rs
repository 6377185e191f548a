//! Thoughts proposed at one place, round after round: none twice, none that hands its target over.

use std::collections::{BTreeMap, HashSet};

use recon_lm::{Branch, Generator};
use recon_schema::trajectory::{Author, Leak, Subject};

use crate::gate::Gate;
use crate::outline::Detail;
use crate::unusable::Unusable;
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
    /// [`Unusable::Repeated`] and [`Unusable::Leaked`].
    pub fn admit(&mut self, thought: Thought) -> Result<Thought, Unusable> {
        if !self.tried.insert(thought.text.clone()) {
            return Err(Unusable::Repeated { text: thought.text });
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

#[cfg(test)]
mod tests {
    use recon_graph::{Repository, build};
    use recon_lm::fake::TableModel;
    use recon_lm::{Limits, Scorer};
    use recon_schema::trajectory::Fault;
    use recon_text::{Renderer, Rendering, fake};

    use super::*;
    use crate::leak::Context;
    use crate::outline::Project;
    use crate::writer::Budget;

    const TEXT: &str = "def total(items):\n    kept = [item for item in items if item.kept]\n    return sum(kept)\n";

    /// Calls `test` with proposals for the thought before `price.py`, and what they are asked with.
    fn at_price(model: &TableModel, test: impl FnOnce(&mut Proposals<'_>, &Branch)) {
        let graph = build(&Repository::from_files("shop", [("price.py", TEXT)]));
        let (project, tokenizer, context) = (Project::new(&graph), fake::tokenizer(), Context::default());
        let renderer = Renderer::new(&tokenizer, Rendering::Chat);
        let budget = Budget { thought_tokens: 400, plan_tokens: 400, outline_tokens: 400 };
        let writer = Writer { project: &project, renderer: &renderer, seed: 0, budget, temperature: 0.0, top_p: 1.0 };
        let gate = Gate::new(&tokenizer, &context, &project, [("price.py", TEXT)]);
        let subject = Subject::Writing { path: "price.py".into() };
        let at = model.extend(None, &renderer.begin()).unwrap();
        test(&mut Proposals::new(&writer, &subject, 3, &gate), &at);
    }

    fn model(write: impl Fn(u32) -> String + Send + Sync + 'static) -> TableModel {
        let limits = Limits { context_tokens: 1 << 16, vocabulary: 1024 };
        TableModel::new(limits, |_, _| -1.0, move |_, _, key| write(key.candidate))
    }

    fn by_model(text: &str) -> Thought {
        Thought { text: text.into(), author: Author::Model }
    }

    #[test]
    fn a_first_thought_that_leaks_gives_way_to_a_brief_one() {
        at_price(&model(|_| String::new()), |proposals, _| {
            let (first, leak) = proposals.begin(by_model(&format!("I write this: {TEXT}")));
            assert!(matches!(leak, Some(Leak::Run { .. })), "{leak:?}");
            assert_eq!(first.author, Author::Outline);
            assert!(first.text.contains("`price.py`") && !first.text.contains("item for item"), "{}", first.text);
        });
    }

    #[test]
    fn nothing_is_admitted_twice_and_no_leak_at_all() {
        at_price(&model(|_| String::new()), |proposals, _| {
            assert_eq!(proposals.begin(by_model("Sum it up.")), (by_model("Sum it up."), None));
            assert_eq!(proposals.admit(by_model("Sum it up.")), Err(Unusable::Repeated { text: "Sum it up.".into() }));
            assert_eq!(proposals.admit(by_model("Add it up.")), Ok(by_model("Add it up.")));
            let leaked = proposals.admit(by_model(TEXT));
            assert!(matches!(&leaked, Err(Unusable::Leaked { text, .. }) if text == TEXT), "{leaked:?}");
        });
    }

    #[test]
    fn the_outline_says_more_each_time_until_it_has_said_everything() {
        at_price(&model(|_| String::new()), |proposals, _| {
            let mut texts = Vec::new();
            loop {
                // So small a file is told by its own outline, which the gate sees.
                match proposals.next_outline() {
                    Ok(Thought { text, .. }) | Err(Unusable::Leaked { text, .. }) => texts.push(text),
                    Err(reason) => break assert_eq!(reason, Unusable::Exhausted),
                }
            }
            // A signature may be shorter than the words for a kind, so only the last is the longest.
            let before = |at: usize| texts[..at].iter().all(|text| text.len() < texts[at].len());
            assert!(texts.len() > 2 && before(texts.len() - 1), "{texts:#?}");
            assert!((0..texts.len()).all(|at| !texts[..at].contains(&texts[at])), "{texts:#?}");
            assert_eq!(proposals.next_outline(), Err(Unusable::Exhausted));
        });
    }

    #[test]
    fn an_answer_that_is_no_thought_is_none_and_a_long_one_is_cut_at_a_sentence() {
        let answer = |candidate| match candidate {
            0 => "  In `price.py`, `total` adds up.\n".into(),
            1 => " \n".into(),
            _ => (0..400).map(|at| format!("It is `total` number {at}. ")).collect(),
        };
        at_price(&model(answer), |proposals, at| {
            let answers = proposals.ask(&model(answer), at, "the incumbent", 1, &[0, 1, 2]);
            assert_eq!(answers[0], Ok(by_model("In `price.py`, `total` adds up.")));
            assert!(matches!(answers[1], Err(Unusable::Refused { fault: Fault::Empty, .. })), "{:?}", answers[1]);
            let cut = answers[2].as_ref().unwrap();
            let tokens = fake::tokenizer().encode(&cut.text).len();
            assert!((300..=400).contains(&tokens) && cut.text.ends_with('.'), "{tokens}: {}", cut.text);
        });
    }
}
