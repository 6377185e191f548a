//! The interpreter that the first line of a script names.
//!
//! Text of a file → the program's name without folder, version and options:
//! `#!/usr/bin/env -S python3.11 -u` is `python`. Only scripts whose name has no extension are
//! asked: an extension says more than a line that a copy may have kept.
//!
//! Source: execve(2), "Interpreter scripts", and the manual of env(1), `-S`.

use crate::paths;

/// The interpreter of a script, if it is one and its name has no extension.
pub(crate) fn interpreter<'t>(path: &str, text: &'t str) -> Option<&'t str> {
    let line = text.strip_prefix("#!").filter(|_| paths::extension(path).is_empty())?.lines().next()?;
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let mut program = program(words.next()?);
    if program == "env" {
        program = self::program(started_by_env(words)?);
    }
    let name = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
    (!name.is_empty()).then_some(name)
}

/// The first of env's arguments that is neither an option nor a variable.
fn started_by_env<'t>(mut words: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    while let Some(word) = words.next() {
        let split = word.strip_prefix("--split-string=").or_else(|| word.strip_prefix("-S"));
        match split {
            Some("") => {}
            Some(word) => return Some(word),
            None if matches!(word, "-u" | "-C" | "--unset" | "--chdir") => drop(words.next()),
            // Flags may be joined to the one that splits: `-vS`.
            None if word.starts_with('-') || word.contains('=') => {}
            None => return Some(word),
        }
    }
    None
}

fn program(path: &str) -> &str {
    paths::file_name(path.trim_matches(['"', '\'', '\r']))
}

#[cfg(test)]
mod tests {
    use super::interpreter;

    #[test]
    fn the_program_is_found_behind_env_its_options_and_versions() {
        let lines = [
            ("#!/usr/bin/python\n", Some("python")),
            ("#!/usr/bin/env python3.11\r\nx", Some("python")),
            ("#! /usr/bin/env -S node --no-warnings\n", Some("node")),
            ("#!/usr/bin/env -Sruby -w\n", Some("ruby")),
            ("#!/usr/bin/env -vS A=1 -u B php8.2\n", Some("php")),
            ("#!/usr/bin/env --split-string=python3 -u\n", Some("python")),
            ("#!/opt/node-18/bin/node", Some("node")),
            ("#!/usr/bin/env\n", None),
            ("#!\n", None),
            ("# !/usr/bin/python\n", None),
            ("", None),
        ];
        for (text, expected) in lines {
            assert_eq!(interpreter("bin/x", text), expected, "{text:?}");
        }
        assert_eq!(interpreter("bin/x.txt", "#!/usr/bin/python\n"), None, "the extension speaks first");
    }
}
