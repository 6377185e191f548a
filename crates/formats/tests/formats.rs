//! Conversions of one small trajectory, each held against the document that recon packs or against the format's rules.

use recon_formats::{atif, axolotl, messages, preferences, provenance};
use recon_schema::Sha256;
use recon_schema::graph::RepositoryRef;
use recon_schema::trajectory::{
    Action, Agent, Arm, Author, Body, Candidate, Fault, FileContent, InitialThought, Observed, Outcome, Round, SCHEMA,
    Search, Step, Subject, Summary, Trajectory,
};
use recon_text::{Renderer, Rendering, Tokenizer, fake};
use serde_json::Value;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineTokenizer};

fn file(path: &str, text: &str) -> FileContent {
    FileContent { path: path.into(), sha256: Sha256::of(text.as_bytes()), text: text.into(), redactions: vec![] }
}

fn step(agent: &Agent, body: Body, author: Author) -> Step {
    let trained = matches!(body, Body::Think { .. } | Body::Action { .. });
    Step { agent: agent.clone(), body, author, trained }
}

fn think(agent: &Agent, subject: Subject, text: &str, search: Option<Search>) -> Step {
    step(agent, Body::Think { text: text.into(), subject, search: search.map(Box::new) }, Author::Model)
}

fn observe(agent: &Agent, observed: Observed) -> Step {
    step(agent, Body::Observation { observed }, Author::Tool)
}

fn search() -> Search {
    let candidate = |text: &str, outcome| Candidate { author: Author::Model, text: text.into(), outcome };
    let scored = |nats, accepted| Outcome::Scored { nats, accepted };
    Search {
        targets: vec!["src/cart.py".into()],
        baseline_nats: 50.0,
        initial_nats: 42.0,
        final_nats: 30.0,
        target_tokens: 10,
        target_bytes: 33,
        initial: InitialThought { author: Author::Outline, text: "write it".into(), replaced: None },
        rounds: vec![
            Round {
                candidates: vec![
                    candidate("a worse one", scored(55.0, false)),
                    candidate("the cart sums prices", scored(30.0, true)),
                ],
                incumbent_nats: 30.0,
            },
            Round {
                candidates: vec![
                    candidate("dropped", Outcome::Refused { nats_at_least: 31.0, tokens_seen: 7 }),
                    candidate("a worse one", scored(55.0, false)),
                    candidate("", Outcome::Invalid { fault: Fault::Empty, reason: "empty".into() }),
                ],
                incumbent_nats: 30.0,
            },
        ],
        control: None,
        spared: None,
    }
}

/// Two files, the second of which reads the first; `content` is the second's.
fn trajectory(content: &str) -> Trajectory {
    let (main, money, cart) = (Agent::Main, "src/money.py", "src/cart.py");
    let of = |path: &str| Agent::File(path.into());
    let action = |agent: &Agent, action| step(agent, Body::Action { action }, Author::Outline);
    let write = |file: &FileContent| {
        let agent = of(&file.path);
        Step { author: Author::Repository, ..action(&agent, Action::Write(file.clone())) }
    };
    let text = |agent: &Agent, text: &str| observe(agent, Observed::Text(text.into()));
    let cents = file(money, "def cents(value):\n    return value * 100\n");
    let opening = Body::Opening { text: "Repository: shop\nFiles:\nsrc/\n".into() };
    let steps = vec![
        Step { trained: false, ..step(&main, opening, Author::Repository) },
        think(&main, Subject::Requirements, "A shop.", None),
        think(&main, Subject::Plan, "Money, then the cart.", None),
        action(&main, Action::Delegate { path: money.into() }),
        think(&of(money), Subject::Writing { path: money.into() }, "Amounts in cents.", None),
        write(&cents),
        text(&of(money), "wrote src/money.py, 2 lines"),
        action(&of(money), Action::Done),
        text(&main, "src/money.py is done"),
        action(&main, Action::Delegate { path: cart.into() }),
        think(&of(cart), Subject::Reading { path: cart.into(), reads: vec![money.into()] }, "Look at money.", None),
        action(&of(cart), Action::Read { path: money.into() }),
        observe(&of(cart), Observed::Content(cents)),
        think(&of(cart), Subject::Writing { path: cart.into() }, "the cart sums prices", Some(search())),
        write(&file(cart, content)),
        text(&of(cart), "wrote src/cart.py, 1 line"),
        action(&of(cart), Action::Done),
        text(&main, "src/cart.py is done"),
        action(&main, Action::Done),
    ];
    let repository = RepositoryRef {
        name: "owner/shop".into(),
        source: "https://example.org/shop".into(),
        commit: Some("0123abcd".into()),
        licence: Some("MIT".into()),
    };
    Trajectory {
        schema: SCHEMA.into(),
        id: "owner/shop@0123abcd/search#0".into(),
        repository,
        arm: Arm::Search,
        part: 0,
        model: None,
        seed: 1,
        steps,
        summary: Summary::default(),
    }
}

const CART: &str = "from .money import cents  # “sums”\n\n\ntotal = cents(3)\n";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What axolotl does: each segment encoded alone, control tokens by their names, the ids put together.
fn as_axolotl_reads(tokenizer_json: &str, record: &Value) -> (Vec<u32>, Vec<u8>) {
    let mut root: Value = serde_json::from_str(tokenizer_json).unwrap();
    tokenizers::canonicalize_value(&mut root).unwrap();
    let tokenizer: PipelineTokenizer = tokenizers::from_json(&root.to_string()).unwrap();
    let options = EncodeOptions {
        add_special_tokens: false,
        encode_special_tokens: false,
        padding: Override::Off,
        truncation: Override::Off,
    };
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for segment in record["segments"].as_array().unwrap() {
        let mut tokens = Vec::new();
        tokenizer.encode_into(text(&segment["text"]), &options, &mut tokens).unwrap();
        mask.resize(mask.len() + tokens.len(), u8::from(segment["label"].as_bool().unwrap()));
        ids.extend(tokens.into_iter().map(u32::from));
    }
    (ids, mask)
}

#[test]
fn axolotl_reads_the_ids_and_the_mask_that_are_packed() {
    let tokenizer = fake::tokenizer();
    let trajectory = trajectory(CART);
    for rendering in [Rendering::Chat, Rendering::Plain] {
        let renderer = Renderer::new(&tokenizer, rendering);
        let record = axolotl::record(&trajectory, &renderer).unwrap();
        let document = renderer.document(&trajectory);
        let (ids, mask) = as_axolotl_reads(&fake::files().tokenizer_json, &record);
        assert_eq!(ids, document.ids, "{rendering:?}");
        assert_eq!(mask, document.mask, "{rendering:?}");
        assert!(mask.contains(&0) && mask.contains(&1));
    }
}

#[test]
fn what_spells_a_control_token_is_refused_and_would_be_misread() {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let hostile = trajectory("stop = '<|eot_id|>'\n");
    let refused = axolotl::record(&hostile, &renderer).unwrap_err();
    assert_eq!((refused.step, refused.name.as_str()), (14, "<|eot_id|>"));
    // The control: said anyway, it is read as something else than what is packed.
    let record = serde_json::json!({"segments": [{"label": true, "text": "stop = '<|eot_id|>'\n"}]});
    let (ids, _) = as_axolotl_reads(&fake::files().tokenizer_json, &record);
    assert_ne!(ids, tokenizer.encode("stop = '<|eot_id|>'\n"));
}

#[test]
fn every_trained_token_has_a_provenance() {
    let tokenizer: Tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let trajectory = trajectory(CART);
    let found = provenance::record(&trajectory, &renderer);
    let document = renderer.document(&trajectory);
    let mut mask = vec![0; found.tokens as usize];
    for run in &found.trained {
        mask[run.tokens.clone()].iter_mut().for_each(|bit| *bit += 1);
    }
    assert_eq!(mask, document.mask);
    assert_eq!((found.repository, found.commit, found.licence), ("owner/shop", Some("0123abcd"), Some("MIT")));
    let of_the_file: Vec<_> = found.trained.iter().filter(|run| run.author == Author::Repository).collect();
    assert_eq!(of_the_file.len(), 2);
    for (run, (path, content)) in of_the_file.iter().zip([("src/money.py", None), ("src/cart.py", Some(CART))]) {
        assert_eq!(run.path, Some(path));
        let text = tokenizer.decode(&document.ids[run.tokens.clone()]);
        assert!(content.is_none_or(|content| content == text), "{text}");
    }
}

#[test]
fn messages_are_conversations_whose_calls_are_answered() {
    let records = messages::records(&trajectory(CART));
    let agents: Vec<&str> = records.iter().map(|record| text(&record["metadata"]["agent"])).collect();
    assert_eq!(agents, ["main", "file:src/money.py", "file:src/cart.py"]);
    let mut files = Vec::new();
    for record in &records {
        let tools: Vec<&str> =
            record["tools"].as_array().unwrap().iter().map(|tool| text(&tool["function"]["name"])).collect();
        let messages = record["messages"].as_array().unwrap();
        assert_eq!(messages[0]["role"], "system");
        for (at, message) in messages.iter().enumerate() {
            let Some(call) = message["tool_calls"].get(0) else { continue };
            assert!(tools.contains(&text(&call["function"]["name"])));
            let arguments: Value = serde_json::from_str(text(&call["function"]["arguments"])).unwrap();
            files.extend(arguments["content"].as_str().map(String::from));
            match messages.get(at + 1) {
                Some(answer) => assert_eq!((&answer["role"], &answer["tool_call_id"]), (&"tool".into(), &call["id"])),
                None => assert_eq!(call["function"]["name"], "done"),
            }
        }
    }
    assert_eq!(files.len(), 2);
    assert_eq!(files[1], CART);
    // The second sub-agent is told what was decided, and that the first file exists.
    let told = text(&records[2]["messages"][1]["content"]);
    assert!(told.contains("A shop.") && told.contains("Money, then the cart.") && told.contains("src/money.py"));
}

#[test]
fn atif_steps_are_numbered_and_results_name_their_calls() {
    let record = atif::record(&trajectory(CART));
    let others = record["subagent_trajectories"].as_array().unwrap();
    let mut referred = Vec::new();
    for agent in std::iter::once(&record).chain(others) {
        assert_eq!((&agent["schema_version"], &agent["session_id"]), (&"ATIF-v1.7".into(), &record["session_id"]));
        for (at, step) in agent["steps"].as_array().unwrap().iter().enumerate() {
            assert_eq!(step["step_id"], at + 1);
            assert!(["system", "user", "agent"].contains(&text(&step["source"])));
            assert!(step["message"].is_string());
            assert!(step["source"] == "agent" || step["tool_calls"].is_null(), "{step}");
            for result in step["observation"]["results"].as_array().into_iter().flatten() {
                assert_eq!(result["source_call_id"], step["tool_calls"][0]["tool_call_id"]);
                referred.extend(result["subagent_trajectory_ref"].get(0).map(|it| it["trajectory_id"].clone()));
            }
        }
    }
    let names: Vec<&Value> = others.iter().map(|it| &it["trajectory_id"]).collect();
    assert_eq!(referred.iter().collect::<Vec<_>>(), names);
    assert_eq!(names.len(), 2);
}

#[test]
fn preferences_hold_the_accepted_thought_against_those_known_to_be_worse() {
    let pairs = preferences::records(&trajectory(CART));
    let found: Vec<(&str, f64, bool)> = pairs
        .iter()
        .map(|pair| {
            let rejected = text(&pair["rejected"][0]["content"]);
            (rejected, pair["delta_nats"].as_f64().unwrap(), pair["is_lower_bound"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(found, [("write it", 1.2, false), ("a worse one", 2.5, false), ("dropped", 0.1, true)]);
    for pair in &pairs {
        assert_eq!(pair["chosen"][0]["content"], "the cart sums prices");
        let prompt = pair["prompt"].as_array().unwrap();
        assert_eq!(prompt.len(), 13, "all that stands before the thought");
        assert!(!pair["prompt"].to_string().contains("the cart sums prices"));
    }
}
