//! The instructions shown to the model that writes a thought: files, so that they can be read,
//! compared and hashed. They are hints; no document contains them.

use recon_schema::Sha256;

pub(crate) const REQUIREMENTS: &str = include_str!("../prompts/requirements.md");
pub(crate) const PLAN: &str = include_str!("../prompts/plan.md");
pub(crate) const READING: &str = include_str!("../prompts/reading.md");
pub(crate) const WRITING: &str = include_str!("../prompts/writing.md");

/// Digest over the instructions; a manifest records it beside the model.
pub fn prompts_sha256() -> Sha256 {
    Sha256::of_fields([REQUIREMENTS, PLAN, READING, WRITING].map(str::as_bytes))
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
            assert!(!recon_lm::thought::fill(template, &values).contains(['{', '}']), "{template}");
        }
    }
}
