//! The instructions shown to the model that writes a thought: files, so that they can be read,
//! compared and hashed. They are hints; no document contains them.

use recon_schema::Sha256;

pub(crate) const REQUIREMENTS: &str = include_str!("../prompts/first/requirements.md");
pub(crate) const PLAN: &str = include_str!("../prompts/first/plan.md");
pub(crate) const READING: &str = include_str!("../prompts/first/reading.md");
pub const BETTER_REQUIREMENTS: &str = include_str!("../prompts/better/requirements.md");
pub const BETTER_PLAN: &str = include_str!("../prompts/better/plan.md");
pub const BETTER_FILE: &str = include_str!("../prompts/better/file.md");
pub(crate) const WRITING: &str = include_str!("../prompts/first/writing.md");

/// Digest over the instructions; a manifest records it beside the model.
pub fn prompts_sha256() -> Sha256 {
    Sha256::of_fields(
        [REQUIREMENTS, PLAN, READING, WRITING, BETTER_REQUIREMENTS, BETTER_PLAN, BETTER_FILE].map(str::as_bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_one_the_code_fills() {
        let known = [(REQUIREMENTS, &["repository", "outline"][..]), (PLAN, &["repository", "outline"])]
            .into_iter()
            .chain([(READING, &["path", "outline", "reads"][..]), (WRITING, &["path", "outline"])]);
        for (template, names) in known {
            let values: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
            for name in names {
                assert!(template.contains(&format!("{{{name}}}")), "{name} is missing:\n{template}");
            }
            assert!(!crate::usable::fill(template, &values).contains(['{', '}']), "{template}");
        }
    }
}
