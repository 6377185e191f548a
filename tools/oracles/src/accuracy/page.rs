//! `docs/graph-accuracy.md`: one section a language, a table of all of them on top.
//!
//! Invariant: a run replaces the sections of the languages it measured and keeps the others, so
//! the page says the same whether languages are measured together or one by one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::Outcome;
use super::compare::{Classes, Counts};
use super::oracle::Oracle;

const OPENING: &str = "\
# How accurate the graph is

`cargo xtask graph-accuracy` writes this page: it fetches the packages by name, version and SHA-256 into `target/graph-accuracy`, runs `recon graph --format json` on each, once with cleaning switched off, so that every source file takes part, and once as users run it (*cleaned*: pairs between files that cleaning keeps), asks a program written by others for the same edges, and compares the sets of pairs (importing file, imported file). Precision is the share of recon's pairs that the other program has, recall the share of its pairs that recon has; *all* adds up the pairs of the packages that rules were written and mended by, *held out* those of packages that no rule has seen. `--language NAME` measures one language again. The task fails where an order puts a file before one it imports outside a cycle.

";

const UNWITNESSED: &str = "
Not measured: Vue and Svelte components, which the compilers used here do not read. They are held to repositories written for the purpose, every edge from a rule of the language (`crates/graph/tests/it/javascript.rs`), as every language is besides. The task installs what it gets from PyPI and npm; where a language's section names a Debian package, that one has to be on the machine, and the task says so if it is not.
";

/// Writes the section of one language; sections stand in the order of `names`.
pub(super) fn write(path: &Path, oracle: &dyn Oracle, outcome: &Outcome, names: &[&str]) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let mut sections = sections(&page);
    sections.insert(oracle.language().to_owned(), section(oracle, outcome));
    Ok(std::fs::write(path, assemble(&sections, names))?)
}

/// The sections of a page by language.
fn sections(page: &str) -> BTreeMap<String, String> {
    let parts = page.split("\n## ").skip(1);
    parts
        .filter_map(|part| Some((part.split_once('\n')?.0.trim().to_owned(), format!("## {}\n", part.trim_end()))))
        .collect()
}

fn assemble(sections: &BTreeMap<String, String>, names: &[&str]) -> String {
    let mut page = OPENING.to_owned();
    page.push_str("| language | what | both | recon only | other only | precision | recall | F1 |\n");
    page.push_str("|---|---|--:|--:|--:|--:|--:|--:|\n");
    let known = names.iter().filter_map(|name| Some((*name, sections.get(*name)?)));
    for (name, section) in known.clone() {
        for (label, mark) in [("| *all* ", ""), ("| *held out* ", ", held out")] {
            for row in section.lines().filter_map(|line| line.strip_prefix(label)) {
                let _ = writeln!(page, "| {name}{mark} {row}");
            }
        }
    }
    page.push_str(UNWITNESSED);
    for (_, section) in known {
        page.push('\n');
        page.push_str(section);
    }
    page
}

fn section(oracle: &dyn Oracle, outcome: &Outcome) -> String {
    let mut text = format!("## {}\n\nAgainst {}. {}\n\n", oracle.language(), oracle.witness(), oracle.compared());
    text.push_str("| package | what | both | recon only | other only | precision | recall | F1 |\n");
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|\n");
    let mut totals: BTreeMap<(bool, &str), Counts> = BTreeMap::new();
    let mut classes = Classes::new();
    for row in &outcome.rows {
        text.push_str(&table_row(&row.package, &row.what, row.counts));
        let total = totals.entry((row.held_out, &row.what)).or_default();
        *total = total.plus(row.counts);
        for (key, class) in &row.classes {
            let kept =
                classes.entry(key.clone()).or_insert_with(|| super::compare::Class { count: 0, ..class.clone() });
            kept.count += class.count;
        }
    }
    for ((held_out, what), counts) in totals {
        text.push_str(&table_row(if held_out { "*held out*" } else { "*all*" }, what, counts));
    }
    if !classes.is_empty() {
        text.push_str("\nWhat remains, by class, with one example each:\n\n");
    }
    for ((theirs, name), class) in &classes {
        let side = if *theirs { "other only" } else { "recon only" };
        let _ = writeln!(text, "- {side}, {}: {name}. {}", class.count, class.example);
    }
    for checked in &outcome.orders {
        let sizes = checked.cycles.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "\nOrder of {}: {} files, {} pairs, of which {} point back, all inside a cycle ({}). {}.",
            checked.package,
            checked.files,
            checked.edges,
            checked.back_edges,
            if sizes.is_empty() { "there is none".to_owned() } else { format!("sizes {sizes}") },
            checked.landmark
        );
        if !checked.shown.is_empty() {
            text.push_str(
                "The longest that point back, each with a shortest chain that keeps its file from standing later:\n\n",
            );
        }
        for line in &checked.shown {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

fn table_row(package: &str, what: &str, counts: Counts) -> String {
    let Counts { both, ours_only, theirs_only } = counts;
    let (precision, recall, f1) = (counts.precision(), counts.recall(), counts.f1());
    format!("| {package} | {what} | {both} | {ours_only} | {theirs_only} | {precision:.4} | {recall:.4} | {f1:.4} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_are_kept() {
        let mut all = BTreeMap::new();
        all.insert("a".to_owned(), "## a\n\n| *all* | imports | 1 |\n".to_owned());
        all.insert("b".to_owned(), "## b\n\n| *all* | imports | 2 |\n| *held out* | imports | 3 |\n".to_owned());
        let page = assemble(&all, &["b", "a"]);
        assert_eq!(sections(&page), all, "reading a page gives back what it was made of");
        assert!(page.contains("| b | imports | 2 |\n| b, held out | imports | 3 |\n| a | imports | 1 |\n"), "{page}");
        all.insert("a".to_owned(), "## a\n\nnew\n".to_owned());
        assert_eq!(sections(&assemble(&all, &["b", "a"])), all);
    }
}
