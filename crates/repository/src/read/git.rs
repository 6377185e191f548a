//! The commit and the origin of a checkout, read from its git directory; no git binary is run.

use std::fs;
use std::path::{Path, PathBuf};

/// What a checkout says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// Full object id of `HEAD`.
    pub(crate) commit: Option<String>,
    /// URL of `origin` without credentials; none where it is a local path.
    pub(crate) remote: Option<String>,
}

/// Reads `root/.git`, a directory or the file that stands for one in worktrees and submodules.
pub(crate) fn inspect(root: &Path) -> Checkout {
    let Some(git_dir) = git_directory(root) else { return Checkout::default() };
    // A linked worktree keeps HEAD to itself and shares the rest.
    let common = fs::read_to_string(git_dir.join("commondir"))
        .map_or_else(|_| git_dir.clone(), |relative| git_dir.join(relative.trim()));
    let remote = fs::read_to_string(common.join("config")).ok().and_then(|config| origin(&config));
    Checkout { commit: head(&git_dir, &common), remote }
}

/// The regular files that the checkout at `root` tracks; none where there is no index.
pub(crate) fn tracked(root: &Path) -> Vec<String> {
    let bytes = git_directory(root).and_then(|git_dir| fs::read(git_dir.join("index")).ok());
    bytes.map_or_else(Vec::new, |bytes| super::index::tracked(&bytes, 20))
}

/// The last component of a remote URL, without `.git`, query and fragment.
pub fn repository_name(remote: &str) -> Option<&str> {
    let path = remote.split_once("://").map_or(remote, |(_, rest)| without_user(rest));
    let path = without_query(path).trim_end_matches('/');
    let name = path.rsplit(['/', ':']).next()?;
    Some(name.strip_suffix(".git").unwrap_or(name)).filter(|name| !name.is_empty())
}

/// What stands before `?` and `#`: behind them only tokens are met.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn git_directory(root: &Path) -> Option<PathBuf> {
    let dot_git = root.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let pointer = fs::read_to_string(&dot_git).ok()?;
    Some(root.join(pointer.strip_prefix("gitdir:")?.trim()))
}

fn head(git_dir: &Path, common: &Path) -> Option<String> {
    let mut value = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    // A symbolic reference may name another; git itself stops after five.
    for _ in 0..5 {
        let Some(name) = value.trim().strip_prefix("ref:").map(str::trim) else { break };
        if name.split('/').any(|part| part == "..") {
            return None;
        }
        value = fs::read_to_string(git_dir.join(name))
            .or_else(|_| fs::read_to_string(common.join(name)))
            .ok()
            .or_else(|| packed(&fs::read_to_string(common.join("packed-refs")).ok()?, name))?;
    }
    let id = value.trim();
    (matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

fn packed(references: &str, name: &str) -> Option<String> {
    references
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(id, reference)| (reference == name).then(|| id.to_owned()))
}

fn origin(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[remote \"origin\"]";
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "url"
        {
            return public_url(value.trim());
        }
    }
    None
}

/// The URL without user, password, query and fragment; `None` for a path on this machine.
pub fn public_url(url: &str) -> Option<String> {
    if let Some((scheme, rest)) = url.split_once("://") {
        if scheme == "file" {
            return None;
        }
        let rest = without_user(rest);
        return Some(format!("{scheme}://{}", without_query(rest)));
    }
    // The short form of ssh, user@host:path; a colon after a slash is part of a local path.
    let head = url.split('/').next().unwrap_or(url);
    let (host, path) = url[head.rfind('@').map_or(0, |at| at + 1)..].split_once(':')?;
    if host.contains('/') || host.len() < 2 {
        return None;
    }
    Some(format!("{host}:{}", without_query(path)))
}

/// Host and path, without what stands before the `@`. A password may hold `/`, `?` and `#`
/// unescaped: then what stands before the first of them has a colon and no number of a port.
fn without_user(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let whole = authority.contains('@') || port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let searched = if whole { authority } else { rest };
    searched.rfind('@').map_or(rest, |at| &rest[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_loses_its_credentials_and_a_local_path_is_not_told() {
        assert_eq!(public_url("https://me:secret@host.org/a/b.git").as_deref(), Some("https://host.org/a/b.git"));
        for written in [
            "https://host.org/a/b.git?token=S3cret",
            "https://host.org/a/b.git#S3cret",
            "https://S3cret@host.org/a/b.git",
            "https://me:S3/cr?et@host.org/a/b.git",
            "https://me:S3@cret@host.org/a/b.git?x=S3cret&y=1",
        ] {
            assert_eq!(public_url(written).as_deref(), Some("https://host.org/a/b.git"), "{written}");
            assert_eq!(repository_name(written), Some("b"), "{written}");
        }
        assert_eq!(public_url("https://host.org:8443/a/b@2").as_deref(), Some("https://host.org:8443/a/b@2"));
        assert_eq!(public_url("me:S@host.org:a/b.git").as_deref(), Some("host.org:a/b.git"));
        assert_eq!(public_url("host.org:a/b.git?token=S").as_deref(), Some("host.org:a/b.git"));
        assert_eq!(public_url("git@host.org:a/b.git").as_deref(), Some("host.org:a/b.git"));
        assert_eq!(public_url("/home/me/b"), None);
        assert_eq!(public_url("file:///home/me/b"), None);
        assert_eq!(repository_name("host.org:a/b.git"), Some("b"));
    }

    #[test]
    fn the_commit_is_found_loose_packed_and_detached() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let other = "f".repeat(40);
        let root = tempfile::tempdir().unwrap();
        let git = root.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(git.join("packed-refs"), format!("# pack-refs\n{id} refs/heads/main\n")).unwrap();
        assert_eq!(inspect(root.path()).commit.as_deref(), Some(id), "packed");
        fs::write(git.join("refs/heads/main"), format!("{other}\n")).unwrap();
        assert_eq!(inspect(root.path()).commit.as_deref(), Some(other.as_str()), "a loose reference wins");
        fs::write(git.join("HEAD"), format!("{id}\n")).unwrap();
        assert_eq!(inspect(root.path()).commit.as_deref(), Some(id), "detached");
        fs::write(git.join("HEAD"), "nonsense").unwrap();
        assert_eq!(inspect(root.path()).commit, None, "a damaged HEAD is no commit");
    }

    #[test]
    fn a_worktree_shares_the_references_of_its_repository() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let base = tempfile::tempdir().unwrap();
        let shared = base.path().join("main/.git");
        let own = shared.join("worktrees/side");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(base.path().join("side")).unwrap();
        fs::write(base.path().join("side/.git"), "gitdir: ../main/.git/worktrees/side\n").unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        fs::write(own.join("HEAD"), "ref: refs/heads/side\n").unwrap();
        fs::write(shared.join("packed-refs"), format!("{id} refs/heads/side\n")).unwrap();
        fs::write(shared.join("config"), "[remote \"origin\"]\n\turl = https://host.org/a/side.git\n").unwrap();
        let expected = Checkout { commit: Some(id.into()), remote: Some("https://host.org/a/side.git".into()) };
        assert_eq!(inspect(&base.path().join("side")), expected);
    }
}
