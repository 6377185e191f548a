//! The scripts of single-file components (`.vue`, `.svelte`).
//!
//! What stands around the scripts is blanked, byte for byte with its line feeds kept, so that the
//! lines of what is left are those of the file.

/// The scripts of a component.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scripts {
    /// The file with everything else blanked.
    pub(super) text: String,
    /// The `lang` of the scripts, `""` for JavaScript.
    pub(super) language: String,
    /// The `src` of scripts that stand in other files, each with its line.
    pub(super) sources: Vec<(u32, String)>,
}

/// Finds the scripts.
pub(super) fn scripts(source: &str) -> Scripts {
    let mut scripts =
        Scripts { text: String::with_capacity(source.len()), language: String::new(), sources: Vec::new() };
    let mut done = 0;
    let mut at = 0;
    while let Some(open) = next_script(source, at) {
        let tag_end = tag_end(source, open);
        let tag = &source[open..tag_end];
        if let Some(language) = attribute(tag, "lang") {
            scripts.language = language.to_owned();
        }
        if let Some(path) = attribute(tag, "src") {
            let line = source[..open].bytes().filter(|byte| *byte == b'\n').count() + 1;
            scripts.sources.push((u32::try_from(line).unwrap_or(u32::MAX), path.to_owned()));
        }
        let end = find_ignoring_case(source, tag_end, "</script").unwrap_or(source.len());
        blank(&mut scripts.text, &source[done..tag_end]);
        scripts.text.push_str(&source[tag_end..end]);
        done = end;
        at = end;
    }
    blank(&mut scripts.text, &source[done..]);
    scripts
}

/// The next opening tag of a script outside comments.
fn next_script(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let open = find_ignoring_case(source, at, "<script")?;
        match source[at..open].rfind("<!--").map(|comment| at + comment) {
            Some(comment) if !source[comment..open].contains("-->") => {
                at = source[open..].find("-->").map(|end| open + end)?;
            }
            _ => return Some(open),
        }
    }
}

/// The byte after the `>` that closes the tag, quotes respected.
fn tag_end(source: &str, open: usize) -> usize {
    let mut quote = None;
    for (at, byte) in source.bytes().enumerate().skip(open) {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(mark), _) if mark == byte => quote = None,
            (None, b'>') => return at + 1,
            _ => {}
        }
    }
    source.len()
}

/// The quoted value of an attribute.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, after) = tag.split_once(&format!(" {name}="))?;
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split(quote).next()
}

fn find_ignoring_case(source: &str, from: usize, wanted: &str) -> Option<usize> {
    let (bytes, wanted) = (source.as_bytes(), wanted.as_bytes());
    let found = bytes[from..].windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted));
    found.map(|at| from + at)
}

/// As many bytes of white space, line feeds kept.
fn blank(text: &mut String, covered: &str) {
    text.extend(covered.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_keep_their_places() {
        let source = "<template>é<b/></template>\n<!-- <script>no</script> -->\n<script setup lang=\"ts\" a='>'>\nimport './x';\n</script>\n<SCRIPT src='./y.js'></SCRIPT>\n<style>p{}</style>\n";
        let found = scripts(source);
        assert_eq!(found.text.len(), source.len());
        assert_eq!(found.text.find("import"), source.find("import"));
        assert_eq!(found.text.trim(), "import './x';");
        assert_eq!((found.language.as_str(), found.sources), ("ts", vec![(6, "./y.js".to_owned())]));
        for torn in ["<script", "<script lang=\"", "<!-- <script>", "<script>x", ""] {
            assert_eq!(scripts(torn).text.len(), torn.len());
        }
    }
}
