//! The projects of Maven: which artifact a `pom.xml` makes, and which it depends on.
//!
//! Group, version and properties are inherited from the parent, as are its dependencies; a
//! dependency without a version has the one that is managed. Of several projects that make an
//! artifact the one of that version is meant, else one of the project's own version, else the nearest.
//! Source: the Maven POM reference.

use std::collections::{BTreeMap, HashMap};

use super::Projects;
use crate::paths;
use crate::repository::Repository;

/// Parents followed one after another.
const MAX_PARENTS: usize = 16;
/// Nesting of elements that is read.
const MAX_DEPTH: usize = 16;
/// Longest value that is kept, in bytes.
const MAX_VALUE_BYTES: usize = 512;
/// Dependencies of one file.
const MAX_DEPENDENCIES: usize = 2_048;
/// Projects that make one artifact.
const MAX_TWINS: usize = 32;

/// Group, artifact and version as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Coordinates {
    group: Option<String>,
    artifact: Option<String>,
    version: Option<String>,
}

/// What one `pom.xml` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pom {
    own: Coordinates,
    parent: Option<Coordinates>,
    /// Where the parent's file stands, seen from here.
    parent_path: Option<String>,
    properties: HashMap<String, String>,
    dependencies: Vec<Coordinates>,
    managed: Vec<Coordinates>,
}

/// All of a repository, by the path of the file.
struct Poms {
    files: BTreeMap<String, Pom>,
    /// Files by the artifact they make.
    by_artifact: HashMap<String, Vec<String>>,
}

pub(super) fn read(repository: &Repository, projects: &mut Projects) {
    let files = repository.files.iter().filter(|(path, _)| paths::file_name(path) == "pom.xml");
    let files: BTreeMap<String, Pom> = files.map(|(path, text)| (path.clone(), pom(text))).collect();
    let mut by_artifact: HashMap<String, Vec<String>> = HashMap::new();
    for (path, pom) in &files {
        if let Some(artifact) = &pom.own.artifact {
            let makers = by_artifact.entry(artifact.clone()).or_default();
            if makers.len() < MAX_TWINS {
                makers.push(path.clone());
            }
        }
    }
    let poms = Poms { files, by_artifact };
    for path in poms.files.keys() {
        projects.add(paths::parent(path), poms.uses(path));
    }
}

impl Poms {
    /// A file and its parents, the nearest first.
    fn line<'p>(&'p self, path: &'p str) -> Vec<&'p str> {
        let mut line = vec![path];
        while let Some((last, pom)) = line.last().and_then(|last| Some((*last, self.files.get(*last)?)))
            && line.len() < MAX_PARENTS
        {
            let Some(parent) = &pom.parent else { break };
            let relative = pom.parent_path.as_deref().unwrap_or("../pom.xml");
            let relative = if relative.ends_with(".xml") { relative.to_owned() } else { format!("{relative}/pom.xml") };
            let beside = paths::join(paths::parent(last), &relative).and_then(|at| self.files.get_key_value(&at));
            let same = |(_, found): &(&String, &Pom)| found.own.artifact == parent.artifact;
            let by_name = || {
                let makers = parent.artifact.as_ref().and_then(|artifact| self.by_artifact.get(artifact))?;
                let version = |maker: &&String| self.files[*maker].own.version == parent.version;
                makers.iter().find(version).and_then(|maker| self.files.get_key_value(maker))
            };
            match beside.filter(same).or_else(by_name) {
                Some((path, _)) if !line.contains(&path.as_str()) => line.push(path),
                _ => break,
            }
        }
        line
    }

    /// A value with its properties replaced, as seen by the first file of a line.
    fn value(&self, line: &[&str], text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for _ in 0..8 {
            let Some(start) = text.find("${") else { return Some(text) };
            let end = start + text[start..].find('}')?;
            let name = &text[start + 2..end];
            let value = match name.trim_start_matches("project.").trim_start_matches("pom.") {
                "version" => self.inherited(line, |own| own.version.as_ref()),
                "groupId" => self.inherited(line, |own| own.group.as_ref()),
                "artifactId" => self.files.get(line[0])?.own.artifact.clone(),
                "parent.version" => self.files.get(line[0])?.parent.as_ref()?.version.clone(),
                "parent.groupId" => self.files.get(line[0])?.parent.as_ref()?.group.clone(),
                _ => line.iter().find_map(|path| self.files.get(*path)?.properties.get(name)).cloned(),
            }?;
            text.replace_range(start..=end, &value);
            if text.len() > MAX_VALUE_BYTES {
                return None;
            }
        }
        None
    }

    /// What the nearest of a line says of its own coordinates, or of its parent's.
    fn inherited(&self, line: &[&str], part: impl Fn(&Coordinates) -> Option<&String>) -> Option<String> {
        line.iter().find_map(|path| {
            let pom = self.files.get(*path)?;
            part(&pom.own).or_else(|| part(pom.parent.as_ref()?)).cloned()
        })
    }

    /// Group and version of the artifact that a file makes.
    fn identity(&self, line: &[&str]) -> (Option<String>, Option<String>) {
        let value = |raw: Option<String>| raw.and_then(|raw| self.value(line, &raw));
        (value(self.inherited(line, |own| own.group.as_ref())), value(self.inherited(line, |own| own.version.as_ref())))
    }

    /// The folders of the projects that a file depends on.
    fn uses(&self, path: &str) -> Vec<String> {
        let line = self.line(path);
        let (_, own_version) = self.identity(&line);
        let declared = line.iter().filter_map(|path| self.files.get(*path)).flat_map(|pom| &pom.dependencies);
        let mut found = Vec::new();
        for dependency in declared.take(MAX_DEPENDENCIES) {
            let Some(artifact) = dependency.artifact.as_ref().and_then(|raw| self.value(&line, raw)) else { continue };
            let Some(makers) = self.by_artifact.get(&artifact) else { continue };
            let group = dependency.group.as_ref().and_then(|raw| self.value(&line, raw));
            let managed = || {
                let all = line.iter().filter_map(|path| self.files.get(*path)).flat_map(|pom| &pom.managed);
                all.filter(|it| it.artifact == dependency.artifact).find_map(|it| it.version.clone())
            };
            let version = dependency.version.clone().or_else(managed).and_then(|raw| self.value(&line, &raw));
            let version = version.or_else(|| own_version.clone());
            let known: Vec<(&String, bool, bool)> = makers
                .iter()
                .map(|maker| {
                    let (its_group, its_version) = self.identity(&self.line(maker));
                    (maker, its_version == version, its_group == group || group.is_none())
                })
                .filter(|(.., same_group)| *same_group)
                .collect();
            let shared = |maker: &str| {
                paths::parent(path).split('/').zip(paths::parent(maker).split('/')).take_while(|(a, b)| a == b).count()
            };
            let best = known.iter().max_by_key(|(maker, same_version, _)| (*same_version, shared(maker)));
            found.extend(best.map(|(maker, ..)| paths::parent(maker).to_owned()));
        }
        found
    }
}

/// Reads one file; what is no POM says nothing.
fn pom(text: &str) -> Pom {
    let mut pom = Pom::default();
    let mut open = Coordinates::default();
    elements(text, |path, value| {
        let Some(value) = value else {
            match path {
                ["project", "dependencies", "dependency"] if pom.dependencies.len() < MAX_DEPENDENCIES => {
                    pom.dependencies.push(std::mem::take(&mut open));
                }
                ["project", "dependencyManagement", "dependencies", "dependency"]
                    if pom.managed.len() < MAX_DEPENDENCIES =>
                {
                    pom.managed.push(std::mem::take(&mut open));
                }
                [.., "dependency"] => open = Coordinates::default(),
                _ => {}
            }
            return;
        };
        let (of, part) = match path {
            ["project", part] => (&mut pom.own, *part),
            ["project", "parent", "relativePath"] => {
                pom.parent_path = Some(value.to_owned());
                return;
            }
            ["project", "parent", part] => (pom.parent.get_or_insert_default(), *part),
            ["project", "properties", name] => {
                pom.properties.insert((*name).to_owned(), value.to_owned());
                return;
            }
            ["project", "dependencies", "dependency", part]
            | ["project", "dependencyManagement", "dependencies", "dependency", part] => (&mut open, *part),
            _ => return,
        };
        let place = match part {
            "groupId" => &mut of.group,
            "artifactId" => &mut of.artifact,
            "version" => &mut of.version,
            _ => return,
        };
        *place = Some(value.to_owned());
    });
    pom
}

/// Tells the text of each element with the names around it, and each element's end.
fn elements<'t>(text: &'t str, mut tell: impl FnMut(&[&'t str], Option<&'t str>)) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let value = before.trim();
        if !value.is_empty() && value.len() <= MAX_VALUE_BYTES && open.len() <= MAX_DEPTH {
            tell(&open, Some(value));
        }
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((tag, next)) = after.split_once('>') else { return };
        rest = next;
        if let Some(name) = tag.strip_prefix('/') {
            if open.last() == Some(&name.trim()) {
                if open.len() <= MAX_DEPTH {
                    tell(&open, None);
                }
                open.pop();
            }
        } else if !tag.starts_with(['?', '!']) && !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pom_says_is_read_and_the_rest_passed_over() {
        let text = "<?xml version='1.0'?><!-- <artifactId>no</artifactId> -->\n<project xmlns='x'>\n<parent><artifactId>p</artifactId><version>1</version></parent>\n<artifactId>a</artifactId><properties><v>2</v></properties>\n<dependencies><dependency><groupId>g</groupId><artifactId>b</artifactId><exclusions><exclusion><artifactId>no</artifactId></exclusion></exclusions></dependency></dependencies>\n<build><plugins><plugin><artifactId>no</artifactId><dependencies><dependency><artifactId>no</artifactId></dependency></dependencies></plugin></plugins></build></project>";
        let read = pom(text);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read.own.artifact, some("a"));
        assert_eq!(read.parent, Some(Coordinates { group: None, artifact: some("p"), version: some("1") }));
        assert_eq!(read.dependencies, [Coordinates { group: some("g"), artifact: some("b"), version: None }]);
        assert_eq!(read.properties.get("v"), some("2").as_ref());
        assert_eq!(
            pom("<project><artifactId>a</b></project"),
            Pom { own: Coordinates { artifact: some("a"), ..Coordinates::default() }, ..Pom::default() }
        );
    }
}
