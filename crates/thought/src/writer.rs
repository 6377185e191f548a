//! The one way to ask for a thought, be it a first one or one to better another.
//!
//! Input: a subject, a place in a document, a budget. Output: a [`Thought`] within the budget, or
//! why the answer is none. Sampling, random key, prompt and the ids that end an answer are decided
//! here and nowhere else.

use recon_lm::{Branch, Finish, GenJob, Generation, Generator, Prompt, RandomKey, Sampling};
use recon_schema::trajectory::{Author, Subject};
use recon_text::{Renderer, Role};

use crate::outline::{Detail, Project};
use crate::prompts;
use crate::shorten::shorten;
use crate::unusable::Unusable;
use crate::validity::{self, Answer};

/// A thought and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thought {
    /// As it stands in the document.
    pub text: String,
    /// Who composed it.
    pub author: Author,
}

impl Thought {
    /// What follows the header of its turn: the text, and what closes the turn.
    pub fn turn(&self, renderer: &Renderer<'_>) -> Vec<u32> {
        let header = renderer.assistant_header().len();
        renderer.turn(Role::Assistant, &self.text).split_off(header)
    }
}

/// How long thoughts and what is shown to their writer may be, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Longest thought that is not the plan.
    pub thought_tokens: usize,
    /// Longest plan.
    pub plan_tokens: usize,
    /// Longest outline in a hint.
    pub outline_tokens: usize,
}

impl Budget {
    /// The longest thought about `subject`, tokens.
    pub fn of(&self, subject: &Subject) -> usize {
        if *subject == Subject::Plan { self.plan_tokens } else { self.thought_tokens }
    }
}

/// A place at which the model is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What the thought is about.
    pub subject: &'a Subject,
    /// The document before the thought.
    pub at: &'a Branch,
    /// Index of the thought among the steps of its trajectory.
    pub step: usize,
    /// Round of the search; 0 is the first thought.
    pub round: u32,
    /// The thought to better; none where it is the first.
    pub incumbent: Option<&'a str>,
}

/// Writes thoughts about one repository.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// What the outline author says, and the model is shown.
    pub project: &'a Project<'a>,
    /// Turns hints into tokens.
    pub renderer: &'a Renderer<'a>,
    /// Seed of every random choice.
    pub seed: u64,
    /// The bounds.
    pub budget: Budget,
    /// Of the model's answers; 0 takes the most likely token.
    pub temperature: f64,
    /// Nucleus of the model's answers.
    pub top_p: f64,
}

impl Writer<'_> {
    /// The model's answers to one question, all generated in one call; each of `candidates` names
    /// the random numbers of one answer.
    pub fn ask(&self, generator: &dyn Generator, ask: &Ask<'_>, candidates: &[u32]) -> Vec<Result<Thought, Unusable>> {
        let Ask { subject, at, step, round, incumbent } = *ask;
        let shown =
            prompts::hint(self.project, subject, incumbent, self.budget.outline_tokens, |text| self.tokens(text));
        let hint = self.renderer.hint(shown.system, &shown.user);
        let stop_ids = self.renderer.template().stops();
        let (temperature, top_p, max_new_tokens) = (self.temperature, self.top_p, self.budget.of(subject));
        let job = |&candidate: &u32| GenJob {
            prompt: Prompt::Branch { at, hint: &hint },
            sampling: Sampling { temperature, top_p, max_new_tokens },
            key: RandomKey {
                seed: self.seed,
                repository: self.project.name().into(),
                file: subject.path().unwrap_or_default().into(),
                step: step as u64,
                round,
                candidate,
            },
            stop_ids,
        };
        let jobs: Vec<GenJob<'_>> = candidates.iter().map(job).collect();
        if jobs.is_empty() {
            return Vec::new();
        }
        let answers = generator.generate(&jobs).into_iter();
        answers.map(|answer| self.thought(&answer?, subject, max_new_tokens)).collect()
    }

    /// The first thought, by the model.
    ///
    /// # Errors
    /// Whatever makes the answer none.
    pub fn first(
        &self,
        generator: &dyn Generator,
        subject: &Subject,
        at: &Branch,
        step: usize,
    ) -> Result<Thought, Unusable> {
        let ask = Ask { subject, at, step, round: 0, incumbent: None };
        self.ask(generator, &ask, &[0]).pop().expect("one answer a candidate")
    }

    /// The first thought, by the outline author.
    pub fn first_outline(&self, subject: &Subject) -> Thought {
        self.outlined(subject, &self.project.first(subject))
    }

    /// The outline author's thought at a level of detail; empty where the graph holds no such file.
    pub fn outline(&self, subject: &Subject, detail: Detail) -> Thought {
        self.outlined(subject, &self.project.thought(subject, detail))
    }

    fn outlined(&self, subject: &Subject, text: &str) -> Thought {
        let text = shorten(text, self.budget.of(subject), |piece| self.tokens(piece)).to_owned();
        Thought { text, author: Author::Outline }
    }

    /// An answer as a thought. Encoding it again may give more tokens than were drawn.
    fn thought(&self, answer: &Generation, subject: &Subject, limit_tokens: usize) -> Result<Thought, Unusable> {
        let answer = Answer { text: &answer.text, ended: answer.finish == Finish::Stop };
        let text = validity::thought(answer, subject, self.project, |piece| self.tokens(piece) <= limit_tokens)?;
        Ok(Thought { text, author: Author::Model })
    }

    fn tokens(&self, text: &str) -> usize {
        self.renderer.tokenizer().encode(text).len()
    }
}
