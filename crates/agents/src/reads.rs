//! What a sub-agent reads before it writes: as the graph says, or among what the model may decide.
//!
//! Only whole files that exist are read. Both ways keep within `max_reads` and `max_read_tokens`.

use std::collections::BTreeMap;

use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Action, Agent, Author};
use recon_text::{Renderer, action_line};

use crate::choice::shared;
use crate::{AgentOptions, steps};

/// A file that exists and can be read.
pub(crate) struct Readable<'g> {
    pub(crate) path: &'g str,
    /// The call that reads it, up to the end of its turn.
    pub(crate) line: Vec<u32>,
    /// Tokens of its content.
    content: usize,
    /// Tokens of the call and its answer.
    pub(crate) turns: usize,
}

/// The files that exist, in the order in which they were written.
pub(crate) struct Shelf<'a, 'g> {
    repository: &'a Repository,
    options: &'a AgentOptions,
    renderer: &'a Renderer<'a>,
    files: Vec<Readable<'g>>,
    /// What every call that reads begins with.
    head: Vec<u32>,
}

impl<'a, 'g> Shelf<'a, 'g> {
    pub(crate) fn new(repository: &'a Repository, options: &'a AgentOptions, renderer: &'a Renderer<'a>) -> Self {
        // Paths that begin differently: what they share belongs to no path.
        let lines = ["a", "Z", "_", "/"].map(|path| line(renderer, path));
        let head = lines[0][..shared(lines.iter().map(Vec::as_slice))].to_vec();
        Self { repository, options, renderer, files: Vec::new(), head }
    }

    pub(crate) fn add(&mut self, path: &'g str) {
        let agent = Agent::File(String::new());
        let file = self.repository.content(path).expect("only files of the repository are written");
        let line = line(self.renderer, path);
        let common = shared([self.head.as_slice(), &line]);
        self.head.truncate(common);
        let call = self.renderer.step(&steps::read(&agent, path, Author::Model));
        let answer = self.renderer.step(&steps::content(agent, file));
        let turns = call.ids.len() + answer.ids.len();
        self.files.push(Readable { path, line, content: answer.body.len(), turns });
    }

    pub(crate) fn head(&self) -> &[u32] {
        &self.head
    }

    /// Tokens that reading may take at most, whatever is decided.
    pub(crate) fn most_tokens(&self) -> usize {
        let budget = self.options.max_read_tokens;
        let mut turns: Vec<usize> =
            self.files.iter().filter(|file| file.content <= budget).map(|file| file.turns).collect();
        turns.sort_unstable_by_key(|turns| std::cmp::Reverse(*turns));
        let overhead = self.files.iter().map(|file| file.turns - file.content).max().unwrap_or(0);
        let most = turns.iter().take(self.options.max_reads).sum::<usize>();
        most.min(budget + overhead * self.options.max_reads)
    }

    /// What may be read after `read`, where the document has room for `room_tokens` more.
    pub(crate) fn valid(&self, read: &[&Readable<'g>], room_tokens: usize) -> Vec<&Readable<'g>> {
        if read.len() >= self.options.max_reads {
            return Vec::new();
        }
        let spent: usize = read.iter().map(|file| file.content).sum();
        let budget = self.options.max_read_tokens.saturating_sub(spent);
        let fits = |file: &&Readable<'g>| file.content <= budget && file.turns <= room_tokens;
        let is_new = |file: &&Readable<'g>| !read.iter().any(|other| other.path == file.path);
        self.files.iter().filter(fits).filter(is_new).collect()
    }

    /// Direct dependencies that exist already: those of which most is used first, while they
    /// fit the limits; given in the order in which they were written.
    pub(crate) fn dependencies(&self, graph: &RepoGraph, path: &str) -> Vec<&'g str> {
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for edge in graph.edges.iter().filter(|edge| edge.from == path && edge.to != path) {
            *uses.entry(edge.to.as_str()).or_default() += edge.names.len().max(1);
        }
        let mut exists: Vec<(usize, &Readable<'g>)> =
            self.files.iter().enumerate().filter(|(_, file)| uses.contains_key(file.path)).collect();
        exists.sort_by_key(|(at, file)| (std::cmp::Reverse(uses[file.path]), *at));
        let (mut chosen, mut tokens) = (Vec::new(), 0);
        for (at, file) in exists {
            if chosen.len() < self.options.max_reads && tokens + file.content <= self.options.max_read_tokens {
                chosen.push((at, file.path));
                tokens += file.content;
            }
        }
        chosen.sort_unstable();
        chosen.into_iter().map(|(_, path)| path).collect()
    }
}

fn line(renderer: &Renderer<'_>, path: &str) -> Vec<u32> {
    let mut ids = renderer.tokenizer().encode(&action_line(&Action::Read { path: path.into() }));
    ids.push(renderer.template().end());
    ids
}
