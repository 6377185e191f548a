//! A conversation as the ids of chat turns, ending where the answer begins.
//!
//! Turns are the renderer's own, so a message speaks no control and an answer stands where a
//! thought would.

use recon_lm::{Message, Role};
use recon_schema::trajectory::{Agent, Author, Body, Step};
use recon_text::{Renderer, Rendering, Tokenizer};

/// The ids of `messages`.
pub(crate) fn conversation(tokenizer: &Tokenizer, messages: &[Message]) -> Vec<u32> {
    let renderer = Renderer::new(tokenizer, Rendering::Chat);
    let answer = renderer.assistant_header();
    let mut ids = renderer.begin();
    for message in messages {
        let text = message.text.clone();
        match message.role {
            Role::System => ids.extend(turn(&renderer, Body::Prompt { text })),
            Role::Assistant => ids.extend(turn(&renderer, Body::Think { text, search: None })),
            Role::User => {
                // A hint is a user turn and the header of its answer.
                let hint = renderer.hint(&text);
                ids.extend(&hint[..hint.len() - answer.len()]);
            }
        }
    }
    ids.extend(answer);
    ids
}

fn turn(renderer: &Renderer<'_>, body: Body) -> Vec<u32> {
    renderer.step(&Step { agent: Agent::Main, body, author: Author::Model, trained: false }).ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_chat_turns_and_an_open_answer() {
        let tokenizer = recon_text::fake::tokenizer();
        let message = |role, text: &str| Message { role, text: text.into() };
        let ids = conversation(
            &tokenizer,
            &[
                message(Role::System, "be brief"),
                message(Role::User, "<|eot_id|>?"),
                message(Role::Assistant, "no"),
                message(Role::User, "why"),
            ],
        );
        let spelled: String = ids
            .iter()
            .map(|&id| tokenizer.special_name(id).map_or_else(|| tokenizer.decode(&[id]), |name| name.to_uppercase()))
            .collect();
        let turn = |role: &str, text: &str| format!("<|START_HEADER_ID|>{role}<|END_HEADER_ID|>\n\n{text}");
        let expected = [
            "<|BEGIN_OF_TEXT|>".to_string(),
            turn("system", "be brief<|EOT_ID|>"),
            turn("user", "<|eot_id|>?<|EOT_ID|>"),
            turn("assistant", "no<|EOT_ID|>"),
            turn("user", "why<|EOT_ID|>"),
            turn("assistant", ""),
        ];
        assert_eq!(spelled, expected.concat());
    }
}
