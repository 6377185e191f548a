//! From bytes to an ordered graph, beside bare parsing of the same files.
//!
//! `cargo bench -p recon-graph --bench speed -- FOLDER…`, each folder inside a FOLDER a repository.
//! Prints one JSON object. One thread and processor time, so figures are of a core, whatever else
//! the machine does; reading is not counted. Only
//! files in Python, Rust, JavaScript and TypeScript take part, and the manifests beside them.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use recon_graph::{ReadOptions, Repository, build, language, read_directory};

/// How often everything is measured; the fastest round counts.
const ROUNDS: usize = 3;

fn grammar(path: &str) -> Option<tree_sitter::Language> {
    Some(match language(path)? {
        "python" => tree_sitter_python::LANGUAGE.into(),
        "rust" => tree_sitter_rust::LANGUAGE.into(),
        "javascript" => tree_sitter_javascript::LANGUAGE.into(),
        "typescript" if path.ends_with("x") => tree_sitter_typescript::LANGUAGE_TSX.into(),
        "typescript" => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
        _ => return None,
    })
}

/// Processor time of this process so far, which a busy machine does not stretch; the time of day
/// where the system does not tell.
fn cpu() -> Duration {
    const TICKS_PER_SECOND: f64 = 100.0;
    static START: OnceLock<Instant> = OnceLock::new();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: state is the first field, user and system time the 12th and 13th.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Duration::from_secs_f64((user + system) / TICKS_PER_SECOND),
        _ => START.get_or_init(Instant::now).elapsed(),
    }
}

fn fastest<T>(mut work: impl FnMut() -> T) -> Duration {
    let once = |_| {
        let start = cpu();
        std::hint::black_box(work());
        cpu() - start
    };
    (0..ROUNDS).map(once).min().expect("at least one round")
}

/// Bare parsing: one parser for each grammar, nothing is looked at.
fn parse(repositories: &[Repository]) {
    let mut parser = tree_sitter::Parser::new();
    for repository in repositories {
        for (path, text) in &repository.files {
            let Some(grammar) = grammar(path) else { continue };
            parser.set_language(&grammar).expect("the grammars are built for this version");
            std::hint::black_box(parser.parse(text, None));
        }
    }
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if given.is_empty() {
        return eprintln!("usage: cargo bench -p recon-graph --bench speed -- FOLDER...");
    }
    let inside = |folder| std::fs::read_dir(folder).expect("the folder is read").map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = given.iter().flat_map(inside).collect();
    folders.sort();
    let options = ReadOptions { max_files: usize::MAX, max_bytes: u64::MAX, ..ReadOptions::default() };
    let start = cpu();
    let mut repositories: Vec<Repository> =
        folders.iter().filter_map(|folder| read_directory(folder, &options).ok()).collect();
    let reading = cpu() - start;
    let mut by_language: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for repository in &mut repositories {
        repository.remove(|path| grammar(path).is_none() && language(path).is_some());
        for (path, text) in &repository.files {
            if let Some(language) = language(path) {
                let counts = by_language.entry(language).or_default();
                *counts = (counts.0 + 1, counts.1 + text.len() as u64);
            }
        }
    }
    let (files, bytes) = by_language.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let bare = fastest(|| parse(&repositories));
    let graph =
        pool.install(|| fastest(|| repositories.iter().map(build).map(|graph| graph.order.len()).sum::<usize>()));
    let (graph_s, bare_s) = (graph.as_secs_f64(), bare.as_secs_f64());
    let languages: Vec<String> = by_language
        .iter()
        .map(|(name, (files, bytes))| format!("\"{name}\": {{\"files\": {files}, \"bytes\": {bytes}}}"))
        .collect();
    let line = format!(
        "{{\"repositories\": {}, \"files\": {files}, \"bytes\": {bytes}, \"reading_s\": {:.3}, \"parse_s\": {bare_s:.3}, \
         \"graph_s\": {graph_s:.3}, \"parse_mb_per_s\": {:.2}, \"graph_mb_per_s\": {:.2}, \"graph_files_per_s\": {:.0}, \
         \"graph_speed_of_parse\": {:.3}, \"languages\": {{{}}}}}\n",
        repositories.len(),
        reading.as_secs_f64(),
        bytes as f64 / bare_s / 1e6,
        bytes as f64 / graph_s / 1e6,
        files as f64 / graph_s,
        bare_s / graph_s,
        languages.join(", "),
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout takes the result");
}
