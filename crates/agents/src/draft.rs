//! A draft of a file: what the model believes the file to be, before it is written.
//!
//! The model goes on with the document, behind the line of a `draft` call and without any hint, so
//! that a draft shows what it would have written there.

use recon_lm::{Finish, GenJob, Prompt, RandomKey, Sampling};
use recon_schema::trajectory::{Action, Agent, Step};
use recon_text::{Renderer, action_line};

use crate::document::Document;
use crate::first::ModelWriter;
use crate::steps;

/// How a draft is drawn.
pub(crate) struct Drafting<'a> {
    pub(crate) renderer: &'a Renderer<'a>,
    pub(crate) model: &'a ModelWriter<'a>,
    pub(crate) draft_tokens: usize,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
}

impl Drafting<'_> {
    /// The draft of `path` that comes next in `document`; `None` where there is nothing in it.
    pub(crate) fn write(
        &self,
        document: &mut Document<'_>,
        path: &str,
        key: RandomKey,
    ) -> recon_lm::Result<Option<String>> {
        let at = document.branch(self.model.scorer)?;
        let line = action_line(&Action::Draft { path: path.into(), text: String::new() }) + "\n";
        let mut before = self.renderer.assistant_header();
        before.extend(self.renderer.tokenizer().encode(&line));
        let job = GenJob {
            prompt: Prompt::Branch { at, hint: &before },
            sampling: Sampling { temperature: self.temperature, top_p: self.top_p, max_new_tokens: self.draft_tokens },
            key,
            stop_ids: self.renderer.template().stops(),
        };
        let generation = self.model.generator.generate(&[job]).pop().expect("one answer a job")?;
        let mut text = generation.text.as_str();
        if generation.finish == Finish::Length {
            text = whole_lines(text);
        }
        // Encoding it again may give more tokens than were drawn.
        while self.renderer.tokenizer().encode(text).len() > self.draft_tokens {
            text = whole_lines(text.trim_end_matches('\n'));
        }
        Ok((!text.trim().is_empty()).then(|| text.to_owned()))
    }

    /// Most tokens of a draft with its answer.
    pub(crate) fn most_tokens(renderer: &Renderer<'_>, path: &str, draft_tokens: usize) -> usize {
        let agent = Agent::File(path.into());
        let turn = |step: Step| renderer.step(&step).ids.len();
        // A token is at least a byte.
        let answer = turn(steps::result(agent.clone(), String::new())) + recon_tool::ANSWER_BYTES;
        turn(steps::draft(&agent, path, String::new())) + draft_tokens + answer
    }
}

/// `text` without its last line, where that has no end.
fn whole_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |at| at + 1)]
}
