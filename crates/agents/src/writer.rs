//! Writing one thought: by the model where there is one, else from the outline.

use recon_lm::{GenJob, Generator, Prompt, RandomKey, Sampling, Scorer};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Author, ModelRef};
use recon_text::Renderer;
use recon_thought::usable::{self, Unusable};

use crate::AgentOptions;
use crate::document::Document;
use recon_thought::subject::Topic;

/// The model that writes first thoughts.
#[derive(Clone)]
pub struct ModelWriter<'a> {
    /// Writes.
    pub generator: &'a dyn Generator,
    /// Holds the document written so far.
    pub scorer: &'a dyn Scorer,
    /// Which model it is.
    pub model: ModelRef,
}

/// Writes thoughts about one repository.
pub(crate) struct Writer<'a> {
    pub(crate) renderer: &'a Renderer<'a>,
    pub(crate) graph: &'a RepoGraph,
    pub(crate) options: &'a AgentOptions,
    pub(crate) model: Option<ModelWriter<'a>>,
}

impl Writer<'_> {
    /// The thought that comes next in `document`, at most `limit_tokens` long, and who wrote it.
    pub(crate) fn write(
        &self,
        document: &mut Document<'_>,
        topic: &Topic<'_>,
        limit_tokens: usize,
    ) -> (String, Author) {
        let answer = self.model.as_ref().map(|model| self.ask(model, document, topic, limit_tokens));
        match answer {
            Some(Ok(text)) => return (text, Author::Model),
            Some(Err(reason)) => tracing::warn!(
                repository = %self.graph.repository.name, agent = %String::from(topic.agent()), %reason,
                "the model wrote no thought; the outline writes it"
            ),
            None => {}
        }
        (topic.outline(self.graph, limit_tokens, |text| self.tokens(text)), Author::Outline)
    }

    fn ask(
        &self,
        model: &ModelWriter<'_>,
        document: &mut Document<'_>,
        topic: &Topic<'_>,
        limit_tokens: usize,
    ) -> Result<String, Unusable> {
        let key = RandomKey {
            seed: self.options.seed,
            repository: self.graph.repository.name.clone(),
            file: topic.path().unwrap_or_default().into(),
            step: document.steps.len() as u64,
            round: 0,
            candidate: 0,
        };
        let hint = topic.hint(self.graph, self.options.max_outline_tokens, |text| self.tokens(text));
        let hint = self.renderer.hint(&hint);
        let sampling =
            Sampling { temperature: self.options.temperature, top_p: self.options.top_p, max_new_tokens: limit_tokens };
        let stop_ids = [self.renderer.end_of_turn(), vec![self.renderer.tokenizer().specials().end_of_text]].concat();
        let prompt = Prompt::Branch { at: document.branch(model.scorer)?, hint: &hint };
        let job = GenJob { prompt, sampling, key, stop_ids: &stop_ids };
        let answer = model.generator.generate(&[job]).pop().expect("one result a job")?;
        // Encoding the text again may give more tokens than were drawn.
        let text = usable::usable(&answer.text)?;
        usable::usable(usable::shorten(&text, limit_tokens, |piece| self.tokens(piece)))
    }

    fn tokens(&self, text: &str) -> usize {
        self.renderer.tokenizer().encode(text).len()
    }
}
