//! Rendering: a trajectory becomes ids, a mask and spans, in one place for every stage.
//!
//! A turn of the chat rendering is
//! `<|start_header_id|>` role `<|end_header_id|>` `\n\n` body `<|eot_id|>`;
//! of the plain rendering, for base models, the text header `### role` `\n\n`, then body and
//! `<|end_of_text|>`, which a base model knows as the end and which no content can produce.
//! A document is `<|begin_of_text|>` and one turn a step:
//!
//! | step | role | body |
//! |---|---|---|
//! | opening | `system` | text |
//! | continuation | `system` | the text of [`continuation_text`] |
//! | thought | `assistant` | text |
//! | action | `assistant` | the JSON line of [`action_line`]; `write` adds `\n` and the file's raw content |
//! | observation | `tool` | text, or the file's raw content |
//!
//! Invariants: role, `\n\n`, text, JSON line (with its `\n`) and content are encoded each alone,
//! ids are concatenated. Header and `<|begin_of_text|>` are never trained; body and closing token
//! of a trained thought or action are.
//!
//! Source: PAPER.md, definition 1.

use std::borrow::Cow;
use std::ops::Range;

use recon_schema::trajectory::{Action, Body, Continuation, Observed, Step, Trajectory};
use serde::{Deserialize, Serialize};

use crate::Tokenizer;

/// How turns are marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// Llama-3 chat turns, for instruct models.
    #[default]
    Chat,
    /// Text headers, for base models.
    Plain,
}

/// One step as ids. The ranges count from the start of `ids`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedStep {
    /// The whole turn.
    pub ids: Vec<u32>,
    /// Thought text; for `write` the file's raw content; for others the whole body.
    pub body: Range<usize>,
    /// What is trained: the body with its action line and the closing token. Empty if untrained.
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
    rendering: Rendering,
    headers: [Vec<u32>; 4],
}

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What is given: the openings.
    System,
    /// Who asks; in hints and conversations, never in a document.
    User,
    /// Who thinks and acts.
    Assistant,
    /// What answers an action.
    Tool,
}

impl Role {
    const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
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
    /// A renderer; the headers are encoded once.
    pub fn new(tokenizer: &'t Tokenizer, rendering: Rendering) -> Self {
        let headers = Role::ALL.map(|role| encode_header(tokenizer, rendering, role));
        Self { tokenizer, rendering, headers }
    }

    /// The tokenizer rendered with.
    pub fn tokenizer(&self) -> &'t Tokenizer {
        self.tokenizer
    }

    /// The rendering.
    pub fn rendering(&self) -> Rendering {
        self.rendering
    }

    /// What opens a document: `<|begin_of_text|>`.
    pub fn begin(&self) -> Vec<u32> {
        vec![self.tokenizer.specials().begin_of_text]
    }

    /// The header of a thought's or an action's turn.
    pub fn assistant_header(&self) -> Vec<u32> {
        self.header(Role::Assistant).to_vec()
    }

    /// What closes a turn.
    pub fn end_of_turn(&self) -> Vec<u32> {
        vec![match self.rendering {
            Rendering::Chat => self.tokenizer.specials().eot_id,
            Rendering::Plain => self.tokenizer.specials().end_of_text,
        }]
    }

    /// A turn that holds one text.
    pub fn turn(&self, role: Role, text: &str) -> Vec<u32> {
        let mut ids = self.header(role).to_vec();
        ids.extend(self.tokenizer.encode(text));
        ids.extend(self.end_of_turn());
        ids
    }

    /// A `user` turn that only the writer of a thought sees, and the header under which it writes.
    /// It never stands in a document.
    pub fn hint(&self, text: &str) -> Vec<u32> {
        let mut ids = self.turn(Role::User, text);
        ids.extend(self.header(Role::Assistant));
        ids
    }

    /// One step as a turn. Openings and observations are untrained whatever their record says.
    pub fn step(&self, step: &Step) -> RenderedStep {
        let role = match &step.body {
            Body::Opening { .. } | Body::Continuation(_) => Role::System,
            Body::Think { .. } | Body::Action { .. } => Role::Assistant,
            Body::Observation { .. } => Role::Tool,
        };
        let mut ids = self.header(role).to_vec();
        let header_end = ids.len();
        let text = match &step.body {
            Body::Opening { text } | Body::Think { text, .. } => Cow::Borrowed(text),
            Body::Continuation(continuation) => Cow::Owned(continuation_text(continuation)),
            Body::Action { action: action @ Action::Write(file) } => {
                ids.extend(self.tokenizer.encode(&(action_line(action) + "\n")));
                Cow::Borrowed(&file.text)
            }
            Body::Action { action } => Cow::Owned(action_line(action)),
            Body::Observation { observed: Observed::Text(text) } => Cow::Borrowed(text),
            Body::Observation { observed: Observed::Content(file) } => Cow::Borrowed(&file.text),
        };
        let body_start = ids.len();
        ids.extend(self.tokenizer.encode(&text));
        let body = body_start..ids.len();
        ids.extend(self.end_of_turn());
        let carries_loss = step.trained && matches!(role, Role::Assistant);
        let trained = if carries_loss { header_end..ids.len() } else { header_end..header_end };
        RenderedStep { ids, body, trained }
    }

    /// A whole trajectory.
    pub fn document(&self, trajectory: &Trajectory) -> Document {
        let mut document = Document { ids: self.begin(), mask: vec![0], steps: Vec::new() };
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

    fn header(&self, role: Role) -> &[u32] {
        &self.headers[role as usize]
    }
}

fn encode_header(tokenizer: &Tokenizer, rendering: Rendering, role: Role) -> Vec<u32> {
    let specials = tokenizer.specials();
    let mut ids = Vec::new();
    match rendering {
        Rendering::Chat => {
            ids.push(specials.start_header_id);
            ids.extend(tokenizer.encode(role.name()));
            ids.push(specials.end_header_id);
        }
        Rendering::Plain => ids.extend(tokenizer.encode(&format!("### {}", role.name()))),
    }
    ids.extend(tokenizer.encode("\n\n"));
    ids
}
