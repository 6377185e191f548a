//! Scores files as documents of their own.

use std::ops::Range;

use recon_lm::{Branch, Run, ScoreJob, Scored, Scorer};
use recon_schema::Sha256;
use recon_schema::trajectory::{Action, Agent, Author, Body, FileContent, Step};
use recon_text::{RenderedStep, Renderer};

use crate::{Error, FileReport, Report, Result};

/// A file the model has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOutFile {
    /// Name of its repository, as the opening gives it.
    pub repository: String,
    /// Path from the repository root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A file as tokens after the shared beginning.
struct Document<'a> {
    file: &'a HeldOutFile,
    /// Opening, turn header, action line, and as much content as fits.
    ids: Vec<u32>,
    content: Range<usize>,
    tokens_left_out: usize,
}

/// The likelihood of `files`, each in a document of its own, in the order given.
///
/// # Errors
/// If the scorer fails for a file; files too long for the context are cut, not failed.
pub fn held_out(scorer: &dyn Scorer, renderer: &Renderer<'_>, files: &[HeldOutFile]) -> Result<Report> {
    let opening = renderer.opening();
    let room = scorer.limits().context_tokens.saturating_sub(opening.len());
    let documents: Vec<Document<'_>> = files.iter().map(|file| document(renderer, file, room)).collect();
    let mut report = Report::default();
    if room == 0 {
        // Not even the opening fits, so nothing of any file does.
        documents.iter().for_each(|document| report.add(document.report(renderer, 0.0)));
        return Ok(report);
    }
    let at = scorer.extend(None, &opening).map_err(Error::Begin)?;
    let mut rest = &documents[..];
    while !rest.is_empty() {
        let (group, after) = rest.split_at(group_length(rest, room));
        for (document, nats) in group.iter().zip(score_group(scorer, &at, group)?) {
            report.add(document.report(renderer, nats));
        }
        rest = after;
    }
    tracing::info!(files = files.len(), tokens = report.tokens, nats = report.nats, "held-out files scored");
    Ok(report)
}

fn document<'a>(renderer: &Renderer<'_>, file: &'a HeldOutFile, room: usize) -> Document<'a> {
    let HeldOutFile { repository, path, text } = file;
    let opening = Body::Opening { text: format!("Repository: {repository}\nFiles:\n{path}\n") };
    let sha256 = Sha256::of(text.as_bytes());
    let content = FileContent { path: path.clone(), sha256, text: text.clone(), redactions: Vec::new() };
    let write = Body::Action { action: Action::Write(content) };
    let step = |body| Step { agent: Agent::Main, body, author: Author::Repository, trained: false };
    // Every document stands behind the header of its opening.
    let header = renderer.opening().len() - renderer.begin().len();
    let mut ids = renderer.step(&step(opening)).ids.split_off(header);
    let RenderedStep { ids: turn, body, .. } = renderer.step(&step(write));
    let content = ids.len() + body.start..ids.len() + body.end;
    ids.extend(turn);
    // What follows the content (the closing token) is not scored, so it need not be computed.
    let end = content.end.min(room);
    ids.truncate(end);
    let start = content.start.min(end);
    Document { file, ids, content: start..end, tokens_left_out: content.len() - (end - start) }
}

impl Document<'_> {
    fn report(&self, renderer: &Renderer<'_>, nats: f64) -> FileReport {
        let scored = &self.ids[self.content.clone()];
        let bytes =
            scored.iter().filter_map(|&id| renderer.tokenizer().token_bytes(id)).map(<[u8]>::len).sum::<usize>();
        if self.tokens_left_out > 0 {
            let Self { file: HeldOutFile { repository, path, .. }, tokens_left_out, .. } = self;
            tracing::warn!(repository, path, tokens_left_out, "file cut at the end of the context");
        }
        let characters_left_out = renderer.tokenizer().count_unencodable(&self.file.text);
        if characters_left_out > 0 {
            let HeldOutFile { repository, path, .. } = self.file;
            tracing::warn!(repository, path, characters_left_out, "the model has no token for some characters");
        }
        FileReport {
            repository: self.file.repository.clone(),
            path: self.file.path.clone(),
            nats,
            tokens: scored.len() as u64,
            bytes: bytes as u64,
            tokens_left_out: self.tokens_left_out as u64,
            characters_left_out: characters_left_out as u64,
        }
    }
}

/// How many documents go into one call: at most one context of tokens, at least one document.
fn group_length(documents: &[Document<'_>], room: usize) -> usize {
    let mut tokens = 0;
    let fits = documents.iter().take_while(|document| {
        tokens += document.ids.len();
        tokens <= room
    });
    fits.count().max(1)
}

/// The nats of each document. Documents that do not fit the cache together are scored alone.
fn score_group(scorer: &dyn Scorer, at: &Branch, group: &[Document<'_>]) -> Result<Vec<f64>> {
    let runs: Vec<[Run<'_>; 2]> = group
        .iter()
        .map(|Document { ids, content, .. }| {
            let (before, content) = ids.split_at(content.start);
            [Run { ids: before, scored: false }, Run { ids: content, scored: true }]
        })
        .collect();
    let job = |runs| ScoreJob { at, runs, refuse_above_nats: None };
    let jobs: Vec<ScoreJob<'_>> = runs.iter().map(|runs| job(runs)).collect();
    let mut results = scorer.score(&jobs);
    for (job, result) in jobs.iter().zip(&mut results) {
        if let (Err(recon_lm::Error::OutOfPages { .. }), true) = (&*result, jobs.len() > 1) {
            *result = scorer.score(std::slice::from_ref(job)).pop().expect("one job was given");
        }
    }
    let named = group.iter().zip(results).map(|(document, result)| match result {
        Ok(Scored::Full { nats, .. }) => Ok(nats),
        Ok(Scored::Refused { .. }) => unreachable!("no bound was given"),
        Err(source) => {
            let HeldOutFile { repository, path, .. } = document.file.clone();
            Err(Error::Score { repository, path, source })
        }
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use recon_lm::Limits;
    use recon_lm::fake::TableModel;
    use recon_text::Rendering;

    use super::*;

    fn model(context_tokens: usize) -> TableModel {
        let limits = Limits { context_tokens, vocabulary: 1 << 20 };
        // Depends on the position and the token, so that a shifted or missing token shows.
        TableModel::new(
            limits,
            |before, id| -1.0 - (before.len() % 7) as f32 - (id % 5) as f32,
            |_, _, _| String::new(),
        )
    }

    fn file(path: &str, text: &str) -> HeldOutFile {
        HeldOutFile { repository: "demo".into(), path: path.into(), text: text.into() }
    }

    /// The sum over the content tokens, from the rendered document and the table's formula.
    fn expected(renderer: &Renderer<'_>, file: &HeldOutFile) -> (f64, u64) {
        let tokenizer = renderer.tokenizer();
        let content = tokenizer.encode(&file.text);
        let opening = format!("Repository: demo\nFiles:\n{}\n", file.path);
        let role = |name: &str| 2 + tokenizer.encode(name).len() + tokenizer.encode("\n\n").len();
        let line = format!("{{\"tool\":\"write\",\"path\":\"{}\"}}\n", file.path);
        let before = 1
            + role("system")
            + tokenizer.encode(&opening).len()
            + 1
            + role("assistant")
            + tokenizer.encode(&line).len();
        let nats = content.iter().enumerate().map(|(at, id)| 1.0 + ((before + at) % 7) as f64 + f64::from(id % 5));
        (nats.sum(), content.len() as u64)
    }

    #[test]
    fn only_content_counts_and_each_file_stands_alone() {
        let tokenizer = recon_text::fake::tokenizer();
        let renderer = Renderer::new(&tokenizer, Rendering::Chat);
        let files = [file("a.py", "def f(x):\n    return x\n"), file("b.py", "é = 'ü'\n"), file("empty.py", "")];
        let report = held_out(&model(4096), &renderer, &files).unwrap();
        for (file, found) in files.iter().zip(&report.files) {
            assert_eq!((found.nats, found.tokens), expected(&renderer, file), "{}", file.path);
            assert_eq!((found.bytes, found.tokens_left_out), (file.text.len() as u64, 0));
        }
        assert_eq!(report.nats, report.files.iter().map(|file| file.nats).sum::<f64>());
        let swapped = [files[1].clone(), files[0].clone()];
        let swapped = held_out(&model(4096), &renderer, &swapped).unwrap();
        assert_eq!(swapped.files, [report.files[1].clone(), report.files[0].clone()]);
    }

    #[test]
    fn characters_without_a_token_are_counted() {
        let tokenizer = recon_text::fake::without_bytes(&[0x04, 0xc2]);
        let renderer = Renderer::new(&tokenizer, Rendering::Chat);
        let files = [file("a.py", "x = '\u{4}\u{a9}\u{4}'\n"), file("b.py", "x = 1\n")];
        let report = held_out(&model(4096), &renderer, &files).unwrap();
        assert_eq!(report.files[0].characters_left_out, 3);
        assert_eq!((report.files[1].characters_left_out, report.characters_left_out), (0, 3));
        assert_eq!(report.files[0].bytes, "x = ''\n".len() as u64);
    }

    #[test]
    fn files_longer_than_the_context_are_cut_and_say_so() {
        let tokenizer = recon_text::fake::tokenizer();
        let renderer = Renderer::new(&tokenizer, Rendering::Chat);
        let long = file("long.py", &"x = 1\n".repeat(100));
        let whole = tokenizer.encode(&long.text).len() as u64;
        let report = held_out(&model(200), &renderer, std::slice::from_ref(&long)).unwrap();
        let found = &report.files[0];
        assert!(found.tokens > 0 && found.tokens_left_out > 0);
        assert_eq!(found.tokens + found.tokens_left_out, whole);
        assert!(found.bytes < long.text.len() as u64);
        let nothing = held_out(&model(5), &renderer, &[long]).unwrap();
        assert_eq!((nothing.tokens, nothing.tokens_left_out, nothing.bits_per_byte()), (0, whole, None));
    }
}
