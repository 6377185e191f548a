//! Conditions of make and automake that ask for a system: what they say on Linux.
//!
//! Only what names another system is answered; everything else is unknown.
//! Source: the GNU make manual, "Conditional Syntax"; the automake manual, "Usage of Conditionals", and its
//! `Makefile.in`, where configure replaces `@NAME_TRUE@` by nothing or by `#`.

/// Words of names that stand for another system, or for a tool of one.
const OTHERS: [&str; 28] = [
    "AIX", "ANDROID", "BCC", "CYGWIN", "DARWIN", "DJGPP", "FREEBSD", "HAIKU", "HPUX", "IOS", "IRIX", "MACOS", "MACOSX",
    "MINGW", "MINGW32", "MINGW64", "MSC", "MSVC", "MSYS", "NETBSD", "NMAKE", "OPENBSD", "OS2", "SOLARIS", "SUNOS",
    "WIN32", "WIN64", "WINDOWS",
];

/// Whether a name, or a word of it, stands for another system than Linux.
pub(super) fn is_other(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| OTHERS.iter().any(|other| word.eq_ignore_ascii_case(other)))
}

/// Whether a condition (`ifeq (…)`, `ifdef NAME`, automake's `if NAME`) holds, where it asks for a system by its name.
pub(super) fn holds(condition: &str) -> Option<bool> {
    let (kind, asked) = condition.split_once([' ', '\t', '('])?;
    let asked = asked.trim();
    // Functions that look for one of several names say more than is read here, and the shell's `if` is none of make.
    if asked.contains("filter") || asked.contains("findstring") || asked.contains(['[', ';']) || !is_other(asked) {
        return None;
    }
    let negated = matches!(kind, "ifneq" | "ifndef") || asked.starts_with('!');
    let compares = matches!(kind, "ifeq" | "ifneq");
    Some(negated != (compares && sides(asked).any(says_no)))
}

/// What `(a,b)` or `"a" "b"` compares.
fn sides(asked: &str) -> impl Iterator<Item = &str> {
    let inside = asked.strip_suffix(')').map(|inside| inside.strip_prefix('(').unwrap_or(inside));
    let sides = match inside {
        Some(inside) => inside.rsplit_once(','),
        None => asked.rsplit_once([' ', '\t']),
    };
    sides.into_iter().flat_map(|(left, right)| [left, right]).map(|side| side.trim_matches([' ', '\t', '"', '\'']))
}

/// Whether a variable with this value is switched off, as `ifeq ($(WIN32),)` asks.
fn says_no(value: &str) -> bool {
    ["", "0", "n", "no", "false", "off"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// A line of `Makefile.in` without the conditions before it, or `None` where one of them asks for another system.
pub(super) fn unconditional(line: &str) -> Option<&str> {
    let mut rest = line;
    while let Some((name, after)) = rest.strip_prefix('@').and_then(|rest| rest.split_once('@')) {
        let condition = name.strip_suffix("_TRUE").map(|name| (name, true));
        let Some((name, wanted)) = condition.or_else(|| Some((name.strip_suffix("_FALSE")?, false))) else { break };
        if wanted && is_other(name) {
            return None;
        }
        rest = after;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_asks_for_another_system_fails_and_its_opposite_holds() {
        for (condition, expected) in [
            ("ifeq ($(OS),Windows_NT)", Some(false)),
            ("ifneq ($(OS),Windows_NT)", Some(true)),
            ("ifeq \"$(UNAME)\" \"SunOS\"", Some(false)),
            ("ifeq ($(WIN32),)", Some(true)),
            ("ifeq (,$(WIN32))", Some(true)),
            ("ifneq ($(TARGET_WIN32),)", Some(false)),
            ("ifneq \"$(MINGW)\" \"no\"", Some(false)),
            ("ifeq ($(WINDOWS),1)", Some(false)),
            ("ifdef MSVC", Some(false)),
            ("ifndef MSVC", Some(true)),
            ("if BUILD_WIN32", Some(false)),
            ("if !OS_FREEBSD", Some(true)),
            ("if HAVE_OPENSSL", None),
            ("if WINDOW_SYSTEM", None),
            ("ifeq ($(OS),Linux)", None),
            ("ifneq (,$(findstring MINGW,$(UNAME)))", None),
            ("if [ -d WIN32 ]; then", None),
        ] {
            assert_eq!(holds(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_line_of_automake_counts_where_no_condition_before_it_asks_for_another_system() {
        for (line, expected) in [
            ("A = 1", Some("A = 1")),
            ("@BUILD_WIN32_TRUE@A = -Iwin", None),
            ("@BUILD_WIN32_FALSE@A = -Iunix", Some("A = -Iunix")),
            ("@THREADS_TRUE@@BUILD_WIN32_TRUE@A = -Iwin", None),
            ("@BUILD_WIN32_FALSE@@THREADS_TRUE@\t$(B)", Some("\t$(B)")),
            ("@THREADS_FALSE@A =", Some("A =")),
            ("@SET_MAKE@", Some("@SET_MAKE@")),
            ("@THREADS_TRUE@@SET_MAKE@", Some("@SET_MAKE@")),
            ("@", Some("@")),
        ] {
            assert_eq!(unconditional(line), expected, "{line}");
        }
    }
}
