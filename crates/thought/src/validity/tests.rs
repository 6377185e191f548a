//! Each rule of validity, on texts as small models write them, with the neighbour that passes.

use recon_graph::{Repository, build};
use recon_schema::trajectory::{Fault, Subject};

use super::{Answer, thought};
use crate::outline::Project;
use crate::unusable::Unusable;

const SIGNER: &str = "\
\"\"\"Signs values with a key.\"\"\"
import hashlib
from sign.encoding import want_bytes

class Signer:
    def __init__(self, secret_key: str, salt: bytes = b''):
        pass
    def sign(self, value):
        return want_bytes(value)
    def unsign(self, signed_value): ...
";

/// The text as a thought about `sign/signer.py`, whose budget is `words`.
fn judge_within(text: &str, ended: bool, subject: &Subject, words: usize) -> Result<String, Fault> {
    let files = [
        ("sign/__init__.py", "from sign.signer import Signer as Signer\n"),
        ("sign/encoding.py", "def want_bytes(s): ...\ndef base64_encode(string): ...\n"),
        ("sign/signer.py", SIGNER),
        ("sign/timed.py", "from sign.signer import Signer\n\nclass TimestampSigner(Signer): ...\n"),
        ("README.md", "# Sign\n"),
    ];
    let graph = build(&Repository::from_files("sign", files));
    let fits = |piece: &str| piece.split_whitespace().count() <= words;
    thought(Answer { text, ended }, subject, &Project::new(&graph), fits).map_err(|unusable| match unusable {
        Unusable::Refused { fault, .. } => fault,
        other => panic!("{other}"),
    })
}

fn judge(text: &str) -> Result<String, Fault> {
    judge_within(text, true, &Subject::Writing { path: "sign/signer.py".into() }, 400)
}

const GOOD: &str = "The file holds `Signer`, which signs a value with a secret_key and checks the signature again in \
                    unsign(). It takes want_bytes from sign/encoding.py, so that text and bytes are both accepted.";

#[track_caller]
fn passes(text: &str) {
    assert_eq!(judge(text).as_deref(), Ok(text));
}

#[track_caller]
fn fails(fault: Fault, texts: &[&str]) {
    for text in texts {
        assert_eq!(judge(text), Err(fault), "{text}");
    }
}

#[test]
fn a_thought_in_plain_language_about_its_file_passes_as_it_is() {
    passes(GOOD);
    assert_eq!(judge(&format!("  Here is the thought:\r\n\r\n{GOOD}\r\n")).as_deref(), Ok(GOOD));
}

#[test]
fn what_is_no_text_is_refused() {
    fails(Fault::Empty, &["", " \n"]);
    fails(Fault::Unreadable, &["123 ***", "a\u{fffd}b", "`Signer`\u{1b}[0m signs."]);
}

#[test]
fn what_a_template_or_a_tool_would_say_is_refused() {
    fails(
        Fault::Control,
        &[
            "The `Signer` signs.<|im_end|>",
            "The `Signer` signs.\n\nassistant\nThe `Signer` signs.",
            "### User:\nWhat does `Signer` do?",
            "User: what does `Signer` do?",
        ],
    );
    fails(
        Fault::Action,
        &[
            "{\"tool\":\"read\",\"path\":\"sign/encoding.py\"}",
            "I read `want_bytes` first.\n{\"tool\": \"read\", \"path\": \"sign/encoding.py\"}",
            "[{\"name\": \"read\", \"arguments\": {\"path\": \"sign/signer.py\"}}]",
        ],
    );
    passes("The user of `Signer` keeps a key, and the system has no say in it.");
}

#[test]
fn code_is_refused_and_a_name_in_code_is_not() {
    fails(
        Fault::Code,
        &[
            "The file is this:\n```python\nclass Signer: ...\n```",
            "class Signer:\n    def sign(self, value):\n        return want_bytes(value)",
            "The `Signer` is made so.\n\nimport hashlib\nfrom sign.encoding import want_bytes",
        ],
    );
    passes("The class `Signer` has a method `def sign(self, value)`, which returns what `want_bytes` gives.");
}

#[test]
fn what_has_no_sentences_is_no_prose() {
    fails(
        Fault::NotProse,
        &[
            "Signer sign unsign salt key value bytes string encode decode digest method",
            "== `Signer` == ++ 1 2 3 4 5 6 7 8 9 :: // -- ;; {} [] 11 12 13 14",
        ],
    );
}

#[test]
fn only_a_plan_may_be_a_list() {
    // What a small model makes of an outline that it was shown.
    let listing = "The file `sign/signer.py` is known about it:\n\nFile: sign/signer.py\nPurpose: signs values with a key\n\
                   Imports:\n- sign/encoding.py: want_bytes\nOutline:\n- class Signer [5-12]\n  - def sign(self, value) [8-9]";
    fails(Fault::NotProse, &[listing, "1. `sign/signer.py`: signs a value\n2. `sign/encoding.py`: makes bytes of it"]);
    passes(
        "The file has these parts:\n- `Signer`, which signs\nIt takes what it needs from sign/encoding.py, and checks it.",
    );
}

#[test]
fn repetition_is_refused() {
    let same = "It signs the value with `Signer`. ".repeat(4);
    let words = "the file the file the `Signer` ".repeat(9) + ".";
    fails(Fault::Repetitive, &[&same, &words]);
    let run = "The Signer is used to sign the value and the salt is used to sign the value and the key is used to sign \
               the value and the text is used to sign the value and the word is used to sign the value.";
    fails(Fault::Repetitive, &[run]);
    passes("It signs the value with `Signer`. It checks the value with `Signer`.");
}

#[test]
fn a_text_is_cut_at_a_sentence_within_its_budget() {
    let subject = Subject::Writing { path: "sign/signer.py".into() };
    let text = "The `Signer` signs a value. It also checks what was signed, and then it";
    assert_eq!(judge_within(text, false, &subject, 400).as_deref(), Ok("The `Signer` signs a value."));
    assert_eq!(judge_within(text, false, &subject, 6).as_deref(), Ok("The `Signer` signs a value."));
    assert_eq!(judge_within(text, false, &subject, 3), Err(Fault::Unfinished));
    fails(Fault::Unfinished, &["The Signer signs a value and then it"]);
    // What names the subject may lie behind the cut.
    let late = "A value is signed here. The class for it is `Signer`, and it";
    assert_eq!(judge_within(late, false, &subject, 400), Err(Fault::OffSubject));
}

#[test]
fn a_thought_that_names_nothing_of_its_subject_is_off_it() {
    fails(
        Fault::OffSubject,
        &[
            "The file must be readable, and its parts have to work together well.",
            "Song of the day. One more song for the night.",
            "It is like `TimestampSigner`, which is written later.",
            "Read README.md to learn what it is for.",
            "It takes `hashlib.sha1` and `int` from outside.",
        ],
    );
    passes("It builds on `sign.encoding` and nothing else.");
    passes("What is in encoding.py is needed here.");
}

#[test]
fn a_name_that_is_nowhere_is_invented() {
    fails(
        Fault::Invented,
        &[
            "The `Signer` hands its work to `SignatureFactory`.",
            "The `Signer` reads its keys from sign/keys.py and signs.",
            "The Signer calls make_signature() for each value.",
            "The `Signer` has a method `Signer.revoke`, which withdraws a signature.",
            "The `Signer` works as the KeyStore does.",
            "The `Signer` takes addresses apart with `urllib.parse.urlparse`, which nothing here imports.",
        ],
    );
    passes("The `Signer` raises a `ValueError`, is written in JavaScript style, and calls `hashlib.sha1(value)`.");
    passes("The `Signer` keeps `secret_key` and `salt`, which are only in a signature, and `signed_value`.");
}

#[test]
fn the_project_is_spoken_of_by_any_of_its_files() {
    let judge = |text: &str, subject: &Subject| judge_within(text, true, subject, 400);
    for subject in [Subject::Requirements, Subject::Plan] {
        let text =
            "What text and bytes have in common is in `sign/encoding.py`. The same with a date is `TimestampSigner`.";
        assert_eq!(judge(text, &subject).as_deref(), Ok(text));
        assert_eq!(judge("A library to sign and to check values.", &subject), Err(Fault::OffSubject));
        assert_eq!(judge("The `TimestampSigner` is in sign/dates.py and signs.", &subject), Err(Fault::Invented));
    }
    let list = "1. `sign/encoding.py`: what text and bytes have in common\n2. `sign/timed.py`: the same with a date";
    assert_eq!(judge(list, &Subject::Plan).as_deref(), Ok(list));
    assert_eq!(judge(list, &Subject::Requirements), Err(Fault::NotProse));
}
