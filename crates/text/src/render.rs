//! Rendering: a trajectory becomes ids, a mask and spans, in one place for every stage.
//!
//! A turn is the header of a role, a body, the end token, and what the [`Template`] puts between
//! turns. A document is what opens one and one turn a step:
//!
//! | step | role | body |
//! |---|---|---|
//! | opening | `system` | text |
//! | continuation | `system` | the text of [`continuation_text`] |
//! | thought | `assistant` | text |
//! | action | `assistant` | the JSON line of [`action_line`]; `write` and `draft` add `\n` and the raw content |
//! | observation | `tool` | text, or the file's raw content |
//!
//! Invariants: the pieces of a header, text, JSON line (with its `\n`) and content are encoded each
//! alone, ids are concatenated. Header, what opens a document and what stands between turns are
//! never trained; body and end token of a trained thought or action are.
//!
//! Source: PAPER.md, definition 1.

use std::borrow::Cow;
use std::ops::Range;

use recon_schema::trajectory::{Action, Body, Continuation, Observed, Step, Trajectory};
use serde::Serialize;

use crate::{Rendering, Result, Role, Template, Tokenizer};

/// One step as ids. The ranges count from the start of `ids`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedStep {
    /// The whole turn.
    pub ids: Vec<u32>,
    /// Thought text; for `write` and `draft` the raw content; for others the whole body.
    pub body: Range<usize>,
    /// What is trained: the body with its action line and the end token. Empty if untrained.
    pub trained: Range<usize>,
}

/// Where a step stands in its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSpan {
    /// The whole turn.
    pub ids: Range<usize>,
    /// As [`RenderedStep::body`], in the document.
    pub body: Range<usize>,
}

/// A trajectory as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The tokens.
    pub ids: Vec<u32>,
    /// `mask[i] = 1`: token `i` is predicted. As long as `ids`.
    pub mask: Vec<u8>,
    /// The steps, in order.
    pub steps: Vec<StepSpan>,
}

/// Renders steps with one tokenizer in one rendering.
#[derive(Debug, Clone)]
pub struct Renderer<'t> {
    tokenizer: &'t Tokenizer,
    template: Template,
}

/// The JSON line of an action: compact, `tool` first, then `path` where the tool has one, such as
/// `{"tool":"write","path":"src/a.py"}`. No line break, neither inside nor at the end.
pub fn action_line(action: &Action) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        tool: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
    }
    let line = Line { tool: action.tool(), path: action.path() };
    serde_json::to_string(&line).expect("two strings are always JSON")
}

/// Where the work stands at the beginning of a later part: what was decided, and what exists.
pub fn continuation_text(continuation: &Continuation) -> String {
    let Continuation { decided, written, earlier } = continuation;
    let mut text = String::new();
    if let Some(decided) = decided {
        text.push_str(&format!("Requirements:\n{}\n\nPlan:\n{}\n\n", decided.requirements, decided.plan));
    }
    text.push_str(&format!("Written so far, newest first:\n{}\n", written.join("\n")));
    if *earlier > 0 {
        text.push_str(&format!("and {earlier} earlier files\n"));
    }
    text
}

impl<'t> Renderer<'t> {
    /// A renderer with the template found for `rendering`; the headers are encoded once.
    ///
    /// # Errors
    /// As [`Template::find`].
    pub fn find(tokenizer: &'t Tokenizer, rendering: Rendering) -> Result<Self> {
        Ok(Self { tokenizer, template: Template::find(tokenizer, rendering)? })
    }

    /// [`Renderer::find`] for a tokenizer that was found to have the template when it was opened.
    ///
    /// # Panics
    /// Where it has not.
    pub fn new(tokenizer: &'t Tokenizer, rendering: Rendering) -> Self {
        Self::find(tokenizer, rendering).expect("whoever opened the tokenizer has found its template")
    }

    /// The tokenizer rendered with.
    pub fn tokenizer(&self) -> &'t Tokenizer {
        self.tokenizer
    }

    /// The template rendered with.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// What opens a document; empty for models that have seen nothing there.
    pub fn begin(&self) -> Vec<u32> {
        self.template.begin().to_vec()
    }

    /// What every document begins with, never empty: what opens it and the header of its opening.
    pub fn opening(&self) -> Vec<u32> {
        [self.template.begin(), self.template.header(Role::System)].concat()
    }

    /// The header of a thought's or an action's turn.
    pub fn assistant_header(&self) -> Vec<u32> {
        self.template.header(Role::Assistant).to_vec()
    }

    /// What closes a turn: the end token, and what stands before the next turn.
    pub fn end_of_turn(&self) -> Vec<u32> {
        [&[self.template.end()], self.template.after_end()].concat()
    }

    /// A turn that holds one text.
    pub fn turn(&self, role: Role, text: &str) -> Vec<u32> {
        let mut ids = self.template.header(role).to_vec();
        ids.extend(self.tokenizer.encode(text));
        ids.extend(self.end_of_turn());
        ids
    }

    /// What only the writer of a thought sees: a `system` turn, a `user` turn, and the header under
    /// which it writes. It never stands in a document.
    pub fn hint(&self, system: &str, user: &str) -> Vec<u32> {
        let mut ids = self.turn(Role::System, system);
        ids.extend(self.turn(Role::User, user));
        ids.extend(self.template.header(Role::Assistant));
        ids
    }

    /// One step as a turn. Openings and observations are untrained whatever their record says.
    pub fn step(&self, step: &Step) -> RenderedStep {
        let role = match &step.body {
            Body::Opening { .. } | Body::Continuation(_) => Role::System,
            Body::Think { .. } | Body::Action { .. } => Role::Assistant,
            Body::Observation { .. } => Role::Tool,
        };
        let mut ids = self.template.header(role).to_vec();
        let header_end = ids.len();
        let text = match &step.body {
            Body::Opening { text } | Body::Think { text, .. } => Cow::Borrowed(text),
            Body::Continuation(continuation) => Cow::Owned(continuation_text(continuation)),
            Body::Action { action: action @ Action::Write(file) } => {
                ids.extend(self.tokenizer.encode(&(action_line(action) + "\n")));
                Cow::Borrowed(&file.text)
            }
            Body::Action { action: action @ Action::Draft { text, .. } } => {
                ids.extend(self.tokenizer.encode(&(action_line(action) + "\n")));
                Cow::Borrowed(text)
            }
            Body::Action { action } => Cow::Owned(action_line(action)),
            Body::Observation { observed: Observed::Text(text) } => Cow::Borrowed(text),
            Body::Observation { observed: Observed::Content(file) } => Cow::Borrowed(&file.text),
        };
        let body_start = ids.len();
        ids.extend(self.tokenizer.encode(&text));
        let body = body_start..ids.len();
        ids.push(self.template.end());
        let carries_loss = step.trained && matches!(role, Role::Assistant);
        let trained = if carries_loss { header_end..ids.len() } else { header_end..header_end };
        ids.extend(self.template.after_end());
        RenderedStep { ids, body, trained }
    }

    /// A whole trajectory.
    pub fn document(&self, trajectory: &Trajectory) -> Document {
        let ids = self.begin();
        let mut document = Document { mask: vec![0; ids.len()], ids, steps: Vec::new() };
        for step in &trajectory.steps {
            let RenderedStep { ids, body, trained } = self.step(step);
            let start = document.ids.len();
            document.mask.resize(start + ids.len(), 0);
            document.mask[start + trained.start..start + trained.end].fill(1);
            document.ids.extend(ids);
            document
                .steps
                .push(StepSpan { ids: start..document.ids.len(), body: start + body.start..start + body.end });
        }
        document
    }
}
