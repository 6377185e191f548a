//! The licence of a repository: what its manifests declare, else what its licence files say.
//!
//! Texts are recognised by likeness to the texts of the SPDX list, which the `spdx` crate embeds.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::Repository;
use crate::read::{is_licence_file, licence_file, only_folder};
use recon_schema::graph::Diagnostic;
use serde::{Deserialize, Serialize};
use spdx::detection::{Store, TextData};
use spdx::{Expression, ParseMode};

/// Which repositories may be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LicenceOptions {
    /// SPDX ids; a repository needs a licence that these alone can fulfil. Absent: any licence.
    pub allow: Option<BTreeSet<String>>,
    /// What becomes of a repository whose licence is not known while `allow` is set.
    pub unknown: UnknownLicence,
}

/// What becomes of a repository whose licence is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownLicence {
    /// It is refused.
    #[default]
    Refuse,
    /// It is kept.
    Keep,
}

/// Likeness from which a text is a licence's.
const CONFIDENCE: f32 = 0.9;
/// Longest text looked at; the longest licence of the list has about 60 KB.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// Most licence files looked at.
const MAX_FILES: usize = 8;

/// Licences made from others by few words: without these words, in lower case, a text is the other's.
/// (Apache-2.0 without its appendix is liker to Pixar's variant, which has none either.)
const VARIANTS: &[(&str, &str, &str)] = &[("Pixar", "modified apache", "Apache-2.0")];

static STORE: LazyLock<Store> = LazyLock::new(|| Store::load_inline().expect("the texts are part of this program"));

/// Fills in the repository's licence; returns the rule that refuses it, if one does.
pub(super) fn check(repository: &mut Repository, options: &LicenceOptions) -> Option<String> {
    // What is declared in words of one's own says less than a text that is known.
    let declared = repository.reference.licence.as_deref();
    if declared.is_none_or(|licence| Expression::parse_mode(licence, ParseMode::LAX).is_err())
        && let Some(licence) = from_texts(repository)
    {
        repository.reference.licence = Some(licence);
    }
    let allowed = options.allow.as_ref()?;
    let Some(licence) = repository.reference.licence.clone() else {
        return (options.unknown == UnknownLicence::Refuse).then(|| "licence_unknown".into());
    };
    let Ok(expression) = Expression::parse_mode(&licence, ParseMode::LAX) else {
        let message = format!("`{licence}` is no SPDX expression");
        repository.diagnostics.push(Diagnostic { path: String::new(), rule: "licence_unknown".into(), message });
        return (options.unknown == UnknownLicence::Refuse).then(|| "licence_unknown".into());
    };
    let fulfilled =
        expression.evaluate(|requirement| requirement.license.id().is_some_and(|id| allowed.contains(id.name)));
    (!fulfilled).then(|| "licence_not_allowed".into())
}

/// The licence whose text the manifest names; else those whose texts stand at the root, joined by
/// AND: which of several may be chosen is nothing a text says.
fn from_texts(repository: &Repository) -> Option<String> {
    let named = licence_file(&repository.files);
    let folder = only_folder(&repository.files);
    let at_root = |path: &str| path.strip_prefix(folder).is_some_and(is_licence_file);
    let is_meant = |path: &str| named.as_deref().map_or_else(|| at_root(path), |named| path == named);
    let files = repository.files.iter().chain(&repository.undecoded_licences);
    let files = files.filter(|(path, text)| is_meant(path) && text.len() <= MAX_TEXT_BYTES);
    let mut names: BTreeSet<&str> = files.take(MAX_FILES).filter_map(|(_, text)| recognise(text)).collect();
    // The Lesser licence of 2007 is the General one and permissions beside it: both texts are given.
    if names.iter().any(|name| name.starts_with("LGPL-3.0")) {
        names.retain(|name| !name.starts_with("GPL-3.0"));
    }
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| names.join(" AND "))
}

fn recognise(text: &str) -> Option<&'static str> {
    let likest = STORE.analyze(&TextData::new(text));
    if likest.score < CONFIDENCE {
        return None;
    }
    let variant = VARIANTS.iter().find(|(name, ..)| *name == likest.name);
    let original = variant.filter(|(_, words, _)| !text.to_ascii_lowercase().contains(words));
    Some(original.map_or(likest.name, |(.., original)| original))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licensed(manifest: Option<&str>, files: &[(&str, &str)]) -> Repository {
        let manifest = manifest.map(|licence| ("Cargo.toml", format!("[package]\nlicense = \"{licence}\"\n")));
        let texts = files.iter().map(|(path, text)| (*path, (*text).to_owned()));
        let mut repository = Repository::from_files("r", texts.chain(manifest));
        repository.reference.licence = repository.files.get("Cargo.toml").map(|_| "x".into());
        repository
    }

    fn refused(licence: Option<&str>, allow: &[&str], unknown: UnknownLicence) -> Option<String> {
        let mut repository = Repository::from_files("r", [("a.py", "x = 1\n")]);
        repository.reference.licence = licence.map(String::from);
        let allow = Some(allow.iter().map(|it| (*it).to_owned()).collect());
        check(&mut repository, &LicenceOptions { allow, unknown })
    }

    #[test]
    fn an_expression_must_be_fulfilled_by_what_is_allowed() {
        let allow = ["MIT", "Apache-2.0"];
        let rule = |licence| refused(Some(licence), &allow, UnknownLicence::Refuse);
        assert_eq!(rule("MIT"), None);
        assert_eq!(rule("GPL-3.0-only OR MIT"), None, "one may be chosen");
        assert_eq!(rule("GPL-3.0-only AND MIT").as_deref(), Some("licence_not_allowed"));
        assert_eq!(rule("GPL-3.0-only").as_deref(), Some("licence_not_allowed"));
        assert_eq!(rule("my own terms").as_deref(), Some("licence_unknown"));
        assert_eq!(refused(None, &allow, UnknownLicence::Refuse).as_deref(), Some("licence_unknown"));
        assert_eq!(refused(None, &allow, UnknownLicence::Keep), None);
        let mut repository = licensed(Some("x"), &[]);
        assert_eq!(check(&mut repository, &LicenceOptions::default()), None, "without a list all are allowed");
    }

    const MIT: &str = "MIT License\n\nCopyright (c) 2020 A Person\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:\n\nThe above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.\n";

    #[test]
    fn a_licence_is_known_by_its_text() {
        let mut repository = licensed(None, &[("LICENSE", MIT), ("a.py", "x = 1\n")]);
        check(&mut repository, &LicenceOptions::default());
        assert_eq!(repository.reference.licence.as_deref(), Some("MIT"));
        let mut npm = licensed(None, &[("package/LICENSE", MIT), ("package/a.js", "")]);
        check(&mut npm, &LicenceOptions::default());
        assert_eq!(npm.reference.licence.as_deref(), Some("MIT"), "its only folder is the root");
        let mut unlike =
            licensed(None, &[("LICENSE", "You may look at this code on Tuesdays.\n"), ("a.py", "x = 1\n")]);
        check(&mut unlike, &LicenceOptions::default());
        assert_eq!(unlike.reference.licence, None);
        assert!(
            !is_licence_file("src/LICENSE") && is_licence_file("LICENSES/MIT.txt") && is_licence_file("COPYING.LESSER")
        );
    }

    #[test]
    fn the_file_that_a_manifest_names_has_the_word() {
        let of = |files: &[(&str, &str)]| {
            let mut repository = Repository::from_files("r", files.iter().copied());
            check(&mut repository, &LicenceOptions::default());
            repository.reference.licence
        };
        let cargo = ("Cargo.toml", "[package]\nname = \"a\"\nlicense-file = \"legal/terms.md\"\n");
        assert_eq!(of(&[cargo, ("legal/terms.md", MIT)]).as_deref(), Some("MIT"), "wherever it lies");
        assert_eq!(of(&[("legal/terms.md", MIT)]), None, "no manifest names it");
        let npm = ("package.json", "{\"license\": \"SEE LICENSE IN TERMS\"}");
        assert_eq!(of(&[npm, ("TERMS", MIT), ("a.js", "")]).as_deref(), Some("MIT"));
        let own = "You may look at this code on Tuesdays.\n";
        assert_eq!(of(&[npm, ("TERMS", own), ("LICENSE", MIT)]), None, "another's text does not speak for it");
        assert_eq!(of(&[npm, ("LICENSE", MIT)]).as_deref(), Some("MIT"), "a file that is not there says nothing");
    }
}
