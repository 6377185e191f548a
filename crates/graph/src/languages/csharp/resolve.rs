//! Which files define the types a C# file names.
//!
//! A name is looked up as the compiler does: in the types around it, then for each namespace
//! around it, innermost first, in the namespace itself and in what the `using` directives that
//! stand there bring in. The search never leaves what is in scope. A partial type leads to all its
//! parts; a type that several projects define, to those that the file's project sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::projects::Projects;
use super::{Facts, Name, Using};

/// The types of a repository.
pub(super) struct Types<'r> {
    /// Files by the full names of the types they define.
    definitions: HashMap<&'r str, BTreeSet<&'r str>>,
    /// Namespaces declared, and those around them.
    namespaces: BTreeSet<&'r str>,
    projects: Projects,
    /// `global using` directives by project, `""` where there is none.
    global: BTreeMap<&'r str, Vec<&'r Using>>,
}

/// What a full name is the name of.
enum Meaning<'a> {
    Type(&'a BTreeSet<&'a str>),
    Namespace,
}

impl<'r> Types<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let mut definitions: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        let mut namespaces = BTreeSet::new();
        for (path, file) in context.parsed {
            for name in &file.facts.defines {
                definitions.entry(name).or_default().insert(path);
            }
            for namespace in &file.facts.namespaces {
                let mut around = namespace.as_str();
                while namespaces.insert(around) {
                    around = above(around);
                }
            }
        }
        namespaces.remove("");
        let projects = Projects::new(context.repository);
        let mut types = Self { definitions, namespaces, projects, global: BTreeMap::new() };
        for (path, file) in context.parsed {
            let project = types.projects.of(path).unwrap_or_default();
            for using in file.facts.usings.iter().filter(|using| using.global) {
                types.global.entry(project).or_default().push(using);
            }
        }
        types
    }

    fn meaning(&self, from: &str, name: &str) -> Option<Meaning<'_>> {
        match self.definitions.get(name) {
            Some(files) if files.iter().any(|file| self.projects.sees(from, file)) => Some(Meaning::Type(files)),
            _ => self.namespaces.contains(name).then_some(Meaning::Namespace),
        }
    }

    /// The full name of the type that a name leads to.
    fn find(&self, from: &str, facts: &Facts, name: &Name) -> Option<String> {
        if name.attribute {
            let mut long = name.clone();
            long.attribute = false;
            if let Some(last) = long.path.last_mut() {
                last.push_str("Attribute");
            }
            let short = Name { attribute: false, ..name.clone() };
            return self.find(from, facts, &long).or_else(|| self.find(from, facts, &short));
        }
        let (first, rest) = name.path.split_first()?;
        let mut around = name.around.as_str();
        loop {
            let here = join(around, first);
            if self.meaning(from, &here).is_some() {
                return self.descend(from, here, rest);
            }
            if let Some(found) = self.brought_in(from, facts, around, first) {
                return self.descend(from, found, rest);
            }
            if around.is_empty() {
                return None;
            }
            around = above(around);
        }
    }

    /// What the `using` directives that stand in a namespace make of a name.
    fn brought_in(&self, from: &str, facts: &Facts, around: &str, first: &str) -> Option<String> {
        let project = self.projects.of(from).unwrap_or_default();
        let global = self.global.get(project).into_iter().flatten().copied().filter(|_| around.is_empty());
        let usings: Vec<&Using> = facts.usings.iter().filter(|using| using.within == around).chain(global).collect();
        if let Some(using) = usings.iter().find(|using| using.alias.as_deref() == Some(first)) {
            return self.target(from, using);
        }
        let plain = usings.iter().filter(|using| using.alias.is_none());
        let manifest = self.projects.usings.get(project).into_iter().flatten().filter(|_| around.is_empty());
        plain
            .filter_map(|using| self.target(from, using))
            .chain(manifest.cloned())
            .map(|target| join(&target, first))
            .find(|name| matches!(self.meaning(from, name), Some(Meaning::Type(_))))
    }

    /// What a directive names, which may be said from a namespace around it.
    fn target(&self, from: &str, using: &Using) -> Option<String> {
        let mut around = using.within.as_str();
        loop {
            let name = join(around, &using.target);
            if self.meaning(from, &name).is_some() {
                return Some(name);
            }
            if around.is_empty() {
                return None;
            }
            around = above(around);
        }
    }

    /// Follows the rest of a chain through namespaces and nested types; what comes after the last
    /// type is a member.
    fn descend(&self, from: &str, start: String, rest: &[String]) -> Option<String> {
        let mut name = start;
        for segment in rest {
            let next = join(&name, segment);
            if self.meaning(from, &next).is_none() {
                break;
            }
            name = next;
        }
        matches!(self.meaning(from, &name), Some(Meaning::Type(_))).then_some(name)
    }

    /// The files of a type as `from` sees it.
    fn files(&self, from: &str, name: &str) -> (Vec<&str>, Confidence) {
        let Some(Meaning::Type(files)) = self.meaning(from, name) else { return (Vec::new(), Confidence::Likely) };
        let seen: Vec<&str> = files.iter().copied().filter(|file| self.projects.sees(from, file)).collect();
        // Parts of one type stand in one project; more projects make it a guess.
        let projects: BTreeSet<Option<&str>> = seen.iter().map(|file| self.projects.of(file)).collect();
        let confidence = if projects.len() == 1 { Confidence::Exact } else { Confidence::Likely };
        (seen, confidence)
    }
}

impl Resolve<Facts> for Types<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let mut named: BTreeMap<String, (u32, Confidence, Vec<String>)> = BTreeMap::new();
        let mut add = |full: &str, line: u32| {
            let (files, confidence) = self.files(from, full);
            // A type that has a part here is the file's own.
            if files.contains(&from) {
                return;
            }
            let last = full.rsplit('.').next().unwrap_or_default();
            for file in files {
                let entry = named.entry(file.to_owned()).or_insert((line, confidence, Vec::new()));
                entry.0 = entry.0.min(line);
                entry.1 = entry.1.min(confidence);
                entry.2.push(last.to_owned());
            }
        };
        let mut links = Vec::new();
        for using in &facts.usings {
            match self.target(from, using) {
                Some(target) if using.statics || using.alias.is_some() => add(&target, using.line),
                Some(_) => {}
                None => {
                    let root = using.target.split('.').next().unwrap_or_default();
                    let class = match root {
                        "System" => UnresolvedClass::StandardLibrary,
                        _ if self.namespaces.contains(root) => UnresolvedClass::Missing,
                        _ => UnresolvedClass::External,
                    };
                    let name = using.target.clone();
                    links.push(Resolution::Unresolved { name, class }.at(using.line));
                }
            }
        }
        for (name, line) in &facts.names {
            if let Some(full) = self.find(from, facts, name) {
                add(&full, *line);
            }
        }
        links.extend(named.into_iter().map(|(to, (line, confidence, names))| {
            Resolution::File { to, kind: "import", confidence, names }.at(line)
        }));
        links
    }
}

fn join(around: &str, name: &str) -> String {
    if around.is_empty() { name.to_owned() } else { format!("{around}.{name}") }
}

/// What stands around a full name, `""` around the outermost.
fn above(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(above, _)| above)
}
