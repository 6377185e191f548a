//! Repository paths as text: relative to the root, `/`-separated, no `.` or `..` left in them.

/// The directory part, `""` for the root.
pub fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

/// The last component.
pub fn file_name(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[at + 1..])
}

/// The last component without its last extension.
pub fn stem(path: &str) -> &str {
    let name = file_name(path);
    match name.rfind('.') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// The last extension, `""` if there is none.
pub fn extension(path: &str) -> &str {
    let name = file_name(path);
    match name.rfind('.') {
        Some(at) if at > 0 => &name[at + 1..],
        _ => "",
    }
}

/// `relative` seen from `directory`, with `.` and `..` resolved; `None` when it leaves the root.
pub fn join(directory: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    if relative.starts_with('/') {
        return None;
    }
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether `path` is `directory` itself or stands below it.
pub fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Every directory above `path`, nearest first, ending with the root `""`.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(parent(path));
    std::iter::from_fn(move || {
        let directory = next?;
        next = (!directory.is_empty()).then(|| parent(directory));
        Some(directory)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_without_leaving_the_root() {
        assert_eq!(join("a/b", "../c.py").as_deref(), Some("a/c.py"));
        assert_eq!(join("", "./x//y").as_deref(), Some("x/y"));
        assert_eq!(join("a", "../.."), None, "one level above the root");
        assert_eq!(join("a", "/etc/passwd"), None, "absolute");
    }

    #[test]
    fn ancestors_end_at_the_root() {
        assert_eq!(ancestors("a/b/c.rs").collect::<Vec<_>>(), ["a/b", "a", ""]);
        assert_eq!(ancestors("c.rs").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_dot_file_has_no_extension() {
        assert_eq!((stem(".env"), extension(".env")), (".env", ""));
        assert_eq!((stem("a/x.d.ts"), extension("a/x.d.ts")), ("x.d", "ts"));
    }
}
