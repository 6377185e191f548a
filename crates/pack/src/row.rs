//! One row as it is trained on.

use std::ops::Range;

use recon_text::Tokenizer;

/// One row. Spans follow each other without gap from 0 to the end of `ids`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The tokens.
    pub ids: Vec<u32>,
    /// `mask[i] = 1`: token `i` is predicted; 0 at the start of each span.
    pub mask: Vec<u8>,
    /// The documents: no token attends across a span's border.
    pub spans: Vec<Range<usize>>,
}

impl Row {
    /// The row for a person: one paragraph a span, special tokens by name, trained runs between
    /// `⟦` and `⟧`.
    pub fn show(&self, tokenizer: &Tokenizer) -> String {
        let mut text = String::new();
        for span in &self.spans {
            let (ids, mask) = (&self.ids[span.clone()], &self.mask[span.clone()]);
            let trained = mask.iter().filter(|&&bit| bit != 0).count();
            let head = format!("--- tokens {}..{}, {trained} trained\n", span.start, span.end);
            text += &(head + &recon_text::show(tokenizer, ids, mask) + "\n");
        }
        text
    }
}
