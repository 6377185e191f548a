//! `autoload` without a path, as ActiveSupport knows it: the path follows from the constant's full
//! name, the innermost `autoload_under` puts a folder before the last part, `autoload_at` says all
//! of the path.
//!
//! Source: the documentation of `ActiveSupport::Autoload` and `ActiveSupport::Inflector#underscore`.

/// One block around an `autoload`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Under(String),
    At(String),
}

/// The path of a constant of the module `around`, the blocks outermost first.
pub(super) fn path(around: &str, constant: &str, blocks: &[(usize, Block)]) -> String {
    let mut folder = None;
    let mut whole = None;
    for (_, block) in blocks {
        match block {
            Block::Under(path) => folder = Some(path.as_str()),
            Block::At(path) => whole = Some(path.clone()),
        }
    }
    let parts = [Some(around), folder, Some(constant)];
    whole.unwrap_or_else(|| underscore(&parts.into_iter().flatten().collect::<Vec<_>>().join("::")))
}

/// `HTMLParser::Node` is `html_parser/node`.
fn underscore(name: &str) -> String {
    let letters: Vec<char> = name.replace("::", "/").chars().collect();
    let mut path = String::with_capacity(letters.len() + 8);
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let next_is_lower = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        let starts_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase() || before.is_ascii_digit() || (before.is_ascii_uppercase() && next_is_lower)
            });
        if starts_word {
            path.push('_');
        }
        path.extend(letter.to_lowercase());
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_names_and_blocks() {
        let under = |path: &str| (0, Block::Under(path.to_owned()));
        assert_eq!(path("ActiveRecord", "SQLite3Adapter", &[]), "active_record/sq_lite3_adapter");
        assert_eq!(path("ActionDispatch", "SSL", &[under("a"), under("middleware")]), "action_dispatch/middleware/ssl");
        assert_eq!(path("A", "HTMLParser", &[(0, Block::At("x/y".to_owned())), under("b")]), "x/y");
        assert_eq!(path("A::B", "UTF8String", &[]), "a/b/utf8_string");
    }
}
