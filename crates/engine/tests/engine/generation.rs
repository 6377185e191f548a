//! Texts: greedy as the model says, sampled as the key says, never a control token.

use candle_core::DType;
use recon_engine::Engine;
use recon_llama::AttentionCtx;
use recon_lm::{Error, Finish, GenJob, Generation, Generator, Message, Prompt, Role, Sampling, Scorer};

use crate::support::{CONTEXT_TOKENS, engine, ids, key, model, small, tokenizer};

const GREEDY: Sampling = Sampling { temperature: 0.0, top_p: 1.0, max_new_tokens: 20 };

fn write(engine: &Engine, prompt: Prompt<'_>, sampling: Sampling, stop_ids: &[u32]) -> recon_lm::Result<Generation> {
    engine.generate(&[GenJob { prompt, sampling, key: key(0), stop_ids }]).pop().unwrap()
}

/// The most likely content ids one after another, each from a forward over the whole text.
fn greedy_from_scratch(prompt: &[u32], tokens: usize) -> Vec<u32> {
    let ((llama, params), tokenizer) = (model(), tokenizer());
    let mut all = prompt.to_vec();
    for _ in 0..tokens {
        let positions: Vec<u32> = (0..all.len() as u32).collect();
        let spans = [0..all.len()];
        let hidden = llama.hidden(&params, &all, &positions, &AttentionCtx::Packed { spans: &spans }).unwrap();
        let logits = llama.logits(&params, &hidden).unwrap().to_dtype(DType::F32).unwrap();
        let row: Vec<f32> = logits.to_vec2().unwrap().pop().unwrap();
        let content = (0..row.len()).filter(|&id| tokenizer.token_bytes(id as u32).is_some());
        // `max_by` keeps the last of equals, so the order is turned round.
        let best = content.rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        all.push(best as u32);
    }
    all.split_off(prompt.len())
}

#[test]
fn cold_texts_are_the_most_likely_tokens() {
    let (context, hint) = (ids(30, 13), ids(31, 9));
    let engine = engine(&small());
    let at = engine.extend(None, &context).unwrap();
    let expected = greedy_from_scratch(&[&context[..], &hint].concat(), 20);
    let found = write(&engine, Prompt::Branch { at: &at, hint: &hint }, GREEDY, &[]).unwrap();
    assert_eq!((&found.ids, found.finish), (&expected, Finish::Length));
    assert_eq!(found.text, tokenizer().decode(&expected));
    let unhinted = write(&engine, Prompt::Branch { at: &at, hint: &[] }, GREEDY, &[]).unwrap();
    assert_eq!(unhinted.ids, greedy_from_scratch(&context, 20), "the hint left no trace");
    assert_eq!(engine.stats().generated_tokens, 40);
}

#[test]
fn a_sampled_text_does_not_depend_on_its_company() {
    let engine = engine(&small());
    let at = engine.extend(None, &ids(32, 20)).unwrap();
    let hints = [ids(33, 5), ids(34, 40), vec![], ids(33, 5), ids(35, 1)];
    let job = |candidate: usize, top_p| GenJob {
        prompt: Prompt::Branch { at: &at, hint: &hints[candidate] },
        sampling: Sampling { temperature: 0.9, top_p, max_new_tokens: 12 + candidate },
        key: key(candidate as u32),
        stop_ids: &[],
    };
    for top_p in [1.0, 0.7] {
        let alone: Vec<_> =
            (0..hints.len()).map(|candidate| engine.generate(&[job(candidate, top_p)]).pop().unwrap()).collect();
        let together = engine.generate(&(0..hints.len()).map(|candidate| job(candidate, top_p)).collect::<Vec<_>>());
        assert_eq!(together, alone);
        let mut reversed =
            engine.generate(&(0..hints.len()).rev().map(|candidate| job(candidate, top_p)).collect::<Vec<_>>());
        reversed.reverse();
        assert_eq!(reversed, alone);
        let texts = [&alone[0], &alone[3]].map(|text| text.as_ref().unwrap().ids[..12].to_vec());
        assert_ne!(texts[0], texts[1], "another key, another text");
    }
}

#[test]
fn one_prompt_for_many_texts_is_computed_once() {
    let engine = engine(&small());
    let at = engine.extend(None, &ids(36, 20)).unwrap();
    let hint = ids(37, 30);
    let job = |candidate| GenJob {
        prompt: Prompt::Branch { at: &at, hint: &hint },
        sampling: Sampling { temperature: 1.0, top_p: 1.0, max_new_tokens: 4 },
        key: key(candidate),
        stop_ids: &[],
    };
    let before = engine.stats().fresh_tokens;
    let texts = engine.generate(&[job(0), job(1), job(2)]);
    // The last token drawn is not computed.
    assert_eq!(engine.stats().fresh_tokens - before, 30 + 3 * 3);
    for (candidate, text) in (0..).zip(texts) {
        assert_eq!(text, engine.generate(&[job(candidate)]).pop().unwrap());
    }
}

#[test]
fn a_stop_id_ends_the_text_and_is_not_part_of_it() {
    let engine = engine(&small());
    let at = engine.extend(None, &ids(38, 20)).unwrap();
    let prompt = Prompt::Branch { at: &at, hint: &[] };
    let whole = write(&engine, prompt, GREEDY, &[]).unwrap().ids;
    let stop = whole[6];
    let first = whole.iter().position(|&id| id == stop).unwrap();
    let found = write(&engine, prompt, GREEDY, &[stop]).unwrap();
    assert_eq!((&found.ids[..], found.finish), (&whole[..first], Finish::Stop));
}

#[test]
fn control_tokens_are_drawn_only_to_stop() {
    let engine = engine(&small());
    let at = engine.extend(None, &ids(39, 10)).unwrap();
    let tokenizer = tokenizer();
    let eot = tokenizer.special_id("<|eot_id|>").unwrap();
    // Hot enough that every id, the 256 control tokens and the padding rows included, is about as likely.
    let sampling = Sampling { temperature: 50.0, top_p: 1.0, max_new_tokens: 60 };
    let all_control: Vec<u32> = tokenizer.special_ids().collect();
    let write = |candidate, stop_ids| {
        let prompt = Prompt::Branch { at: &at, hint: &[] };
        engine.generate(&[GenJob { prompt, sampling, key: key(candidate), stop_ids }]).pop().unwrap().unwrap()
    };
    let mut stopped = 0;
    for candidate in 0..8 {
        let text = write(candidate, std::slice::from_ref(&eot));
        assert!(text.ids.iter().all(|&id| tokenizer.token_bytes(id).is_some()), "{:?}", text.ids);
        stopped += u32::from(write(candidate, &all_control).finish == Finish::Stop);
    }
    assert!(stopped >= 6, "about half of all draws would be control tokens, {stopped} of 8 texts stopped");
}

#[test]
fn texts_end_where_the_context_does() {
    let engine = engine(&small());
    let at = engine.extend(None, &ids(40, CONTEXT_TOKENS - 10)).unwrap();
    let hint = ids(41, 7);
    let long = write(&engine, Prompt::Branch { at: &at, hint: &hint }, GREEDY, &[]).unwrap();
    assert_eq!((long.ids.len(), long.finish), (3, Finish::Length));
    let none = Sampling { max_new_tokens: 0, ..GREEDY };
    let empty = write(&engine, Prompt::Branch { at: &at, hint: &hint }, none, &[]).unwrap();
    assert_eq!((empty.ids.len(), empty.text.as_str(), empty.finish), (0, "", Finish::Length));
    let hint = ids(42, 11);
    let error = write(&engine, Prompt::Branch { at: &at, hint: &hint }, GREEDY, &[]).unwrap_err();
    assert_eq!(error, Error::ContextTooLong { asked: CONTEXT_TOKENS + 1, limit: CONTEXT_TOKENS });
}

#[test]
fn messages_are_answered_like_the_same_turns_on_a_branch() {
    let engine = engine(&small());
    let renderer = recon_text::Renderer::new(engine.tokenizer(), recon_text::Rendering::Chat);
    let message = |role, text: &str| Message { role, text: text.into() };
    let messages = [message(Role::System, "be brief"), message(Role::User, "name a file")];
    let answer = write(&engine, Prompt::Messages(&messages), GREEDY, &[]).unwrap();
    let at = engine.extend(None, &renderer.begin()).unwrap();
    let hint = renderer.hint("be brief", "name a file");
    assert_eq!(write(&engine, Prompt::Branch { at: &at, hint: &hint }, GREEDY, &[]).unwrap(), answer);
}

#[test]
fn bad_jobs_leave_their_neighbours_alone() {
    let engine = engine(&small());
    let at = engine.extend(None, &ids(43, 10)).unwrap();
    let job =
        |hint, sampling| GenJob { prompt: Prompt::Branch { at: &at, hint }, sampling, key: key(1), stop_ids: &[] };
    let alone = engine.generate(&[job(&[3], GREEDY)]).pop().unwrap();
    let mad = Sampling { temperature: f64::NAN, ..GREEDY };
    let results = engine.generate(&[job(&[u32::MAX], GREEDY), job(&[3], GREEDY), job(&[3], mad)]);
    assert!(matches!(results[0], Err(Error::UnknownToken { id: u32::MAX, .. })));
    assert_eq!(results[1], alone);
    assert!(matches!(results[2], Err(Error::Engine(_))));
}
