//! From bytes to an ordered graph, beside bare parsing of the same files.
//!
//! `cargo bench -p recon-graph --bench speed -- LANGUAGE[,LANGUAGE…] DIRECTORY…`, each directory a
//! repository. Prints one JSON object. One thread and processor time, so figures are of a core,
//! whatever else the machine does; reading is not counted. Only files in the given languages take
//! part, and the other text beside them; what cleaning would drop is not dropped.

use std::time::Duration;

use recon_graph::{build, grammar};
use recon_repository::language::of_path as language;
use recon_repository::{ReadOptions, Repository, read_directory};

mod processor;

/// How often everything is measured; the fastest round counts.
const ROUNDS: usize = 3;

fn fastest<T>(mut work: impl FnMut() -> T) -> Duration {
    let once = |_| {
        let start = processor::time();
        std::hint::black_box(work());
        processor::time() - start
    };
    (0..ROUNDS).map(once).min().expect("at least one round")
}

/// Bare parsing: one parser for all files, nothing is looked at.
fn parse(repositories: &[Repository]) {
    let mut parser = tree_sitter::Parser::new();
    for (path, text) in repositories.iter().flat_map(|repository| &repository.files) {
        let Some(grammar) = grammar(path) else { continue };
        parser.set_language(&grammar).expect("the grammars are built for this version");
        std::hint::black_box(parser.parse(text, None));
    }
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [languages, directories @ ..] = given.as_slice() else {
        return eprintln!("usage: cargo bench -p recon-graph --bench speed -- LANGUAGE[,LANGUAGE...] DIRECTORY...");
    };
    let languages: Vec<&str> = languages.split(',').collect();
    let is_meant = |path: &str| language(path).is_some_and(|name| languages.contains(&name));
    let options = ReadOptions { max_files: usize::MAX, max_bytes: u64::MAX, ..ReadOptions::default() };
    let start = processor::time();
    let mut repositories: Vec<Repository> = Vec::new();
    for directory in directories {
        match read_directory(directory.as_ref(), &options) {
            Ok(repository) => repositories.push(repository),
            Err(error) => eprintln!("left out: {error}"),
        }
    }
    let reading = processor::time() - start;
    for repository in &mut repositories {
        repository.files.retain(|path, _| !(language(path).is_some() && !(is_meant(path) && grammar(path).is_some())));
    }
    let sources = repositories.iter().flat_map(|repository| &repository.files).filter(|(path, _)| is_meant(path));
    let (files, bytes) = sources.fold((0_u64, 0), |(files, bytes), (_, text)| (files + 1, bytes + text.len() as u64));
    // Both in one pool of one thread: memory is given out differently to a program's first thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let bare = pool.install(|| fastest(|| parse(&repositories)));
    let graph = pool.install(|| fastest(|| repositories.iter().map(|it| build(it).order.len()).sum::<usize>()));
    let line = format!(
        "{{\"repositories\": {}, \"files\": {files}, \"bytes\": {bytes}, \"reading_s\": {:.6}, \"parse_s\": {:.6}, \"graph_s\": {:.6}}}\n",
        repositories.len(),
        reading.as_secs_f64(),
        bare.as_secs_f64(),
        graph.as_secs_f64(),
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout takes the result");
}
