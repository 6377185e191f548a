//! Templates: how the turns of a conversation are marked, with the ids of one tokenizer.
//!
//! | form | a turn |
//! |---|---|
//! | Llama 3 | start, role, end of header, `\n\n`, body, *end* |
//! | ChatML | start, role, `\n`, body, *end*, `\n` |
//! | plain | `### role`, `\n\n`, body, *end*; for models that know no turns |
//!
//! Control tokens are found by their use: the model's own chat template is rendered for a small
//! conversation, and what stands before a role, between role and body, and behind a body are the
//! tokens of those uses, whatever their names (`own`). Only where there is no such template are they
//! looked up by the names they have in the models the form comes from (`llama3`, `chatml`).
//!
//! Input: a tokenizer with its chat template, and the [`Rendering`] asked for. Output: a
//! [`Template`]. Invariants: every piece is encoded alone; the end token is the last that a trained
//! turn may train: what stands between two turns belongs to neither body.

mod chatml;
mod llama3;
mod own;
mod plain;

use serde::{Deserialize, Serialize};

pub use own::ChatTemplate;

use crate::{Error, Result, Tokenizer};

/// How turns are marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// As the model's own template does; plain where it has none.
    #[default]
    Chat,
    /// Llama-3 chat turns.
    Llama3,
    /// ChatML turns.
    #[serde(rename = "chatml")]
    ChatMl,
    /// Text headers, for base models.
    Plain,
}

/// What a template is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Role between two control tokens.
    Llama3,
    /// Role behind one control token, on a line of its own.
    ChatMl,
    /// Role as text.
    Plain,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Llama3 => "Llama 3",
            Self::ChatMl => "ChatML",
            Self::Plain => "plain",
        })
    }
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
    /// Every role, in the order of a template's headers.
    pub const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// The word in a turn's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A template in ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    form: Form,
    begin: Vec<u32>,
    headers: [Vec<u32>; 4],
    end: u32,
    after_end: Vec<u32>,
    stops: Vec<u32>,
}

/// The control tokens of a chat template, and the text around them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Turns {
    /// What opens a document.
    begin: Option<u32>,
    /// What opens a turn.
    start: u32,
    /// What closes the role, where a control token does.
    role_end: Option<u32>,
    /// Text between header and body.
    gap: String,
    /// What closes a body.
    end: u32,
    /// Text between two turns.
    tail: String,
}

impl Turns {
    fn form(&self) -> Form {
        if self.role_end.is_some() { Form::Llama3 } else { Form::ChatMl }
    }

    fn template(&self, tokenizer: &Tokenizer) -> Template {
        let header = |role: Role| {
            let mut ids = vec![self.start];
            ids.extend(tokenizer.encode(role.name()));
            ids.extend(self.role_end);
            ids.extend(tokenizer.encode(&self.gap));
            ids
        };
        Template {
            form: self.form(),
            begin: self.begin.into_iter().collect(),
            headers: Role::ALL.map(header),
            end: self.end,
            after_end: tokenizer.encode(&self.tail),
            stops: std::iter::once(self.end).chain(plain::document_end(tokenizer)).collect(),
        }
    }
}

impl Template {
    /// The template of `tokenizer` for `rendering`.
    ///
    /// # Errors
    /// [`Error::MissingSpecial`] where a form was asked for whose control tokens are not there, or
    /// where nothing closes a turn; [`Error::TwoTemplates`] where two forms fit.
    pub fn find(tokenizer: &Tokenizer, rendering: Rendering) -> Result<Self> {
        if rendering == Rendering::Plain {
            return plain::template(tokenizer);
        }
        // A template that cannot be rendered is no reason not to know the tokens by their names.
        let own = own::turns(tokenizer).ok().flatten();
        let own = |form: Form| own.clone().filter(|turns| turns.form() == form);
        let turns = match rendering {
            Rendering::Llama3 => own(Form::Llama3).map_or_else(|| llama3::named(tokenizer), Ok)?,
            Rendering::ChatMl => own(Form::ChatMl).map_or_else(|| chatml::named(tokenizer), Ok)?,
            Rendering::Chat | Rendering::Plain => match own(Form::Llama3).or_else(|| own(Form::ChatMl)) {
                Some(turns) => turns,
                None => match by_name(tokenizer)? {
                    Some(turns) => turns,
                    None => return plain::template(tokenizer),
                },
            },
        };
        Ok(turns.template(tokenizer))
    }

    /// What it is like.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What opens a document; nothing for models that have seen none.
    pub fn begin(&self) -> &[u32] {
        &self.begin
    }

    /// What stands before a body of `role`.
    pub fn header(&self, role: Role) -> &[u32] {
        &self.headers[role as usize]
    }

    /// What closes a body; trained with it.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// What stands between a turn's end and the next turn; never trained.
    pub fn after_end(&self) -> &[u32] {
        &self.after_end
    }

    /// The ids that end a text the model writes: those that close a turn or a document.
    pub fn stops(&self) -> &[u32] {
        &self.stops
    }

    /// The roles whose turns the model's own chat template renders otherwise, or not at all; every
    /// role where it fails for all, none where there is no such template to hold against.
    pub fn unknown_roles(&self, tokenizer: &Tokenizer) -> Vec<Role> {
        let Some(own) = ChatTemplate::of(tokenizer) else { return Vec::new() };
        let text = "a text";
        let differs = |role: &Role| {
            // As in documents: behind what is given, and where the rules of conversations matter,
            // behind a question.
            let before: &[Role] = match role {
                Role::System => &[],
                Role::User => &[Role::System],
                Role::Assistant | Role::Tool => &[Role::System, Role::User],
            };
            let turns: Vec<(&str, &str)> = before.iter().chain([role]).map(|role| (role.name(), text)).collect();
            let Ok(rendered) = own.render(&turns, false) else { return true };
            let turn = [self.header(*role), &tokenizer.encode(text), &[self.end], &self.after_end].concat();
            let rendered = tokenizer.encode_spelled(&rendered);
            match role {
                Role::System => rendered != [&self.begin[..], &turn].concat(),
                _ => !rendered.ends_with(&turn),
            }
        };
        Role::ALL.into_iter().filter(differs).collect()
    }

    /// What a run should be told of the template that was found, one line each.
    pub fn warnings(&self, tokenizer: &Tokenizer) -> Vec<String> {
        let form = self.form;
        let mut lines = Vec::new();
        match own::turns(tokenizer) {
            Err(error) => lines.push(format!("{error}; turns are marked as {form}")),
            Ok(None) if tokenizer.chat_template().is_some() && form != Form::Plain => {
                lines.push(format!("the model's chat template is of no form known here; turns are marked as {form}"));
            }
            Ok(_) if form != Form::Plain => {
                let unknown: Vec<&str> = self.unknown_roles(tokenizer).into_iter().map(Role::name).collect();
                if !unknown.is_empty() {
                    let roles = unknown.join(", ");
                    lines.push(format!(
                        "the model's chat template renders these turns otherwise or not at all: {roles}"
                    ));
                }
            }
            Ok(_) => {}
        }
        lines
    }
}

/// The form whose control tokens are there by name.
fn by_name(tokenizer: &Tokenizer) -> Result<Option<Turns>> {
    match (llama3::named(tokenizer).ok(), chatml::named(tokenizer).ok()) {
        (Some(llama3), Some(chatml)) => {
            // A fine-tune keeps the tokens of its base; its template speaks those it was trained with.
            let text = tokenizer.chat_template().unwrap_or_default();
            match (text.contains(crate::llama3::START_HEADER_ID), text.contains(chatml::START)) {
                (true, false) => Ok(Some(llama3)),
                (false, true) => Ok(Some(chatml)),
                _ => Err(Error::TwoTemplates),
            }
        }
        (llama3, chatml) => Ok(llama3.or(chatml)),
    }
}

/// Checks that a model with `model_vocabulary` embeddings has one for every id that a document can
/// hold: all that texts produce, and the control tokens of the model's template.
///
/// # Errors
/// [`Error::ExceedsModel`]; nothing is said of ids that are never used.
pub fn check_fits(tokenizer: &Tokenizer, model_vocabulary: usize) -> Result<()> {
    let model = model_vocabulary;
    let highest = tokenizer.content_vocabulary();
    if highest > model {
        let id = highest as u32 - 1;
        return Err(Error::ExceedsModel { what: "the last token of the vocabulary".into(), id, model });
    }
    // A tokenizer without a template is refused where one is needed.
    let Ok(template) = Template::find(tokenizer, Rendering::Chat) else { return Ok(()) };
    let used = template.begin.iter().chain(template.headers.iter().flatten()).chain([&template.end]);
    match used.copied().find(|&id| id as usize >= model) {
        Some(id) => {
            let what = format!("the control token `{}`", tokenizer.special_name(id).unwrap_or_default());
            Err(Error::ExceedsModel { what, id, model })
        }
        None => Ok(()),
    }
}
