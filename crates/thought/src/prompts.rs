//! The instructions shown to the model that writes a thought: files, so that they can be read,
//! compared and hashed. Filled with grounding they are hints; no document contains them.
//!
//! A hint is a system turn, the same for every thought, with one worked example that is of no
//! repository, and a user turn about the subject. Who is to better a thought sees that thought and
//! which names of the subject it lacks; never the target.

use recon_schema::Sha256;
use recon_schema::trajectory::Subject;

use crate::outline::{Project, identifiers, list, listed};
use crate::shorten::shorten;

const SYSTEM: &str = include_str!("../prompts/system.md");

/// Names that a hint says are lacking.
const LACKING: usize = 8;

/// What the writer of a thought is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    /// How thoughts are written.
    pub(crate) system: &'static str,
    /// What this one is about.
    pub(crate) user: String,
}

/// For a first thought.
mod first {
    pub(super) const REQUIREMENTS: &str = include_str!("../prompts/first/requirements.md");
    pub(super) const PLAN: &str = include_str!("../prompts/first/plan.md");
    pub(super) const DESIGN: &str = include_str!("../prompts/first/design.md");
    pub(super) const READING: &str = include_str!("../prompts/first/reading.md");
    pub(super) const WRITING: &str = include_str!("../prompts/first/writing.md");
    pub(super) const REVISING: &str = include_str!("../prompts/first/revising.md");
}

/// For a thought to stand in the place of another.
mod better {
    pub(super) const REQUIREMENTS: &str = include_str!("../prompts/better/requirements.md");
    pub(super) const PLAN: &str = include_str!("../prompts/better/plan.md");
    pub(super) const FILE: &str = include_str!("../prompts/better/file.md");
}

/// Digest over all instructions; a manifest records it beside the model.
pub fn prompts_sha256() -> Sha256 {
    let first = [first::REQUIREMENTS, first::PLAN, first::DESIGN, first::READING, first::WRITING, first::REVISING];
    let better = [better::REQUIREMENTS, better::PLAN, better::FILE];
    Sha256::of_fields([SYSTEM].iter().chain(&first).chain(&better).map(|text| text.as_bytes()))
}

/// What the model is shown: the grounding at most `limit` tokens long, and the thought to better.
pub(crate) fn hint(
    project: &Project<'_>,
    subject: &Subject,
    incumbent: Option<&str>,
    limit: usize,
    tokens: impl Fn(&str) -> usize,
) -> Hint {
    let template = match (subject, incumbent) {
        (Subject::Requirements, None) => first::REQUIREMENTS,
        (Subject::Plan, None) => first::PLAN,
        (Subject::Design { .. }, None) => first::DESIGN,
        (Subject::Reading { .. }, None) => first::READING,
        (Subject::Writing { .. }, None) => first::WRITING,
        (Subject::Revising { .. }, None) => first::REVISING,
        (Subject::Requirements, Some(_)) => better::REQUIREMENTS,
        (Subject::Plan, Some(_)) => better::PLAN,
        (_, Some(_)) => better::FILE,
    };
    let grounding = project.grounding(subject);
    let reads = match subject {
        Subject::Reading { reads, .. } => listed(reads),
        _ => String::new(),
    };
    let lacking = incumbent.map(|incumbent| lacking(project, subject, incumbent)).unwrap_or_default();
    let values = [
        ("repository", project.name()),
        ("path", subject.path().unwrap_or_default()),
        ("outline", shorten(&grounding, limit, tokens)),
        ("reads", reads.as_str()),
        ("incumbent", incumbent.unwrap_or_default()),
        ("lacking", lacking.as_str()),
    ];
    Hint { system: SYSTEM, user: fill(template, &values) }
}

/// Which names of the subject a thought does not speak of, as a sentence; nothing where it names all.
fn lacking(project: &Project<'_>, subject: &Subject, incumbent: &str) -> String {
    let said: std::collections::HashSet<&str> = identifiers(incumbent).collect();
    let names = project.face(subject).into_iter();
    let unsaid: Vec<String> = names.filter(|name| !identifiers(name).all(|word| said.contains(word))).collect();
    if unsaid.is_empty() { String::new() } else { format!("It says nothing of {}. ", list(&unsaid, LACKING)) }
}

/// Replaces every `{name}` of `values` in one pass; other braces, and braces inside values, stay.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let found = rest.find('}').and_then(|close| {
            let name = &rest[1..close];
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, close + 1))
        });
        let (piece, length) = found.unwrap_or(("{", 1));
        text.push_str(piece);
        rest = &rest[length..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_expanded_again() {
        let filled = fill("{a} {b} {c} {", &[("a", "{b}"), ("b", "x")]);
        assert_eq!(filled, "{b} x {c} {");
        assert_eq!(fill("{ {a}", &[("a", "1")]), "{ 1");
    }

    #[test]
    fn a_better_thought_is_asked_for_with_what_the_present_one_lacks_and_never_with_the_target() {
        let price = "def total(items):\n    kept = [1]\n    return sum(kept)\n\ndef rate(): ...\n";
        let files = [("price.py", price), ("cart.py", "from price import total\n\nclass Cart: ...\n")];
        let graph = recon_graph::build(&recon_graph::Repository::from_files("shop", files));
        let project = Project::new(&graph);
        let words = |text: &str| text.split_whitespace().count();
        let asked = |path: &str, incumbent| {
            let subject = Subject::Writing { path: path.into() };
            hint(&project, &subject, Some(incumbent), 400, words).user
        };
        let user = asked("price.py", "The `total` of a price.");
        assert!(user.contains("It says nothing of `rate`. Write a better"), "{user}");
        assert!(user.contains("The `total` of a price.") && !user.contains("kept"), "{user}");
        assert!(!asked("price.py", "Both total and rate.").contains("says nothing of"));
        assert!(asked("cart.py", "Carts.").contains("It says nothing of `Cart` and `price.py`. "));
        assert!(!hint(&project, &Subject::Plan, None, 400, words).user.contains("says nothing"));
    }

    #[test]
    fn every_placeholder_is_one_the_code_fills() {
        for (template, names) in [
            (first::REQUIREMENTS, &["repository", "outline"][..]),
            (first::PLAN, &["repository", "outline"]),
            (first::DESIGN, &["path", "outline"]),
            (first::READING, &["path", "outline", "reads"]),
            (first::WRITING, &["path", "outline"]),
            (first::REVISING, &["path", "outline"]),
            (better::REQUIREMENTS, &["repository", "outline", "incumbent", "lacking"]),
            (better::PLAN, &["repository", "outline", "incumbent", "lacking"]),
            (better::FILE, &["path", "outline", "incumbent", "lacking"]),
        ] {
            let values: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
            for name in names {
                assert!(template.contains(&format!("{{{name}}}")), "{name} is missing:\n{template}");
            }
            assert!(!fill(template, &values).contains(['{', '}']), "{template}");
        }
    }
}
