//! Writes the small test tokenizer and a trained one, and texts with their ids, for
//! `scripts/parity/tokenizer.py` to read with `transformers`.

use std::path::Path;

use recon_text::{Tokenizer, fake, llama3, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: write_tokenizers DIR")?;
    let directory = Path::new(&directory);
    let source = include_str!("../src/tokenizer.rs");
    let corpus = source.lines().map(String::from).chain([source.into()]);
    train::train_bpe(corpus, 700).write(&directory.join("trained"))?;
    fake::files().write(&directory.join("fake"))?;
    for name in ["trained", "fake"] {
        let tokenizer = Tokenizer::from_dir(&directory.join(name))?;
        let mut texts: Vec<String> = source.split_inclusive("\n\n").map(String::from).collect();
        texts.extend(
            llama3::control_tokens().iter().map(|control| format!("a{control} b\u{6771}\r\n\t {control}\u{301}")),
        );
        let pairs: Vec<_> = texts.into_iter().map(|text| (tokenizer.encode(&text), text)).collect();
        std::fs::write(directory.join(name).join("pairs.json"), serde_json::to_string(&pairs)?)?;
    }
    Ok(())
}
