//! Links, of whatever kind of source: told by where they lead.

/// What is said of a link: it is never followed, and one that leaves the root is told apart.
pub(super) fn link_message(path: &str, target: &[u8], from_root: bool) -> &'static str {
    let outside = "a link that leaves the repository";
    let Ok(target) = std::str::from_utf8(target) else { return outside };
    if target.starts_with(['/', '\\']) || target.contains('\0') {
        return outside;
    }
    let mut depth = if from_root { 0 } else { path.matches('/').count() as i64 };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return outside;
        }
    }
    "a link; its target stands under its own path"
}
