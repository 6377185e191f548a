//! Licences as manifests write them → SPDX expressions.
//!
//! What people write is read as they mean it: `MIT/Apache-2.0` is a choice, `Apache License,
//! Version 2.0` one licence, `GPL-3.0` that version alone. A name that leaves open which licence is
//! meant (`BSD`, `LGPL`, `Proprietary`) gives none: the text of the licence knows better.
//!
//! Source: SPDX specification 2.3, annex D; the classifiers of the Python package index.

/// SPDX ids that are no more than a word; others are known by their dashes and numbers.
const WORDS: &[&str] = &[
    "0BSD",
    "AAL",
    "BSD-Protection",
    "Beerware",
    "Bison",
    "CECILL-B",
    "CECILL-C",
    "Glulxe",
    "HPND",
    "ICU",
    "IJG",
    "ISC",
    "Intel",
    "JSON",
    "Latex2e",
    "Libpng",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MirOS",
    "NCSA",
    "NTP",
    "Naumen",
    "OpenSSL",
    "PostgreSQL",
    "Ruby",
    "Sleepycat",
    "TCL",
    "UPL-1.0",
    "Unlicense",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "Xnet",
    "Zed",
    "Zlib",
    "blessing",
    "bzip2-1.0.6",
    "curl",
    "libtiff",
    "zlib-acknowledgement",
];

/// Names in use, in lower case and without `the`, `license` and punctuation; see [`plain`].
const NAMES: &[(&str, &str)] = &[
    ("2 clause bsd", "BSD-2-Clause"),
    ("3 clause bsd", "BSD-3-Clause"),
    ("affero gplv3", "AGPL-3.0-only"),
    ("agplv3", "AGPL-3.0-only"),
    ("agplv3+", "AGPL-3.0-or-later"),
    ("apache", "Apache-2.0"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache public 2.0", "Apache-2.0"),
    ("apache software", "Apache-2.0"),
    ("apache software 2.0", "Apache-2.0"),
    ("apache software version 2.0", "Apache-2.0"),
    ("apache v2", "Apache-2.0"),
    ("apache v2.0", "Apache-2.0"),
    ("apache version 2", "Apache-2.0"),
    ("apache version 2.0", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apachev2", "Apache-2.0"),
    ("apachev2.0", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("boost", "BSL-1.0"),
    ("boost 1.0", "BSL-1.0"),
    ("boost software", "BSL-1.0"),
    ("boost software 1.0", "BSL-1.0"),
    ("boost software 1.0 bsl 1.0", "BSL-1.0"),
    ("bsd 2 clause", "BSD-2-Clause"),
    ("bsd 2 clause simplified", "BSD-2-Clause"),
    ("bsd 3 clause", "BSD-3-Clause"),
    ("bsd 3 clause new or revised", "BSD-3-Clause"),
    ("cc0", "CC0-1.0"),
    ("cc0 1.0 universal", "CC0-1.0"),
    ("cc0 1.0 universal cc0 1.0 public domain dedication", "CC0-1.0"),
    ("eclipse distribution v 1.0", "BSD-3-Clause"),
    ("eclipse public 1.0", "EPL-1.0"),
    ("eclipse public 1.0 epl 1.0", "EPL-1.0"),
    ("eclipse public 2.0", "EPL-2.0"),
    ("eclipse public 2.0 epl 2.0", "EPL-2.0"),
    ("eclipse public v 2.0", "EPL-2.0"),
    ("eclipse public v1.0", "EPL-1.0"),
    ("eclipse public v2.0", "EPL-2.0"),
    ("european union public 1.2 eupl 1.2", "EUPL-1.2"),
    ("expat", "MIT"),
    ("gnu affero general public v3", "AGPL-3.0-only"),
    ("gnu affero general public v3 agplv3", "AGPL-3.0-only"),
    ("gnu affero general public v3 or later agplv3+", "AGPL-3.0-or-later"),
    ("gnu general public v2 gplv2", "GPL-2.0-only"),
    ("gnu general public v2 or later gplv2+", "GPL-2.0-or-later"),
    ("gnu general public v3", "GPL-3.0-only"),
    ("gnu general public v3 gplv3", "GPL-3.0-only"),
    ("gnu general public v3 or later gplv3+", "GPL-3.0-or-later"),
    ("gnu general public version 3", "GPL-3.0-only"),
    ("gnu gpl v3", "GPL-3.0-only"),
    ("gnu gplv3", "GPL-3.0-only"),
    ("gnu lesser general public v2 lgplv2", "LGPL-2.0-only"),
    ("gnu lesser general public v2 or later lgplv2+", "LGPL-2.0-or-later"),
    ("gnu lesser general public v3 lgplv3", "LGPL-3.0-only"),
    ("gnu lesser general public v3 or later lgplv3+", "LGPL-3.0-or-later"),
    ("gpl 2+", "GPL-2.0-or-later"),
    ("gpl 3+", "GPL-3.0-or-later"),
    ("gpl v2", "GPL-2.0-only"),
    ("gpl v2+", "GPL-2.0-or-later"),
    ("gpl v3", "GPL-3.0-only"),
    ("gpl v3+", "GPL-3.0-or-later"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("historical permission notice and disclaimer hpnd", "HPND"),
    ("isc iscl", "ISC"),
    ("iscl", "ISC"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mit cmu", "MIT-CMU"),
    ("mit no attribution mit 0", "MIT-0"),
    ("modified bsd", "BSD-3-Clause"),
    ("mozilla public 1.1 mpl 1.1", "MPL-1.1"),
    ("mozilla public 2.0", "MPL-2.0"),
    ("mozilla public 2.0 mpl 2.0", "MPL-2.0"),
    ("mozilla public version 2.0", "MPL-2.0"),
    ("mpl 2", "MPL-2.0"),
    ("mpl v2", "MPL-2.0"),
    ("mplv2.0", "MPL-2.0"),
    ("new bsd", "BSD-3-Clause"),
    ("psf", "PSF-2.0"),
    ("psfl", "PSF-2.0"),
    ("python software foundation", "PSF-2.0"),
    ("revised bsd", "BSD-3-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("university of illinois/ncsa open source", "NCSA"),
    ("unlicense unlicense", "Unlicense"),
    ("zlib/libpng", "Zlib"),
    ("zope public", "ZPL-2.1"),
    ("zpl 2.1", "ZPL-2.1"),
];

/// Longest declaration; what is longer is the text of a licence.
const MAX_BYTES: usize = 200;

/// The SPDX expression that `text` means, if it leaves no doubt.
pub(super) fn expression(text: &str) -> Option<String> {
    let text = text.trim();
    let even = text.matches('(').count() == text.matches(')').count();
    if text.is_empty() || text.len() > MAX_BYTES || !even {
        return None;
    }
    if let Some(id) = identifier(text) {
        return Some(id);
    }
    let apart = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parts: Vec<String> = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    let mut after_with = false;
    let operand = |name: &mut Vec<&str>, after_with: bool, parts: &mut Vec<String>| {
        if name.is_empty() {
            return Some(());
        }
        let words = name.join(" ");
        name.clear();
        parts.push(if after_with { exception(&words)? } else { identifier(&words)? });
        Some(())
    };
    for word in apart.split_whitespace() {
        match word {
            "AND" | "and" | "OR" | "or" | "WITH" | "with" | "(" | ")" => {
                operand(&mut name, after_with, &mut parts)?;
                after_with = word.eq_ignore_ascii_case("with");
                parts.push(word.to_ascii_uppercase());
            }
            word => name.push(word),
        }
    }
    operand(&mut name, after_with, &mut parts)?;
    well_formed(&parts).then(|| parts.join(" ").replace("( ", "(").replace(" )", ")"))
}

/// Several licences of which one may be chosen.
pub(super) fn choice<'a>(texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut ids: Vec<String> = texts.map(expression).collect::<Option<_>>()?;
    ids.dedup();
    let compound = |id: &str| ids.len() > 1 && id.contains(" AND ");
    let written = ids.iter().map(|id| if compound(id) { format!("({id})") } else { id.clone() });
    Some(written.collect::<Vec<_>>().join(" OR ")).filter(|text| !text.is_empty())
}

/// Operands and operators alternate, and parentheses are even.
fn well_formed(parts: &[String]) -> bool {
    let (mut depth, mut wants_operand) = (0_u32, true);
    for part in parts {
        match part.as_str() {
            "(" if wants_operand => depth += 1,
            ")" if !wants_operand && depth > 0 => depth -= 1,
            "AND" | "OR" | "WITH" if !wants_operand => wants_operand = true,
            "(" | ")" | "AND" | "OR" | "WITH" => return false,
            _ if !wants_operand => return false,
            _ => wants_operand = false,
        }
    }
    depth == 0 && !wants_operand
}

/// The SPDX id of one licence.
fn identifier(name: &str) -> Option<String> {
    if let Some(id) = WORDS.iter().find(|id| id.eq_ignore_ascii_case(name)) {
        return Some((*id).to_owned());
    }
    let plain = plain(name);
    if let Ok(at) = NAMES.binary_search_by_key(&plain.as_str(), |(name, _)| name) {
        return Some(NAMES[at].1.to_owned());
    }
    if let Some(id) = WORDS.iter().find(|id| id.eq_ignore_ascii_case(&plain)) {
        return Some((*id).to_owned());
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+');
    if name.starts_with("LicenseRef-") || name.starts_with("DocumentRef-") {
        return name.chars().all(|c| letter(c) || c == ':').then(|| name.to_owned());
    }
    // A name, a version: `CC-BY-4.0`, `BSD-3-Clause`, `Unicode-DFS-2016`.
    let versioned = name.contains('-') && name.contains(|c: char| c.is_ascii_digit()) && name.chars().all(letter);
    versioned.then(|| gnu(&cased(name)))
}

/// An exception as SPDX names it.
fn exception(name: &str) -> Option<String> {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    (letters && name.to_ascii_lowercase().contains("exception")).then(|| name.to_owned())
}

/// A name without what says nothing: case, punctuation, `the` and `license`.
fn plain(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace(['(', ')', ',', '-', '_', '"', '\''], " ");
    let silent = |word: &&str| !matches!(*word, "the" | "license" | "licence" | "licenses" | "licensed");
    lower.split_whitespace().filter(silent).collect::<Vec<_>>().join(" ")
}

/// Ids written without regard to case, of the families that are met so.
fn cased(name: &str) -> String {
    const FAMILIES: [&str; 16] = [
        "Apache", "BSD", "GPL", "LGPL", "AGPL", "MPL", "EPL", "CC-BY", "CC0", "BSL", "MIT", "Artistic", "EUPL", "PSF",
        "AFL", "CDDL",
    ];
    let family = FAMILIES.iter().find(|family| {
        name.len() > family.len()
            && name.is_char_boundary(family.len())
            && name[..family.len()].eq_ignore_ascii_case(family)
            && name[family.len()..].starts_with('-')
    });
    let cased = family.map_or_else(|| name.to_owned(), |family| format!("{family}{}", &name[family.len()..]));
    cased.replace("-clause", "-Clause")
}

/// `GPL-3.0` is that version alone, `GPL-3.0+` it or a later one (deprecated ids of SPDX).
fn gnu(id: &str) -> String {
    let family = ["GPL-", "LGPL-", "AGPL-"].iter().find_map(|family| id.strip_prefix(family));
    let Some(version) = family else { return id.to_owned() };
    let number = version.trim_end_matches('+');
    if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return id.to_owned();
    }
    let full = if number.contains('.') { "" } else { ".0" };
    let kind = if version.ends_with('+') { "or-later" } else { "only" };
    format!("{}{full}-{kind}", id.trim_end_matches('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0), "a binary search would miss names");
        assert!(NAMES.iter().all(|(name, _)| plain(name) == *name), "a name that nothing is reduced to");
    }

    #[test]
    fn expressions_are_read_as_they_are_meant() {
        for (written, meant) in [
            ("MIT", "MIT"),
            ("mit", "MIT"),
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            ("MIT/GPL-3.0", "MIT OR GPL-3.0-only"),
            ("MIT / Apache-2.0", "MIT OR Apache-2.0"),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", "(MIT OR Apache-2.0) AND Unicode-3.0"),
            ("Apache-2.0 WITH LLVM-exception OR MIT", "Apache-2.0 WITH LLVM-exception OR MIT"),
            ("BSD-3-Clause or GPL-2.0+", "BSD-3-Clause OR GPL-2.0-or-later"),
            ("MIT License", "MIT"),
            ("The MIT License", "MIT"),
            ("Apache License, Version 2.0", "Apache-2.0"),
            ("apache-2.0", "Apache-2.0"),
            ("Apache 2.0", "Apache-2.0"),
            ("3-Clause BSD License", "BSD-3-Clause"),
            ("bsd-3-clause", "BSD-3-Clause"),
            ("zlib/libpng License", "Zlib"),
            ("GPLv3+", "GPL-3.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("CC-BY-4.0", "CC-BY-4.0"),
            ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
            ("LicenseRef-Own-Terms", "LicenseRef-Own-Terms"),
        ] {
            assert_eq!(expression(written).as_deref(), Some(meant), "{written}");
        }
    }

    #[test]
    fn what_leaves_a_doubt_is_no_licence() {
        for text in [
            "",
            "BSD",
            "BSD License",
            "GPL",
            "LGPL",
            "Proprietary",
            "UNLICENSED",
            "SEE LICENSE IN LICENSE.md",
            "Other",
            "MIT OR",
            "OR MIT",
            "(MIT",
            "MIT Apache-2.0 ISC",
            "MIT OR whatever",
            "dual",
            "UNKNOWN",
            "éé",
            "MIT WITH nothing",
        ] {
            assert_eq!(expression(text), None, "{text}");
        }
        assert_eq!(expression(&"MIT OR ".repeat(100)), None);
    }

    #[test]
    fn of_several_one_may_be_chosen() {
        assert_eq!(choice(["MIT", "GPL-3.0"].into_iter()).as_deref(), Some("MIT OR GPL-3.0-only"));
        assert_eq!(choice(["MIT", "MIT License"].into_iter()).as_deref(), Some("MIT"));
        assert_eq!(choice(["MIT", "my own"].into_iter()), None, "an unknown one may be any");
        assert_eq!(choice(std::iter::empty()), None);
    }
}
