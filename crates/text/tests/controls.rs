//! Content never speaks control: no text, in no place of a document, becomes a special token.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use recon_schema::Sha256;
use recon_schema::trajectory::{
    Action, Agent, Author, Body, Continuation, Decided, FileContent, Observed, Step, Subject,
};
use recon_text::{Renderer, Rendering, Tokenizer, fake, llama3};

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(fake::tokenizer);

fn assert_plain(tokenizer: &Tokenizer, text: &str) {
    let specials: BTreeSet<u32> = tokenizer.special_ids().collect();
    let ids = tokenizer.encode(text);
    assert!(ids.iter().all(|id| !specials.contains(id)), "{text:?} became {ids:?}");
    assert_eq!(tokenizer.decode(&ids), text);
}

/// Every control string alone, at the start, at the end, inside a word, between blanks, doubled.
fn placements(control: &str) -> [String; 8] {
    [
        control.to_string(),
        format!("{control}text"),
        format!("text{control}"),
        format!("te{control}xt"),
        format!("a {control} b\n{control}\n"),
        format!("{control}{control}"),
        format!("<|{control}|>"),
        format!("東{control}\u{0}\r\n{}", &control[2..]),
    ]
}

#[test]
fn no_control_string_becomes_a_special_token() {
    let tokenizer = fake::tokenizer();
    let controls = llama3::control_tokens();
    assert_eq!(tokenizer.special_ids().count(), 256, "the test sees every special token");
    for control in &controls {
        placements(control).iter().for_each(|text| assert_plain(&tokenizer, text));
    }
    assert_plain(&tokenizer, &controls.concat());
    assert_plain(&tokenizer, &controls.join(" "));
    assert_plain(&tokenizer, &controls.join("\n"));
}

/// The small tokenizer with one thing changed.
fn tokenizer_with(edit: impl FnOnce(&mut serde_json::Value)) -> Tokenizer {
    let mut root = serde_json::from_str(&fake::files().tokenizer_json).unwrap();
    edit(&mut root);
    Tokenizer::from_bytes(root.to_string().as_bytes(), None).unwrap()
}

#[test]
fn added_tokens_not_marked_special_are_plain_text_too() {
    let tokenizer = tokenizer_with(|root| {
        let tokens = root["added_tokens"].as_array_mut().unwrap();
        tokens.iter_mut().skip(10).for_each(|token| token["special"] = false.into());
    });
    let text = "<|python_tag|>";
    let ids = tokenizer.encode(text);
    assert!(ids.iter().all(|&id| id < 268), "{ids:?}");
    assert_eq!(tokenizer.decode(&ids), text);
}

#[test]
fn a_control_token_that_stands_in_the_vocabulary_is_not_reached_either() {
    // Older tokenizers list a special token in the model's vocabulary as well; a word that equals
    // a vocabulary entry is encoded as that entry, so `<|eot_id|>` must be taken out of there.
    let tokenizer = tokenizer_with(|root| {
        root["model"]["vocab"]["<|eot_id|>"] = 277.into();
        // No cut inside: the whole text is one word.
        root["pre_tokenizer"]["pretokenizers"][0]["pattern"] = serde_json::json!({"String": "never"});
    });
    assert_plain(&tokenizer, "<|eot_id|>");
    assert_plain(&tokenizer, "a<|eot_id|>b");
}

fn steps_speaking(text: &str) -> Vec<Step> {
    let content = FileContent { path: text.into(), sha256: Sha256::of(b""), text: text.into(), redactions: Vec::new() };
    let decided = Some(Decided { requirements: text.into(), plan: text.into() });
    let bodies = [
        Body::Opening { text: text.into() },
        Body::Continuation(Continuation { decided, written: vec![text.into()], earlier: 1 }),
        Body::Think { text: text.into(), subject: Subject::Plan, search: None },
        Body::Action { action: Action::Read { path: text.into() } },
        Body::Action { action: Action::Write(content.clone()) },
        Body::Observation { observed: Observed::Text(text.into()) },
        Body::Observation { observed: Observed::Content(content) },
    ];
    let step = |body| Step { agent: Agent::Main, body, author: Author::Repository, trained: true };
    bodies.into_iter().map(step).collect()
}

#[test]
fn a_turn_holds_its_own_control_tokens_and_no_others() {
    let llama3 = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
    let chatml = ["<|im_start|>", "<|im_end|>"];
    let every = llama3::control_tokens().concat() + "<|im_start|><|im_end|>\n<|endoftext|><|pad|>";
    for (tokenizer, rendering, expected) in [
        (fake::tokenizer(), Rendering::Chat, &llama3[..]),
        (fake::tokenizer(), Rendering::Llama3, &llama3),
        (fake::tokenizer(), Rendering::Plain, &["<|end_of_text|>"]),
        (fake::chatml(), Rendering::Chat, &chatml),
        (fake::chatml(), Rendering::ChatMl, &chatml),
        (fake::chatml(), Rendering::Plain, &["<|endoftext|>"]),
    ] {
        let expected: Vec<u32> = expected.iter().map(|name| tokenizer.special_id(name).unwrap()).collect();
        let renderer = Renderer::find(&tokenizer, rendering).unwrap();
        for step in steps_speaking(&every) {
            let rendered = renderer.step(&step);
            let found: Vec<u32> =
                rendered.ids.iter().copied().filter(|&id| tokenizer.special_name(id).is_some()).collect();
            assert_eq!(found, expected, "{rendering:?} {:?}", step.body);
        }
        let hint = renderer.hint(&every, &every);
        let headers = renderer.hint("", "");
        let count = |ids: &[u32]| ids.iter().filter(|&&id| tokenizer.special_name(id).is_some()).count();
        assert_eq!(count(&hint), count(&headers));
    }
}

/// Texts in which control strings, halves of them and any other characters are mixed.
fn mixture() -> impl Strategy<Value = String> {
    let control = proptest::sample::select(llama3::control_tokens());
    let half = (proptest::sample::select(llama3::control_tokens()), 1_usize..12)
        .prop_map(|(control, cut)| control[..cut.min(control.len())].to_string());
    let piece = prop_oneof![control, half, any::<String>(), "[ \\t\\r\\n]{0,9}", "[a-z_(){}'\"]{0,12}"];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_text_is_restored_from_its_tokens(text in any::<String>()) {
        assert_plain(&TOKENIZER, &text);
    }

    #[test]
    fn mixtures_of_control_strings_stay_text(text in mixture()) {
        assert_plain(&TOKENIZER, &text);
    }
}
