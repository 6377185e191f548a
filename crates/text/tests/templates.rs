//! Templates: found from the model's own, equal to it token for token, the same promises for each.

use minijinja::value::Serde;
use minijinja::{Environment, context};
use recon_schema::Sha256;
use recon_schema::trajectory::{Action, Agent, Author, Body, FileContent, Step, Subject, Trajectory};
use recon_text::{ChatTemplate, Error, Form, Renderer, Rendering, Role, Template, Tokenizer, fake, llama3, show};
use serde_json::json;

/// Llama 3.1's structure in short: the content is trimmed, tools answer under another name, and the
/// system turn says more than it is told.
const LLAMA_3_1: &str = "{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'].strip() %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + strftime_now('%d %b %Y') + '\\n\\n' + system_message + '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role == 'tool' or message.role == 'ipython' %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}
    {%- elif message.role in ['user', 'assistant'] %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
    {%- else %}
        {{- raise_exception('no such role') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
";

/// Qwen's structure in short: answers of tools stand inside a user's turn.
const QWEN: &str = "{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are of help.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) or message.role == \"assistant\" %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == \"tool\" %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
";

fn chatml_with(template: &str) -> Tokenizer {
    fake::with_controls(
        &["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        &json!({"eos_token": {"content": "<|im_end|>"}, "chat_template": template}),
    )
}

/// Tokenizers with a chat template of their own, and the form each is of.
fn chats() -> Vec<(&'static str, Tokenizer, Form)> {
    let files = fake::files();
    let mut config: serde_json::Value = serde_json::from_str(&files.tokenizer_config_json).unwrap();
    config["chat_template"] =
        json!([{"name": "tool_use", "template": "{{ no }}"}, {"name": "default", "template": LLAMA_3_1}]);
    let config = config.to_string();
    let llama_3_1 = Tokenizer::from_bytes(files.tokenizer_json.as_bytes(), Some(config.as_bytes())).unwrap();
    let renamed = fake::CHATML_TEMPLATE.replace("<|im_start|>", "[TURN]").replace("<|im_end|>", "[/TURN]");
    let renamed =
        fake::with_controls(&["[DOC]", "[TURN]", "[/TURN]"], &json!({"eos_token": "[DOC]", "chat_template": renamed}));
    let headers = llama3::CHAT_TEMPLATE
        .replace("<|start_header_id|>", "<h>")
        .replace("<|end_header_id|>", "</h>")
        .replace("<|eot_id|>", "<e>");
    let headers = fake::with_controls(
        &["<s>", "<h>", "</h>", "<e>"],
        &json!({"bos_token": "<s>", "eos_token": "<e>", "chat_template": headers}),
    );
    vec![
        ("llama 3", fake::tokenizer(), Form::Llama3),
        ("llama 3.1", llama_3_1, Form::Llama3),
        ("llama 3 renamed", headers, Form::Llama3),
        ("chatml", fake::chatml(), Form::ChatMl),
        ("qwen", chatml_with(QWEN), Form::ChatMl),
        ("chatml renamed", renamed, Form::ChatMl),
    ]
}

fn role(role: Role) -> &'static str {
    role.name()
}

/// What the template's own engine writes, without this crate's way to call it.
fn witness(template: &str, bos: &str, turns: &[(Role, &str)], opens_answer: bool) -> String {
    let mut environment = Environment::new();
    let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap();
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let messages: Vec<_> = turns.iter().map(|(who, text)| json!({"role": role(*who), "content": text})).collect();
    let values = context! {
        messages => minijinja::Value::from(Serde(messages)), bos_token => bos, add_generation_prompt => opens_answer,
    };
    environment.render_str(template, values).unwrap()
}

/// The ids of a rendered text: control strings are control, everything between them is content.
fn ids_of(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let names: Vec<(u32, &str)> = tokenizer.special_ids().map(|id| (id, tokenizer.special_name(id).unwrap())).collect();
    let (mut ids, mut rest) = (Vec::new(), text);
    while let Some((at, id, name)) =
        names.iter().filter_map(|(id, name)| Some((rest.find(name)?, *id, *name))).min_by_key(|(at, ..)| *at)
    {
        ids.extend(tokenizer.encode(&rest[..at]));
        ids.push(id);
        rest = &rest[at + name.len()..];
    }
    ids.extend(tokenizer.encode(rest));
    ids
}

#[test]
fn a_conversation_is_what_the_model_s_own_template_writes() {
    let turns = [
        (Role::System, "Be brief.\nAlways."),
        (Role::User, "def f(x):\n    return x  # 東"),
        (Role::Assistant, "Two lines.\n\nOf text."),
        (Role::User, "and in the end?"),
    ];
    for (name, tokenizer, form) in chats().into_iter().filter(|(name, ..)| *name != "llama 3.1") {
        let renderer = Renderer::find(&tokenizer, Rendering::Chat).unwrap();
        assert_eq!(renderer.template().form(), form, "{name}");
        let mut ids = renderer.begin();
        turns.iter().for_each(|(role, text)| ids.extend(renderer.turn(*role, text)));
        ids.extend(renderer.assistant_header());
        let template = tokenizer.chat_template().unwrap();
        let bos = match name {
            "llama 3" => "<|begin_of_text|>",
            "llama 3 renamed" => "<s>",
            _ => "",
        };
        let written = witness(template, bos, &turns, true);
        assert_eq!(show(&tokenizer, &ids, &[]), written, "{name}");
        assert_eq!(ids, ids_of(&tokenizer, &written), "{name}");
        let turns: Vec<(&str, &str)> = turns.iter().map(|(who, text)| (role(*who), *text)).collect();
        assert_eq!(ChatTemplate::of(&tokenizer).unwrap().render(&turns, true).unwrap(), written, "{name}");
    }
}

fn trajectory() -> Trajectory {
    serde_json::from_str(include_str!("golden/two_files.json")).unwrap()
}

#[test]
fn training_ends_with_the_end_token_in_every_template() {
    for (name, tokenizer, form) in chats() {
        for rendering in [Rendering::Chat, Rendering::Plain] {
            let Ok(renderer) = Renderer::find(&tokenizer, rendering) else { continue };
            let document = renderer.document(&trajectory());
            let template = renderer.template();
            let begin = renderer.begin().len();
            assert!(document.mask[..begin].iter().all(|&bit| bit == 0), "{name}");
            assert_eq!(document.steps[0].ids.start, begin, "{name}");
            for (span, step) in document.steps.iter().zip(&trajectory().steps) {
                let (ids, mask) = (&document.ids[span.ids.clone()], &document.mask[span.ids.clone()]);
                assert!(ids.ends_with(&renderer.end_of_turn()), "{name}");
                let end = ids.len() - template.after_end().len();
                let trained = mask.iter().filter(|&&bit| bit == 1).count();
                let is_trained = step.trained && matches!(step.body, Body::Think { .. } | Body::Action { .. });
                let header = template.header(Role::Assistant).len();
                assert_eq!(trained, if is_trained { end - header } else { 0 }, "{name} {:?}", step.body);
                assert!(mask[end..].iter().all(|&bit| bit == 0), "{name}: what stands between turns is no one's");
                assert!(!is_trained || (mask[end - 1] == 1 && ids[end - 1] == template.end()), "{name}");
            }
            if rendering == Rendering::Chat && form == Form::ChatMl {
                assert_eq!(tokenizer.decode(template.after_end()), "\n", "{name}");
            }
        }
    }
}

#[test]
fn taking_a_document_apart_at_its_steps_changes_no_id() {
    for (name, tokenizer, _) in chats() {
        let renderer = Renderer::find(&tokenizer, Rendering::Chat).unwrap();
        let content = FileContent {
            path: "a".into(),
            sha256: Sha256::of(b""),
            text: "\n\n<|im_end|>\n \n".into(),
            redactions: Vec::new(),
        };
        let bodies = [
            Body::Opening { text: "\n".into() },
            Body::Think { text: "\n x \n".into(), subject: Subject::Plan, search: None },
            Body::Action { action: Action::Write(content) },
        ];
        let step = |body| Step { agent: Agent::Main, body, author: Author::Repository, trained: true };
        let mut whole = trajectory();
        whole.steps = bodies.into_iter().map(step).collect();
        let document = renderer.document(&whole);
        let apart: Vec<u32> = whole.steps.iter().flat_map(|step| renderer.step(step).ids).collect();
        assert_eq!(document.ids, [renderer.begin(), apart].concat(), "{name}");
        let thought = &document.ids[document.steps[1].body.clone()];
        assert_eq!(thought, tokenizer.encode("\n x \n"), "{name}: the line break of the header is not merged in");
        assert!(document.ids.starts_with(&renderer.opening()), "{name}");
    }
}

#[test]
fn roles_that_the_model_s_own_template_does_not_know_are_named() {
    let unknown = |tokenizer: &Tokenizer| {
        let template = Template::find(tokenizer, Rendering::Chat).unwrap();
        (template.unknown_roles(tokenizer), template.warnings(tokenizer))
    };
    for (name, tokenizer, _) in chats() {
        let expected = match name {
            "llama 3.1" => vec![Role::System, Role::Tool],
            "qwen" => vec![Role::Tool],
            _ => vec![],
        };
        let (roles, warnings) = unknown(&tokenizer);
        assert_eq!(roles, expected, "{name}");
        assert_eq!(warnings.len(), usize::from(!expected.is_empty()), "{name}: {warnings:?}");
        assert!(warnings.iter().all(|line| line.contains("tool")), "{name}: {warnings:?}");
    }
    let strict = fake::CHATML_TEMPLATE.replace(
        "{% for turn in messages %}",
        "{% for turn in messages %}{% if turn['role'] == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}",
    );
    assert_eq!(unknown(&chatml_with(&strict)).0, [Role::Tool]);
}

#[test]
fn a_template_that_fails_is_one_line_and_the_tokens_are_known_by_name() {
    for (template, words) in [
        ("{% for turn in messages %}{{ turn.content }}", "line 1"),
        ("{{ no_such_call(messages) }}", "no_such_call"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
            "has not come to an end",
        ),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "recursion"),
        ("{{ raise_exception('never\nany') }}", "never any"),
        ("{% include '/etc/passwd' %}", "include"),
    ] {
        let tokenizer = chatml_with(template);
        let error = ChatTemplate::of(&tokenizer).unwrap().render(&[("user", "x")], false).unwrap_err();
        assert!(matches!(error, Error::ChatTemplate { .. }));
        let message = error.to_string();
        assert!(message.contains(words) && !message.contains('\n'), "{message}");
        let found = Template::find(&tokenizer, Rendering::Chat).unwrap();
        assert_eq!(found.form(), Form::ChatMl);
        let warnings = found.warnings(&tokenizer);
        assert!(warnings.len() == 1 && warnings[0].contains("ChatML"), "{warnings:?}");
    }
    let other = chatml_with("{% for turn in messages %}### {{ turn.role }}: {{ turn.content }}\n{% endfor %}");
    let found = Template::find(&other, Rendering::Chat).unwrap();
    assert!(found.warnings(&other)[0].contains("no form known"), "{:?}", found.warnings(&other));
}

#[test]
fn what_is_asked_for_is_found_or_named() {
    let find = |tokenizer: &Tokenizer, rendering| Template::find(tokenizer, rendering).map(|found| found.form());
    let llama = fake::tokenizer();
    assert_eq!(find(&llama, Rendering::Llama3).unwrap(), Form::Llama3);
    assert_eq!(find(&llama, Rendering::Plain).unwrap(), Form::Plain);
    let refused = find(&llama, Rendering::ChatMl).unwrap_err().to_string();
    assert!(refused.contains("`<|im_start|>`") && refused.contains("chatml"), "{refused}");
    let base = fake::with_controls(&["<|endoftext|>"], &json!({"eos_token": "<|endoftext|>"}));
    assert_eq!(find(&base, Rendering::Chat).unwrap(), Form::Plain, "a base model has text headers");

    // A ChatML fine-tune of a Llama-3 base has the tokens of both.
    let mut controls = llama3::control_tokens();
    controls.extend(["<|im_start|>".into(), "<|im_end|>".into()]);
    let both: Vec<&str> = controls.iter().map(String::as_str).collect();
    let with = |template| fake::with_controls(&both, &json!({"chat_template": template}));
    assert!(matches!(find(&with(None), Rendering::Chat), Err(Error::TwoTemplates)));
    assert_eq!(find(&with(None), Rendering::ChatMl).unwrap(), Form::ChatMl);
    assert_eq!(find(&with(None), Rendering::Llama3).unwrap(), Form::Llama3);
    assert_eq!(find(&with(Some(fake::CHATML_TEMPLATE)), Rendering::Chat).unwrap(), Form::ChatMl);
    assert_eq!(find(&with(Some(llama3::CHAT_TEMPLATE)), Rendering::Chat).unwrap(), Form::Llama3);
    assert_eq!(find(&with(Some("{{ '<|im_start|>' + lost }}")), Rendering::Chat).unwrap(), Form::ChatMl);
}

#[test]
fn texts_stop_at_the_end_of_a_turn_and_of_a_document() {
    for (tokenizer, names) in [
        (fake::tokenizer(), vec!["<|eot_id|>", "<|end_of_text|>"]),
        (fake::chatml(), vec!["<|im_end|>", "<|endoftext|>"]),
    ] {
        let template = Template::find(&tokenizer, Rendering::Chat).unwrap();
        let stops: Vec<&str> = template.stops().iter().map(|&id| tokenizer.special_name(id).unwrap()).collect();
        assert_eq!(stops, names);
    }
    assert_eq!(fake::tokenizer().opening(), fake::tokenizer().special_id("<|begin_of_text|>"));
    assert_eq!(fake::chatml().opening(), None, "nothing is put before its texts");
}

#[test]
fn renderings_are_spelled_as_in_a_configuration() {
    for (name, rendering) in [
        ("chat", Rendering::Chat),
        ("llama3", Rendering::Llama3),
        ("chatml", Rendering::ChatMl),
        ("plain", Rendering::Plain),
    ] {
        assert_eq!(serde_json::from_value::<Rendering>(json!(name)).unwrap(), rendering);
        assert_eq!(serde_json::to_value(rendering).unwrap(), json!(name));
    }
}

#[test]
fn a_template_in_a_file_of_its_own_counts() {
    let directory = tempfile::tempdir().unwrap();
    fake::files().write(directory.path()).unwrap();
    std::fs::write(directory.path().join("chat_template.jinja"), LLAMA_3_1).unwrap();
    let tokenizer = Tokenizer::from_dir(directory.path()).unwrap();
    assert_eq!(tokenizer.chat_template(), Some(LLAMA_3_1));
}
