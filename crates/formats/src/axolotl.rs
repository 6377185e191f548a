//! A document as segments of text that are trained or not.
//!
//! Axolotl encodes each segment alone, control tokens by their names, and puts the ids together:
//! so the segments are the pieces that recon encodes alone, and ids and mask come out the same. A
//! document in which a repository's text spells a control token's name cannot be said this way.
//!
//! Source: Axolotl, dataset format `input_output` (template-free).

use recon_schema::trajectory::{Body, Step, Trajectory};
use recon_text::{Renderer, action_line};
use serde_json::{Value, json};

/// Why a document cannot be said in this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step} spells the control token {name}")]
pub struct SpellsControl {
    /// Index of the step.
    pub step: usize,
    /// The token's name.
    pub name: String,
}

/// The record of a trajectory.
///
/// # Errors
/// Where a text spells a control token's name.
pub fn record(trajectory: &Trajectory, renderer: &Renderer<'_>) -> Result<Value, SpellsControl> {
    let tokenizer = renderer.tokenizer();
    let names: Vec<&str> = tokenizer.special_ids().filter_map(|id| tokenizer.special_name(id)).collect();
    let mut segments = Vec::new();
    push(&mut segments, spelled(renderer, &renderer.begin()), false);
    for (at, step) in trajectory.steps.iter().enumerate() {
        let turn = renderer.step(step);
        // What stands before the first piece that is encoded from a text.
        let (texts, trained) = (texts(step, renderer, &turn.ids[turn.body.clone()]), !turn.trained.is_empty());
        let body: usize = texts.iter().map(|(_, tokens)| tokens).sum();
        push(&mut segments, spelled(renderer, &turn.ids[..turn.body.end - body]), false);
        for (text, _) in texts {
            if let Some(name) = names.iter().find(|name| text.contains(**name)) {
                return Err(SpellsControl { step: at, name: (*name).to_owned() });
            }
            push(&mut segments, text, trained);
        }
        push(&mut segments, spelled(renderer, &turn.ids[turn.body.end..=turn.body.end]), trained);
        push(&mut segments, spelled(renderer, &turn.ids[turn.body.end + 1..]), false);
    }
    let repository = &trajectory.repository;
    Ok(json!({
        "segments": segments,
        "trajectory": trajectory.id,
        "repository": repository.name,
        "commit": repository.commit,
        "licence": repository.licence,
    }))
}

fn push(segments: &mut Vec<Value>, text: String, trained: bool) {
    if !text.is_empty() {
        segments.push(json!({"label": trained, "text": text}));
    }
}

/// The texts of a step that are encoded one by one, each with its number of tokens.
fn texts(step: &Step, renderer: &Renderer<'_>, body: &[u32]) -> Vec<(String, usize)> {
    let tokenizer = renderer.tokenizer();
    let text = (tokenizer.decode(body), body.len());
    match &step.body {
        Body::Action { action } if step.written().is_some() => {
            let line = action_line(action) + "\n";
            let tokens = tokenizer.encode(&line).len();
            vec![(line, tokens), text]
        }
        _ => vec![text],
    }
}

/// Ids of headers and ends as text, control tokens by their names.
fn spelled(renderer: &Renderer<'_>, ids: &[u32]) -> String {
    let tokenizer = renderer.tokenizer();
    let spell = |&id: &u32| match tokenizer.special_name(id) {
        Some(name) => name.to_owned(),
        None => tokenizer.decode(&[id]),
    };
    ids.iter().map(spell).collect()
}
