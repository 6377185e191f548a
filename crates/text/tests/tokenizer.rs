//! Reading tokenizers: what is accepted, what is refused and with which words.

use recon_text::{Error, Renderer, Rendering, Tokenizer, check_fits, fake};
use serde_json::Value;

fn read_edited(edit: impl FnOnce(&mut Value)) -> Result<Tokenizer, Error> {
    let mut root = serde_json::from_str(&fake::files().tokenizer_json).unwrap();
    edit(&mut root);
    Tokenizer::from_bytes(root.to_string().as_bytes(), None)
}

fn refusal(edit: impl FnOnce(&mut Value)) -> String {
    read_edited(edit).unwrap_err().to_string()
}

#[test]
fn a_missing_special_token_is_named_where_it_is_needed() {
    let asked = |edit: &dyn Fn(&mut Value)| {
        let tokenizer = read_edited(|root| edit(root)).unwrap();
        Renderer::find(&tokenizer, Rendering::Llama3).unwrap_err().to_string()
    };
    let message = asked(&|root| root["added_tokens"].as_array_mut().unwrap().retain(|token| token["id"] != 277));
    assert!(message.contains("`<|eot_id|>`") && message.contains("llama3"), "{message}");
    // A name that is not marked special does not count.
    let message = asked(&|root| root["added_tokens"][0]["special"] = false.into());
    assert!(message.contains("`<|begin_of_text|>`"), "{message}");
    let bare = read_edited(|root| root["added_tokens"] = serde_json::json!([])).unwrap();
    for rendering in [Rendering::Chat, Rendering::Plain] {
        let message = Renderer::find(&bare, rendering).unwrap_err().to_string();
        assert!(message.contains("eos_token"), "nothing could close a turn: {message}");
    }
}

#[test]
fn normalizers_that_change_nothing_are_no_loss() {
    for identity in [
        serde_json::json!({"type": "Sequence", "normalizers": []}),
        serde_json::json!({"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": []}]}),
    ] {
        let tokenizer = read_edited(|root| root["normalizer"] = identity).unwrap();
        assert_eq!(tokenizer.encode("def e\u{301}"), fake::tokenizer().encode("def e\u{301}"));
    }
    let nested = serde_json::json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}]});
    assert!(refusal(|root| root["normalizer"] = nested).contains("Sequence"));
}

#[test]
fn bytes_without_a_token_are_told_of_a_text_and_never_become_a_control_token() {
    let without = |bytes: &[u8]| {
        read_edited(|root| {
            let missing: Vec<u64> = bytes.iter().map(|&byte| byte.into()).collect();
            let vocabulary = root["model"]["vocab"].as_object_mut().unwrap();
            vocabulary.retain(|_, id| !missing.contains(&id.as_u64().unwrap()));
            root["model"]["unk_token"] = "<|end_of_text|>".into();
        })
        .unwrap()
    };
    // 0xe6 begins the three bytes of 東; 0xc0 and 0xff occur in no text.
    let tokenizer = without(&[0x04, 0x13, 0xc0, 0xe6, 0xff]);
    assert_eq!(tokenizer.unencodable("def f():\n    return 'é'\n"), None);
    assert_eq!(tokenizer.unencodable("a\u{13}b\u{4}"), Some('\u{13}'));
    assert_eq!(tokenizer.unencodable("é東"), Some('東'));
    let ids = tokenizer.encode("a\u{4}東b");
    assert_eq!(tokenizer.decode(&ids), "ab", "what has no token is passed over whole");
    assert!(ids.iter().all(|&id| tokenizer.special_name(id).is_none()), "{ids:?}");
    assert_eq!(without(&[0xc0, 0xff]).unencodable("\u{4}東\u{10ffff}"), None);
}

#[test]
fn tokenizers_of_sentencepiece_s_kind_are_refused_with_the_reason() {
    let metaspace = serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"});
    let prepend = serde_json::json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    for message in [
        refusal(|root| root["pre_tokenizer"] = metaspace),
        refusal(|root| {
            root["pre_tokenizer"] = Value::Null;
            root["normalizer"] = prepend;
        }),
        refusal(|root| {
            root["pre_tokenizer"] = Value::Null;
            root["model"]["byte_fallback"] = true.into();
        }),
    ] {
        assert!(message.contains("SentencePiece") && message.contains("byte-level BPE"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let converted = read_edited(|root| root["model"]["byte_fallback"] = true.into()).unwrap();
    assert_eq!(converted.encode("a\u{0}"), fake::tokenizer().encode("a\u{0}"), "a byte-level model never falls back");
}

#[test]
fn a_blank_put_before_every_text_is_refused() {
    let message = refusal(|root| root["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true.into());
    assert!(message.contains("add_prefix_space"), "{message}");
}

#[test]
fn digits_stand_apart_where_the_tokenizer_says_so() {
    let tokenizer = read_edited(|root| {
        root["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]});
        let vocabulary = root["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.insert("12".into(), 600.into());
        root["model"]["merges"].as_array_mut().unwrap().insert(0, "1 2".into());
    })
    .unwrap();
    let text = "x12 = 12\n\n  y";
    assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
    assert!(!tokenizer.encode(text).contains(&600));
    assert_eq!(tokenizer.vocabulary(), 601);
}

#[test]
fn tokenizers_that_lose_text_are_refused() {
    let normalizer = serde_json::json!({"type": "NFC"});
    let message = refusal(|root| root["normalizer"] = normalizer);
    assert!(message.contains("NFC"), "{message}");
    let message = refusal(|root| drop(root["model"]["vocab"].as_object_mut().unwrap().remove("A")));
    assert!(message.contains("0x41"), "{message}");
    let message = refusal(|root| root["model"]["type"] = "WordLevel".into());
    assert!(message.contains("WordLevel"), "{message}");
    let message = refusal(|root| root["pre_tokenizer"] = Value::Null);
    assert!(message.contains("ByteLevel"), "{message}");
    let message = refusal(|root| {
        let split = &mut root["pre_tokenizer"]["pretokenizers"][0];
        split["pattern"] = serde_json::json!({"String": " "});
        split["behavior"] = "Removed".into();
    });
    assert!(message.contains("became"), "{message}");
}

#[test]
fn an_expression_the_library_cannot_run_is_refused_on_reading() {
    let error = read_edited(|root| root["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "<[^>]*>".into());
    assert!(matches!(error, Err(Error::Build { .. })), "{error:?}");
}

#[test]
fn one_id_has_one_token() {
    let message = refusal(|root| root["added_tokens"][3]["id"] = 268.into());
    assert_eq!(message, "id 268 is `<|begin_of_text|>` and also `<|reserved_special_token_1|>`");
    let message = refusal(|root| root["added_tokens"][3]["id"] = 65.into());
    assert!(message.starts_with("id 65 is `A`"), "{message}");
    let files = fake::files();
    let config = files.tokenizer_config_json.replace("<|python_tag|>", "<|other_tag|>");
    let error = Tokenizer::from_bytes(files.tokenizer_json.as_bytes(), Some(config.as_bytes())).unwrap_err();
    assert_eq!(error.to_string(), "id 278 is `<|python_tag|>` and also `<|other_tag|>`");
}

#[test]
fn malformed_files_are_errors() {
    for bytes in [&b""[..], b"[]", b"{}", b"\xff", br#"{"model":{"type":"BPE","vocab":[]}}"#] {
        Tokenizer::from_bytes(bytes, None).unwrap_err();
    }
    assert!(refusal(|root| root["added_tokens"][0]["id"] = u32::MAX.into()).contains("lacks `id`"));
    let files = fake::files();
    Tokenizer::from_bytes(files.tokenizer_json.as_bytes(), Some(b"{")).unwrap_err();
}

#[test]
fn only_ids_that_are_used_need_an_embedding() {
    let tokenizer = fake::tokenizer();
    assert_eq!(tokenizer.vocabulary(), 524);
    for rows in [528, 524, 523, 278] {
        check_fits(&tokenizer, rows).unwrap();
    }
    let message = check_fits(&tokenizer, 277).unwrap_err().to_string();
    assert_eq!(message, "the control token `<|eot_id|>` has the id 277, the model's vocabulary ends at 276");
    let message = check_fits(&tokenizer, 267).unwrap_err().to_string();
    assert_eq!(message, "the last token of the vocabulary has the id 267, the model's vocabulary ends at 266");
    // The pad token of the other tokenizer is its last.
    check_fits(&fake::chatml(), 271).unwrap();
    assert!(check_fits(&fake::chatml(), 270).unwrap_err().to_string().contains("<|im_end|>"));
}

#[test]
fn a_directory_is_read_like_its_files() {
    let directory = tempfile::tempdir().unwrap();
    fake::files().write(directory.path()).unwrap();
    let tokenizer = Tokenizer::from_dir(directory.path()).unwrap();
    assert_eq!(tokenizer.sha256(), fake::tokenizer().sha256());
    assert_eq!(tokenizer.encode("def in there"), fake::tokenizer().encode("def in there"));
    let absent = Tokenizer::from_dir(&directory.path().join("absent")).unwrap_err();
    assert!(absent.to_string().contains("tokenizer.json"), "{absent}");
}

#[test]
fn merges_are_those_of_the_file() {
    let tokenizer = fake::tokenizer();
    let tokens =
        |text: &str| -> Vec<String> { tokenizer.encode(text).iter().map(|&id| tokenizer.decode(&[id])).collect() };
    assert_eq!(tokens("def in the order"), ["def", " ", "in", " the", " ", "or", "d", "er"]);
    assert_eq!(tokens("x\n\n    y"), ["x", "\n\n", "  ", " ", " ", "y"]);
}

#[test]
fn unknown_and_special_ids_decode_to_nothing() {
    let tokenizer = fake::tokenizer();
    assert_eq!(tokenizer.decode(&[u32::MAX, 65, 277, 5_000, 66]), "AB");
    assert_eq!(tokenizer.decode(&[0xe6, 0x9d]), "\u{fffd}", "a cut character is shown as such");
    assert_eq!(tokenizer.token_bytes(277), None);
    assert_eq!(tokenizer.token_bytes(263), Some(&b" th"[..]));
    assert_eq!(tokenizer.token_bytes(524), None);
}
