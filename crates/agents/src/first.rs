//! First thoughts: by the model where there is one, else by the outline author.

use recon_lm::{Generator, Scorer};
use recon_schema::trajectory::{ModelRef, Subject};
use recon_thought::{Thought, Unusable, Writer};

use crate::document::Document;

/// The model that writes first thoughts and decides what is read.
#[derive(Clone)]
pub struct ModelWriter<'a> {
    /// Writes the thoughts.
    pub generator: &'a dyn Generator,
    /// Holds the document written so far, and weighs what may be done next.
    pub scorer: &'a dyn Scorer,
    /// Goes into the record.
    pub model: ModelRef,
}

/// Whoever writes first thoughts about one repository.
pub(crate) struct FirstWriter<'a> {
    pub(crate) writer: Writer<'a>,
    /// None where the outline writes all of them.
    pub(crate) model: Option<ModelWriter<'a>>,
}

impl FirstWriter<'_> {
    /// The thought that comes next in `document`. What the model fails to write the outline
    /// writes; the thought's author says so, and the document counts why.
    pub(crate) fn write(&self, document: &mut Document<'_>, subject: &Subject) -> Thought {
        let answer = self.model.as_ref().map(|model| self.ask(model, document, subject));
        match answer {
            Some(Ok(thought)) => return thought,
            Some(Err(unusable)) => {
                if let Some(fault) = unusable.fault() {
                    *document.first_refused.entry(fault).or_default() += 1;
                }
                tracing::info!(
                    repository = self.writer.project.name(), agent = %String::from(subject.agent()), reason = %unusable,
                    "the model wrote no thought; the outline writes it"
                );
            }
            None => {}
        }
        self.writer.first_outline(subject)
    }

    fn ask(
        &self,
        model: &ModelWriter<'_>,
        document: &mut Document<'_>,
        subject: &Subject,
    ) -> Result<Thought, Unusable> {
        let step = document.steps.len();
        let at = document.branch(model.scorer)?;
        self.writer.first(model.generator, subject, at, step)
    }
}
