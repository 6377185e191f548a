//! The contract: a two-file trajectory and, piece by piece, the ids and mask it must become.
//!
//! `golden/two_files.py` writes both from the definition without this crate.

use recon_schema::trajectory::{Continuation, Decided, Trajectory};
use recon_text::{Renderer, Rendering, continuation_text, fake, show};

const TRAJECTORY: &str = include_str!("golden/two_files.json");
const PIECES: &str = include_str!("golden/two_files.txt");

struct Piece {
    mask: u8,
    special: bool,
    text: String,
    ids: Vec<u32>,
}

fn pieces() -> Vec<Piece> {
    let lines = PIECES.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [mask, kind, text, ids] = fields[..] else { panic!("four fields: {line}") };
            Piece {
                mask: mask.parse().unwrap(),
                special: kind == "special",
                text: serde_json::from_str(text).unwrap(),
                ids: ids.split(' ').map(|id| id.parse().unwrap()).collect(),
            }
        })
        .collect()
}

fn trajectory() -> Trajectory {
    serde_json::from_str(TRAJECTORY).unwrap()
}

#[test]
fn every_piece_has_the_ids_and_mask_of_the_definition() {
    let tokenizer = fake::tokenizer();
    let document = Renderer::new(&tokenizer, Rendering::Chat).document(&trajectory());
    let mut at = 0;
    for piece in pieces() {
        let end = at + piece.ids.len();
        assert_eq!(document.ids[at..end], piece.ids, "ids of {:?} at {at}", piece.text);
        assert!(document.mask[at..end].iter().all(|&bit| bit == piece.mask), "mask of {:?} at {at}", piece.text);
        if piece.special {
            assert_eq!(tokenizer.special_name(piece.ids[0]), Some(piece.text.as_str()));
        } else {
            assert_eq!(tokenizer.decode(&piece.ids), piece.text);
        }
        at = end;
    }
    assert_eq!((document.ids.len(), document.mask.len()), (at, at));
}

#[test]
fn bodies_are_the_text_or_the_raw_content() {
    let tokenizer = fake::tokenizer();
    let trajectory = trajectory();
    let document = Renderer::new(&tokenizer, Rendering::Chat).document(&trajectory);
    let body = |step: usize| tokenizer.decode(&document.ids[document.steps[step].body.clone()]);
    assert_eq!(body(1), "The program prints the number two.");
    assert_eq!(body(2), r#"{"tool":"delegate","path":"util.py"}"#);
    assert_eq!(body(4), "def two():\n    return 2\n");
    assert_eq!(body(10), body(4), "what is read is what was written");
    assert_eq!(body(11), "import util\n\nprint(util.two(), \"<|eot_id|>\")");
    let joined: Vec<usize> = document.steps.iter().flat_map(|step| [step.ids.start, step.ids.end]).collect();
    assert_eq!((joined[0], joined[joined.len() - 1]), (1, document.ids.len()));
    assert!(joined[1..joined.len() - 1].chunks(2).all(|border| border[0] == border[1]), "steps leave no gap");
}

#[test]
fn the_plain_rendering_has_text_headers_in_the_same_places() {
    let tokenizer = fake::tokenizer();
    let document = Renderer::new(&tokenizer, Rendering::Plain).document(&trajectory());
    let mut expected = String::new();
    for piece in pieces() {
        let text = match piece.text.as_str() {
            "<|start_header_id|>" => "### ",
            "<|end_header_id|>" => "",
            "<|eot_id|>" => "<|end_of_text|>",
            text => text,
        };
        let marked = if piece.mask == 1 { format!("⟦{text}⟧") } else { text.into() };
        expected.push_str(&marked);
    }
    assert_eq!(show(&tokenizer, &document.ids, &document.mask), expected.replace("⟧⟦", ""));
}

#[test]
fn the_writer_of_a_thought_sees_a_hint_after_the_shared_context() {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let hint = renderer.hint("Think in sentences.", "The file defines `two`.");
    assert_eq!(
        show(&tokenizer, &hint, &[]),
        "<|start_header_id|>system<|end_header_id|>\n\nThink in sentences.<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nThe file defines `two`.<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    assert!(hint.ends_with(&renderer.assistant_header()));
}

#[test]
fn openings_and_observations_are_never_trained() {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let honest = trajectory();
    let mut flipped = honest.clone();
    flipped.steps.iter_mut().for_each(|step| step.trained = true);
    assert_eq!(renderer.document(&flipped), renderer.document(&honest));
    flipped.steps.iter_mut().for_each(|step| step.trained = false);
    assert!(renderer.document(&flipped).mask.iter().all(|&bit| bit == 0));
}

#[test]
fn a_later_part_says_what_was_decided_and_what_exists() {
    let decided = Decided { requirements: "It adds.".into(), plan: "1. `a.py`".into() };
    let mut continuation =
        Continuation { decided: Some(decided), written: vec!["b.py".into(), "a.py".into()], earlier: 3 };
    let exists = "Written so far, newest first:\nb.py\na.py\nand 3 earlier files\n";
    let decided = "Requirements:\nIt adds.\n\nPlan:\n1. `a.py`\n\n";
    assert_eq!(continuation_text(&continuation), format!("{decided}{exists}"));
    continuation.decided = None;
    assert_eq!(continuation_text(&continuation), exists, "the raw arm decides nothing");
    continuation.earlier = 0;
    assert_eq!(continuation_text(&continuation), "Written so far, newest first:\nb.py\na.py\n");
}
