//! The parser: whether a draft is code of its language, and where not.

use recon_graph::{Problem, SyntaxFault, syntax_faults};

use crate::{ANSWER_BYTES, Answer};

/// What the parser says of a draft of `path`; `None` where it does not know the language, or the text
/// takes it more steps than its size allows.
pub fn parser(path: &str, text: &str) -> Option<Answer> {
    let found = syntax_faults(path, text)?;
    let faults = found.len() as u64;
    if found.is_empty() {
        return Some(Answer { text: "parser: no syntax errors".into(), faults });
    }
    let plural = if faults == 1 { "" } else { "s" };
    let mut text = format!("parser: {faults} syntax error{plural}");
    // Room for the line that says how many are not told.
    let room = ANSWER_BYTES - "\nand 18446744073709551615 more".len();
    for (told, fault) in found.iter().enumerate() {
        let line = line(fault);
        if text.len() + 1 + line.len() > room {
            text.push_str(&format!("\nand {} more", found.len() - told));
            break;
        }
        text.push('\n');
        text.push_str(&line);
    }
    Some(Answer { text, faults })
}

fn line(SyntaxFault { line, column, problem }: &SyntaxFault) -> String {
    match problem {
        Problem::Missing(what) => format!("{line}:{column}: missing `{what}`"),
        Problem::Unread(what) if what.is_empty() => format!("{line}:{column}: cannot be read on"),
        Problem::Unread(what) => format!("{line}:{column}: cannot be read: `{what}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_placed_and_kept_within_the_bound() {
        let answer = |text: &str| parser("a.py", text).unwrap();
        assert_eq!(answer("x = 1\n"), Answer { text: "parser: no syntax errors".into(), faults: 0 });
        assert_eq!(
            answer("y = 2\n)\n"),
            Answer { text: "parser: 1 syntax error\n2:1: cannot be read: `)`".into(), faults: 1 }
        );
        let many = parser("a.rs", &"fn f() {\n    g(1;\n}\n".repeat(200)).unwrap();
        assert!(many.faults > 20 && many.text.len() <= ANSWER_BYTES, "{many:?}");
        assert!(many.text.contains(" more"), "{many:?}");
        assert_eq!(parser("a.txt", "x"), None);
    }
}
