//! Reading tokenizers: what is accepted, what is refused and with which words.

use recon_text::{Error, Tokenizer, fake};
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
fn a_missing_special_token_is_named() {
    let message = refusal(|root| root["added_tokens"].as_array_mut().unwrap().retain(|token| token["id"] != 277));
    assert!(message.contains("`<|eot_id|>`"), "{message}");
    // A name that is not marked special does not count.
    let message = refusal(|root| root["added_tokens"][0]["special"] = false.into());
    assert!(message.contains("`<|begin_of_text|>`"), "{message}");
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
fn a_model_with_fewer_embeddings_is_refused() {
    let tokenizer = fake::tokenizer();
    assert_eq!(tokenizer.vocabulary(), 524);
    tokenizer.check_fits(524).unwrap();
    tokenizer.check_fits(528).unwrap();
    let message = tokenizer.check_fits(523).unwrap_err().to_string();
    assert_eq!(message, "the tokenizer's ids reach 523, the model's vocabulary ends at 522");
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
