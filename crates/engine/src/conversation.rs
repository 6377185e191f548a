//! A conversation as the ids of chat turns, ending where the answer begins.
//!
//! Turns are the renderer's own, so a message speaks no control and an answer stands where a
//! thought would.

use recon_lm::{Message, Result, Role};
use recon_text::{Renderer, Rendering, Tokenizer};

use crate::core::failed;

/// The ids of `messages`, and of the header under which the answer stands.
///
/// # Errors
/// Where the tokenizer has no template.
pub fn conversation(tokenizer: &Tokenizer, messages: &[Message]) -> Result<Vec<u32>> {
    let renderer = Renderer::find(tokenizer, Rendering::Chat).map_err(failed)?;
    let mut ids = renderer.begin();
    for Message { role, text } in messages {
        let role = match role {
            Role::System => recon_text::Role::System,
            Role::User => recon_text::Role::User,
            Role::Assistant => recon_text::Role::Assistant,
        };
        ids.extend(renderer.turn(role, text));
    }
    ids.extend(renderer.assistant_header());
    Ok(ids)
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
        )
        .unwrap();
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
