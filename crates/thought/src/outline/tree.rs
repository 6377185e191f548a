//! The file tree shown in a document's opening.

use std::collections::BTreeMap;

use recon_repository::line::visible;

/// The tree of `paths`, in at most `max_chars` characters.
pub(super) fn tree(paths: &[String], max_chars: usize) -> String {
    let mut root = Directory::default();
    for path in paths {
        root.insert(path);
    }
    let mut lines = Vec::new();
    // Every level fewer is a shorter tree; the deepest that fits is taken.
    for depth in (1..=root.depth().min(64)).rev() {
        lines = root.lines(depth);
        if lines.iter().map(|line| line.chars().count() + 1).sum::<usize>() <= max_chars + 1 {
            return lines.join("\n");
        }
    }
    let mut text = super::words::Bounded::new(max_chars);
    text.lines(&lines, "entry");
    text.finish().replace("more entrys", "more entries")
}

#[derive(Default)]
struct Directory<'g> {
    directories: BTreeMap<&'g str, Directory<'g>>,
    files: Vec<&'g str>,
    /// Files here and below.
    total: usize,
}

impl<'g> Directory<'g> {
    fn insert(&mut self, path: &'g str) {
        let mut here = self;
        here.total += 1;
        let mut rest = path;
        while let Some((directory, below)) = rest.split_once('/') {
            here = here.directories.entry(directory).or_default();
            here.total += 1;
            rest = below;
        }
        here.files.push(rest);
    }

    /// Levels of names, found without recursion: paths may be as deep as the file system lets them.
    fn depth(&self) -> usize {
        let (mut deepest, mut open) = (0, vec![(self, 1)]);
        while let Some((directory, depth)) = open.pop() {
            deepest = deepest.max(depth);
            open.extend(directory.directories.values().map(|below| (below, depth + 1)));
        }
        deepest
    }

    /// One line for each entry down to `depth` levels: directories first, then files, by name.
    fn lines(&self, depth: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut open = self.entries(0);
        while let Some(Entry { name, level, directory }) = open.pop() {
            let (indent, name) = ("  ".repeat(level), visible(name));
            match directory {
                None => lines.push(format!("{indent}{name}")),
                Some(directory) if level + 1 >= depth => {
                    lines.push(format!("{indent}{name}/ … {}", super::words::count(directory.total, "file")));
                }
                Some(directory) => {
                    lines.push(format!("{indent}{name}/"));
                    open.extend(directory.entries(level + 1));
                }
            }
        }
        lines
    }

    /// What stands directly here, in reverse, for a stack.
    fn entries(&self, level: usize) -> Vec<Entry<'_, 'g>> {
        let mut files = self.files.clone();
        files.sort_unstable();
        let files = files.into_iter().map(|name| Entry { name, level, directory: None });
        let below = self.directories.iter().map(|(name, directory)| Entry { name, level, directory: Some(directory) });
        let mut entries: Vec<Entry<'_, 'g>> = below.chain(files).collect();
        entries.reverse();
        entries
    }
}

struct Entry<'d, 'g> {
    name: &'g str,
    level: usize,
    /// None for a file.
    directory: Option<&'d Directory<'g>>,
}
