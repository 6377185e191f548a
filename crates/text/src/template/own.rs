//! The model's own chat template: rendered with bounded work, and read for its control tokens.
//!
//! Templates are programs that come with a model. They are run as transformers runs them (blocks
//! trimmed, Python's methods of strings and dictionaries, `raise_exception`, `strftime_now`), with
//! a bound on their steps and no way to a file or another template.
//!
//! Input: turns by role and text. Output: the rendered text, in which control tokens are spelled.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error as JinjaError, ErrorKind, Value};

use super::Turns;
use crate::{Error, Result, Tokenizer};

/// Most steps of one rendering: thousands of times what a conversation takes.
const STEPS: u64 = 2_000_000;
/// The day a template is told that asks for one: no result may depend on the calendar.
const DAY: &str = "26 Jul 2024";

/// A chat template and the names it is told.
#[derive(Debug, Clone, Copy)]
pub struct ChatTemplate<'t> {
    source: &'t str,
    bos: &'t str,
    eos: &'t str,
}

impl<'t> ChatTemplate<'t> {
    /// The template of a tokenizer that has one.
    pub fn of(tokenizer: &'t Tokenizer) -> Option<Self> {
        let (bos, eos) = (tokenizer.bos().unwrap_or_default(), tokenizer.eos().unwrap_or_default());
        Some(Self { source: tokenizer.chat_template()?, bos, eos })
    }

    /// The text of `turns`, each a role and what it says; with `opens_answer` the header of an answer
    /// as well.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`]: it is no template, it calls what does not exist, it refuses the
    /// conversation, or it does not come to an end.
    pub fn render(&self, turns: &[(&str, &str)], opens_answer: bool) -> Result<String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("Jinja's own delimiters are told apart"));
        environment.set_fuel(Some(STEPS));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let refuse = |message: String| -> Result<String, JinjaError> {
            Err(JinjaError::new(ErrorKind::InvalidOperation, message))
        };
        environment.add_function("raise_exception", refuse);
        environment.add_function("strftime_now", |_format: String| DAY.to_owned());
        let messages: Vec<serde_json::Value> =
            turns.iter().map(|(role, content)| serde_json::json!({"role": role, "content": content})).collect();
        let context = minijinja::context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt => opens_answer,
            bos_token => self.bos,
            eos_token => self.eos,
        };
        environment.render_str(self.source, context).map_err(|error| Error::ChatTemplate { reason: one_line(&error) })
    }
}

/// What went wrong, and in which line, without the excerpts that the engine adds.
fn one_line(error: &JinjaError) -> String {
    let kind = match error.kind() {
        ErrorKind::OutOfFuel => format!("it has not come to an end after {STEPS} steps"),
        kind => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    let text = kind.split_whitespace().collect::<Vec<_>>().join(" ");
    match error.line() {
        Some(line) => format!("{text} (line {line})"),
        None => text,
    }
}

/// Texts that a template has no reason to hold, and trims nothing from.
const TEXTS: [&str; 3] = ["zq-one", "zq-two", "zq-three"];

/// The control tokens that the tokenizer's own template puts around roles and bodies; none where
/// there is no template, or it marks turns in another way.
///
/// # Errors
/// [`Error::ChatTemplate`].
pub(super) fn turns(tokenizer: &Tokenizer) -> Result<Option<Turns>> {
    let Some(own) = ChatTemplate::of(tokenizer) else { return Ok(None) };
    let [given, asked, answered] = TEXTS;
    let conversation = [("system", given), ("user", asked), ("assistant", answered)];
    // Some templates take no system turn.
    let text = own.render(&conversation, false).or_else(|_| own.render(&conversation[1..], false))?;
    Ok(read(tokenizer, &own, &text))
}

/// Reads the turns of the probe's user and assistant out of its rendering.
fn read(tokenizer: &Tokenizer, own: &ChatTemplate<'_>, text: &str) -> Option<Turns> {
    let [_, asked, answered] = TEXTS;
    let (before, rest) = text.split_once(asked)?;
    let (between, last) = rest.split_once(answered)?;
    let (open, role_end) = between.strip_prefix(last)?.split_once("assistant")?;
    if !before.ends_with(&format!("{open}user{role_end}")) {
        return None;
    }
    let control = |text: &str| {
        let (at, id, name) = tokenizer.first_special(text)?;
        let rest = &text[at + name.len()..];
        (at == 0 && tokenizer.first_special(rest).is_none()).then(|| (id, rest.to_owned()))
    };
    let (start, nothing) = control(open)?;
    let (end, tail) = control(last)?;
    let (role_end, gap) = match tokenizer.first_special(role_end) {
        Some(_) => control(role_end).map(|(id, gap)| (Some(id), gap))?,
        None => (None, role_end.to_owned()),
    };
    // `bos_token` may be the token that opens a turn; then it opens no document beside.
    let begin = tokenizer.special_id(own.bos).filter(|_| text.starts_with(&format!("{}{open}", own.bos)));
    nothing.is_empty().then_some(Turns { begin, start, role_end, gap, end, tail })
}
