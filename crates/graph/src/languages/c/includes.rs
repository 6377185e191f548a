//! What the lines of a C or C++ file say of other files: `#include`, `#embed`, macros that stand
//! for a header, the modules of C++20; and whether the text is C++.
//!
//! A directive counts under any condition, for a repository is built in many ways; only `#if 0`
//! is never built. Comments, strings and raw strings hold no directives. Lines joined by a
//! backslash are one. `%:` is another spelling of `#`.
//!
//! Invariant: one pass over the bytes.

use super::lines::Code;

/// How a directive names its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Header {
    /// `"x"`: beside the file first.
    Quoted(String),
    /// `<x>`: in the include directories alone.
    Angled(String),
    /// A macro that stands for either.
    Macro(String),
}

/// One directive that names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Include {
    /// 1-based line.
    pub(super) line: u32,
    pub(super) header: Header,
    /// Whether it means the next file of that name, not the one it stands in (`#include_next`).
    pub(super) next: bool,
}

/// A declaration or import of a module of C++20; a partition's name is `module:partition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// The file is the module's interface, or the partition.
    Provides(String),
    /// The file implements the module, whose interface it sees.
    Implements(String),
    Imports(String),
}

/// What the lines of a file tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(super) includes: Vec<Include>,
    /// Macros whose value may be the name of a header.
    pub(super) macros: Vec<(String, Header)>,
    /// Modules, each with its line.
    pub(super) units: Vec<(u32, Unit)>,
}

/// Facts, and what decides the language.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) facts: Facts,
    /// Whether some line outside of `__cplusplus` conditions can only be C++.
    pub(super) cpp: bool,
}

/// A condition around a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `#if 0`.
    Never,
    /// One that names `__cplusplus`.
    Cpp,
    Other,
}

/// The conditions around a line.
#[derive(Debug, Default)]
struct Conditions {
    open: Vec<Condition>,
    /// How many of them are `Never`, and `Cpp`.
    never: usize,
    cpp: usize,
}

impl Conditions {
    fn count(&mut self, condition: Condition, by: isize) {
        match condition {
            Condition::Never => self.never = self.never.saturating_add_signed(by),
            Condition::Cpp => self.cpp = self.cpp.saturating_add_signed(by),
            Condition::Other => {}
        }
    }

    /// Follows a directive; whether it was one of a condition.
    fn follow(&mut self, word: &str, rest: &str) -> bool {
        match word {
            "if" | "ifdef" | "ifndef" => {
                let condition = condition(rest.trim());
                self.count(condition, 1);
                self.open.push(condition);
            }
            "elif" | "elifdef" | "elifndef" | "else" => {
                if let Some(last) = self.open.pop() {
                    self.count(last, -1);
                    self.open.push(Condition::Other);
                }
            }
            "endif" => {
                if let Some(last) = self.open.pop() {
                    self.count(last, -1);
                }
            }
            _ => return false,
        }
        true
    }
}

pub(super) fn scan(source: &str) -> Scan {
    let mut found = Scan::default();
    let mut conditions = Conditions::default();
    let mut code = Code::default();
    // The module the file belongs to, for partitions named without it.
    let mut module = String::new();
    let mut lines = source.lines().zip(1_u32..);
    while let Some((first, line)) = lines.next() {
        let mut text = code.strip(first);
        while code.is_plain() && directive(&text).is_some() && text.ends_with('\\') {
            let Some((next, _)) = lines.next() else { break };
            text.pop();
            text.push_str(&code.strip(next));
        }
        let Some(directive) = directive(&text) else {
            let text = text.trim();
            found.cpp |= conditions.never + conditions.cpp == 0 && is_cpp(text);
            if conditions.never == 0 && text.starts_with(['i', 'e', 'm']) {
                modular(text, line, &mut module, &mut found.facts);
            }
            continue;
        };
        let (word, rest) = directive
            .split_at(directive.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(directive.len()));
        if conditions.follow(word, rest) || conditions.never > 0 {
            continue;
        }
        match word {
            "include" | "include_next" | "import" | "embed" => {
                let next = word == "include_next";
                found.facts.includes.extend(header(rest).map(|(header, _)| Include { line, header, next }));
            }
            "define" => found.facts.macros.extend(defined(rest)),
            _ => {}
        }
    }
    found
}

/// What follows the mark of a directive.
fn directive(text: &str) -> Option<&str> {
    let text = text.trim_start();
    text.strip_prefix('#').or_else(|| text.strip_prefix("%:")).map(str::trim_start)
}

fn condition(text: &str) -> Condition {
    if text == "0" {
        Condition::Never
    } else if text.contains("__cplusplus") {
        Condition::Cpp
    } else {
        Condition::Other
    }
}

/// The header named by `"x"`, `<x>` or a macro, and what follows it; none for a call of a macro.
fn header(text: &str) -> Option<(Header, &str)> {
    let text = text.trim_start();
    let close = match text.chars().next()? {
        '"' => '"',
        '<' => '>',
        _ => {
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let called = rest.trim_start().starts_with('(') || name.starts_with(|c: char| c.is_ascii_digit());
            return (!name.is_empty() && !called).then(|| (Header::Macro(name.to_owned()), rest));
        }
    };
    let (path, rest) = text[1..].split_once(close)?;
    let path = path.trim();
    if path.is_empty() {
        return None;
    }
    Some((if close == '"' { Header::Quoted(path.to_owned()) } else { Header::Angled(path.to_owned()) }, rest))
}

/// A macro without parameters whose whole value may name a header.
fn defined(text: &str) -> Option<(String, Header)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (name, value) = text.split_at(end);
    if !value.starts_with(char::is_whitespace) {
        return None;
    }
    let (value, rest) = header(value)?;
    rest.trim().is_empty().then(|| (name.to_owned(), value))
}

/// `import x;`, `module x;` and what they may begin with (C++20, "Modules").
fn modular(text: &str, line: u32, module: &mut String, facts: &mut Facts) {
    let (exported, text) = word(text, "export");
    let named = |text: &str| {
        let name: String = text.split_once([';', '['])?.0.split_whitespace().collect();
        let plain = name.split(['.', ':']).all(|part| {
            !part.is_empty()
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !part.as_bytes()[0].is_ascii_digit()
        });
        (plain && name.matches(':').count() <= 1).then_some(name)
    };
    if let (true, rest) = word(text, "module") {
        let Some(name) = named(rest) else { return };
        *module = name.split(':').next().unwrap_or_default().to_owned();
        let unit = if exported || name.contains(':') { Unit::Provides(name) } else { Unit::Implements(name) };
        facts.units.push((line, unit));
        return;
    }
    let (true, rest) = word(text, "import") else { return };
    if rest.starts_with(['"', '<']) {
        let header = header(rest).filter(|(_, rest)| rest.trim_start().starts_with([';', '[']));
        facts.includes.extend(header.map(|(header, _)| Include { line, header, next: false }));
        return;
    }
    let (own, rest) = match rest.strip_prefix(':') {
        Some(rest) => (format!("{module}:"), rest),
        None => (String::new(), rest),
    };
    facts.units.extend(named(rest).map(|name| (line, Unit::Imports(own + &name))));
}

/// Whether the text starts with a word, and what follows it.
fn word<'t>(text: &'t str, word: &str) -> (bool, &'t str) {
    match text.strip_prefix(word).filter(|rest| rest.starts_with(|c: char| c.is_whitespace() || "\"<:;".contains(c))) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    }
}

/// Whether a line can only be C++.
fn is_cpp(line: &str) -> bool {
    let starts = |words: &[&str]| {
        words.iter().any(|word| {
            let rest = line.strip_prefix(word);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '<' | '{' | ':')))
        })
    };
    let access = ["public:", "private:", "protected:"].iter().any(|word| line.starts_with(word));
    access || line.contains("std::") || starts(&["namespace", "template", "class", "using"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(u32, String, bool)> {
        let row = |it: Include| match it.header {
            Header::Quoted(path) => (it.line, path, true),
            Header::Angled(path) => (it.line, path, false),
            Header::Macro(name) => (it.line, format!("macro {name}"), false),
        };
        scan(source).facts.includes.into_iter().map(row).collect()
    }

    #[test]
    fn directives_count_under_conditions_and_not_in_text() {
        let source = "\
#include \"a.h\" // why
  #  include <sys/b.h>
/* #include \"no.h\"
#include \"no.h\" */ #include \"c.h\"
#if defined(X) /* always */
# include \\
   \"d.h\"
#elif 0
#include \"e.h\"
#endif
#if 0
#include \"never.h\"
#if 1
#include \"never.h\"
#endif
#else
#include \"f.h\"
#endif
#include MACRO
const char *s = \"/*\"; char q = '\"';
auto r = R\"x(
#include \"raw.h\"
)x\";
#include_next <g.h>
";
        let row = |line, path: &str, quoted| (line, path.to_owned(), quoted);
        let expected = [
            row(1, "a.h", true),
            row(2, "sys/b.h", false),
            row(4, "c.h", true),
            row(6, "d.h", true),
            row(9, "e.h", true),
            row(17, "f.h", true),
            row(19, "macro MACRO", false),
            row(24, "g.h", false),
        ];
        assert_eq!(found(source), expected);
    }

    #[test]
    fn another_spelling_of_the_mark_is_a_directive() {
        assert_eq!(
            found("%:include \"a.h\"\n %: include <b>\n%include \"no.h\"\n"),
            [(1, "a.h".to_owned(), true), (2, "b".to_owned(), false)]
        );
        assert_eq!(found("#embed \"a.bin\" limit(4)\n"), [(1, "a.bin".to_owned(), true)]);
    }

    #[test]
    fn macros_that_name_headers_are_kept() {
        let facts = scan(
            "#define A \"a.h\"\n#define B <b.h> // why\n#define C A\n#define D(x) \"d.h\"\n#define E \"e\" \"f\"\n",
        )
        .facts;
        let expected = [
            ("A".to_owned(), Header::Quoted("a.h".into())),
            ("B".to_owned(), Header::Angled("b.h".into())),
            ("C".to_owned(), Header::Macro("A".into())),
        ];
        assert_eq!(facts.macros, expected);
    }

    #[test]
    fn modules_are_declared_and_imported() {
        let source = "module;\n#include <x.h>\nexport module a.b:part;\nimport std;\nexport import :other;\nimport <vector>;\nimport \"h.hpp\";\nimport c.d [[x]];\nmodule :private;\nimported = module;\nimport_it();\n";
        let facts = scan(source).facts;
        let expected = [
            (3, Unit::Provides("a.b:part".into())),
            (4, Unit::Imports("std".into())),
            (5, Unit::Imports("a.b:other".into())),
            (8, Unit::Imports("c.d".into())),
        ];
        assert_eq!(facts.units, expected);
        assert_eq!(facts.includes.len(), 3);
        assert_eq!(
            scan("module m;\nmodule m:p;\n").facts.units,
            [(1, Unit::Implements("m".into())), (2, Unit::Provides("m:p".into()))]
        );
    }

    #[test]
    fn a_header_is_cpp_by_what_it_says_outside_of_conditions() {
        assert!(scan("namespace a {\n}\n").cpp && scan("  public:\n").cpp && scan("template<class T>\n").cpp);
        let guarded = "#ifdef __cplusplus\nnamespace a {\n#else\nint class_of;\n#endif\nstruct s { int using_it; };\n";
        assert!(!scan(guarded).cpp);
        assert!(!scan("// std::vector\n/* class X { */\nint classes;\n").cpp);
    }

    #[test]
    fn many_comments_on_one_line_are_one_pass() {
        let line = "/**/ ".repeat(100_000) + "#include \"a.h\"\n";
        assert_eq!(found(&line), [(1, "a.h".to_owned(), true)]);
        assert!(found(&"R\"(".repeat(50_000)).is_empty());
    }
}
