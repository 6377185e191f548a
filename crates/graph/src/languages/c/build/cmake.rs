//! CMake: variables, functions, targets and the directories they are compiled with.
//!
//! `CMakeLists.txt` files → lists of [`SearchPaths`]. The commands are run as CMake would run them. A
//! condition that [`conditions`] cannot decide runs all of its branches; the branches that one
//! decides against are run after everything else of their file, so that what they say stands behind
//! what is built. A directory inherits what its parent had said before `add_subdirectory`; a target
//! adds its own directories and what the targets it links export. What only a machine knows
//! (packages looked for, build folders, the environment) stays unknown.
//!
//! Invariant: the text that is expanded, over all files, has a limit.
//! Source: cmake-language(7), cmake-commands(7).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::commands::{self, Argument, Command};
use super::conditions;
use super::globs;
use super::search::SearchPaths;
use super::targets::{Folder, Targets};
use super::text::{ROOT, UNKNOWN, absolute, place};
use crate::paths;
use crate::repository::Repository;

/// Bytes of arguments looked at over all files; real trees of thousands of files need a few million.
const MAX_BYTES: usize = 64 << 20;
/// Longest value of a variable, in bytes.
const MAX_VALUE_BYTES: usize = 256 << 10;
/// Commands of one file.
const MAX_COMMANDS: usize = 50_000;
/// Files, loops and functions inside of each other.
const MAX_NESTING: usize = 32;
#[derive(Debug, Clone)]
struct Function {
    parameters: Vec<String>,
    body: Rc<Vec<Command>>,
}

/// A reading of one tree of `CMakeLists.txt` files.
struct Reading<'r> {
    targets: Targets<'r>,
    budget: usize,
    nesting: usize,
    /// Directories whose `CMakeLists.txt` was run.
    met: BTreeSet<String>,
    /// The source directory of the file that the commands are read from.
    listed: String,
    /// Variables, the innermost scope last.
    scopes: Vec<HashMap<String, String>>,
    functions: HashMap<String, Function>,
    /// Branches of the open file that are not built, and whether one of them is being run.
    aside: Vec<Vec<Command>>,
    is_aside: bool,
}

pub(super) fn read(repository: &Repository, paths: &mut SearchPaths) {
    let mut roots: Vec<&str> = repository
        .files
        .keys()
        .filter(|path| paths::file_name(path) == "CMakeLists.txt")
        .map(|path| paths::parent(path))
        .collect();
    // What stands above adds what stands below.
    roots.sort_by_key(|directory| (directory.matches('/').count() + usize::from(!directory.is_empty()), *directory));
    let (mut budget, mut met) = (MAX_BYTES, BTreeSet::new());
    for root in roots {
        if met.contains(root) {
            continue;
        }
        let mut reading = Reading {
            targets: Targets::new(repository),
            budget,
            nesting: 0,
            met,
            listed: String::new(),
            scopes: Vec::new(),
            functions: HashMap::new(),
            aside: Vec::new(),
            is_aside: false,
        };
        let platform = conditions::PLATFORM.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        reading.scopes.push(platform.collect());
        reading.set("CMAKE_SOURCE_DIR", absolute(root));
        reading.set("PROJECT_SOURCE_DIR", absolute(root));
        reading.enter(root);
        reading.targets.tell(paths);
        (budget, met) = (reading.budget, reading.met);
    }
}

impl Reading<'_> {
    /// Runs the `CMakeLists.txt` of a directory in a scope of its own.
    fn enter(&mut self, directory: &str) {
        let Some(text) = self.targets.repository.files.get(&below(directory, "CMakeLists.txt")) else { return };
        if self.nesting >= MAX_NESTING || !self.met.insert(directory.to_owned()) {
            return;
        }
        let shared =
            self.targets.folders.get(&self.targets.directory).map(|folder| folder.shared.clone()).unwrap_or_default();
        self.budget = self.budget.saturating_sub(text.len() + shared.iter().map(String::len).sum::<usize>());
        let (outer, listed) = (self.targets.directory.clone(), self.listed.clone());
        (self.targets.directory, self.listed) = (directory.to_owned(), directory.to_owned());
        let nested = !self.targets.folders.is_empty();
        self.targets.folders.insert(directory.to_owned(), Folder { shared, loose: Vec::new() });
        let here = absolute(directory);
        let own = ["CMAKE_CURRENT_SOURCE_DIR", "CMAKE_CURRENT_LIST_DIR"].map(|name| (name.to_owned(), here.clone()));
        if nested {
            self.scopes.push(HashMap::from(own));
        } else {
            self.scopes[0].extend(own);
        }
        let aside = std::mem::take(&mut self.aside);
        self.nesting += 1;
        self.run(&commands::read(text, MAX_COMMANDS));
        self.run_aside();
        self.nesting -= 1;
        self.aside = aside;
        if nested {
            self.scopes.pop();
        }
        (self.targets.directory, self.listed) = (outer, listed);
    }

    fn run(&mut self, commands: &[Command]) {
        let mut at = 0;
        while let Some(command) = commands.get(at) {
            if self.budget == 0 {
                return;
            }
            let end = match command.name.as_str() {
                "foreach" | "function" | "macro" | "if" => end_of(commands, at, &command.name),
                _ => at,
            };
            let body = &commands[(at + 1).min(end)..end];
            match command.name.as_str() {
                "foreach" => self.each(command, body),
                "if" => self.choose(command, body),
                "function" | "macro" => {
                    let mut words = self.values(&command.arguments).into_iter();
                    if let Some(name) = words.next() {
                        let body = Rc::new(body.to_vec());
                        self.functions
                            .insert(name.to_ascii_lowercase(), Function { parameters: words.collect(), body });
                    }
                }
                _ => self.command(command),
            }
            at = end + 1;
        }
    }

    /// Runs the branches of an `if` whose conditions may hold, up to the one whose condition does.
    fn choose(&mut self, command: &Command, body: &[Command]) {
        if self.nesting >= MAX_NESTING {
            return;
        }
        self.nesting += 1;
        let (mut rest, mut condition, mut decided) = (body, Some(command), false);
        loop {
            let end = branch_end(rest);
            match condition.map_or(Some(true), |command| self.holds(&command.arguments)) {
                _ if decided => self.aside.push(rest[..end].to_vec()),
                Some(false) => self.aside.push(rest[..end].to_vec()),
                found => {
                    self.run(&rest[..end]);
                    decided = found == Some(true);
                }
            }
            let Some(next) = rest.get(end) else { break };
            condition = Some(next).filter(|next| next.name == "elseif");
            rest = &rest[end + 1..];
        }
        self.nesting -= 1;
    }

    fn holds(&mut self, arguments: &[Argument]) -> Option<bool> {
        let expanded: Vec<Argument> = arguments
            .iter()
            .map(|argument| {
                let text = if argument.bracket { argument.text.clone() } else { self.expand(&argument.text) };
                Argument { text, ..*argument }
            })
            .collect();
        self.budget = self.budget.saturating_sub(expanded.iter().map(|it| it.text.len() + 16).sum());
        conditions::holds(&expanded, &|name| self.scopes.iter().rev().find_map(|scope| scope.get(name)).cloned())
    }

    /// Runs what the conditions of the file decided against, and what stands aside in there.
    fn run_aside(&mut self) {
        let outer = std::mem::replace(&mut self.is_aside, true);
        while let Some(branch) = Some(&mut self.aside).filter(|it| !it.is_empty()).map(|it| it.remove(0)) {
            if self.budget == 0 {
                break;
            }
            self.run(&branch);
        }
        self.is_aside = outer;
    }

    fn each(&mut self, command: &Command, body: &[Command]) {
        let words = self.values(&command.arguments);
        let Some((name, items)) = words.split_first() else { return };
        let mut values: Vec<String> = Vec::new();
        let mut lists = false;
        for item in items {
            match item.as_str() {
                "IN" | "ITEMS" => lists = false,
                "LISTS" => lists = true,
                list if lists => values.extend(split(&self.value(list)).map(str::to_owned)),
                item => values.push(item.to_owned()),
            }
        }
        if self.nesting >= MAX_NESTING {
            return;
        }
        self.nesting += 1;
        let aside = self.aside.len();
        for value in values {
            if self.budget == 0 {
                break;
            }
            self.set(name, value);
            self.run(body);
        }
        // What stands aside in a loop or a function is nothing without its variables.
        self.aside.truncate(aside);
        self.nesting -= 1;
    }

    fn command(&mut self, command: &Command) {
        let words = self.values(&command.arguments);
        let Some(first) = words.first().map(String::as_str) else { return };
        let rest = &words[1..];
        match command.name.as_str() {
            "set" => {
                let outer = rest.iter().any(|word| word == "PARENT_SCOPE");
                let cached = rest.iter().any(|word| word == "CACHE") && !rest.iter().any(|word| word == "FORCE");
                // A cache keeps what it has; a branch that is not built tells others nothing.
                if cached && self.is_set(first) || outer && self.is_aside {
                    return;
                }
                let value = rest.iter().take_while(|word| *word != "PARENT_SCOPE" && *word != "CACHE");
                let value = value.map(String::as_str).collect::<Vec<_>>().join(";");
                let depth = self.scopes.len().saturating_sub(1 + usize::from(outer));
                self.scopes[depth].insert(first.to_owned(), value);
            }
            "option" if !self.is_set(first) => {
                // The second argument is prose, and may be empty.
                let value = command.arguments.get(2).map(|value| self.expand(&value.text));
                // Options are the cache's: every scope sees them.
                self.scopes[0].insert(first.to_owned(), value.unwrap_or_else(|| "OFF".to_owned()));
            }
            "list" => self.change_list(first, rest),
            "project" => {
                let here = absolute(&self.targets.directory);
                self.set("PROJECT_NAME", first.to_owned());
                self.set(&format!("{first}_SOURCE_DIR"), here.clone());
                self.set("PROJECT_SOURCE_DIR", here);
            }
            "add_subdirectory" => {
                if let Some(directory) = place(&self.targets.directory, first) {
                    self.enter(&directory);
                }
            }
            "include" => self.include(first),
            "include_directories" => {
                let found = self.targets.directories(&words);
                if let Some(folder) = self.targets.folders.get_mut(&self.targets.directory) {
                    folder.shared.extend(found);
                }
            }
            "add_library" | "add_executable" | "cuda_add_library" | "cuda_add_executable" => {
                self.targets.define(first, rest);
            }
            "target_sources" => {
                let files = self.targets.files(rest);
                self.targets.target(first).files.extend(files);
            }
            "target_include_directories" => self.targets.target_directories(first, rest),
            "target_link_libraries" => self.targets.target(first).links.extend(rest.iter().cloned()),
            "set_target_properties" | "set_property" => self.targets.properties(&words),
            "file" if first.starts_with("GLOB") => self.glob(first == "GLOB_RECURSE", rest),
            "aux_source_directory" => {
                let found = place(&self.targets.directory, first)
                    .map(|at| globs::files(self.targets.repository, &at, "*.c*", false));
                if let (Some(found), Some(name)) = (found, rest.first()) {
                    self.set(name, found.iter().map(|file| absolute(file)).collect::<Vec<_>>().join(";"));
                }
            }
            "get_filename_component" => {
                if let [path, part, ..] = rest {
                    let value = component(path, part);
                    self.set(first, value);
                }
            }
            "cmake_parse_arguments" => self.parse_arguments(&words),
            name => self.call(name, &words),
        }
    }

    fn call(&mut self, name: &str, words: &[String]) {
        let Some(function) = self.functions.get(name).cloned() else { return };
        if self.nesting >= MAX_NESTING {
            return;
        }
        let mut scope: HashMap<String, String> =
            function.parameters.iter().cloned().zip(words.iter().cloned()).collect();
        scope.insert("ARGN".into(), words.get(function.parameters.len()..).unwrap_or_default().join(";"));
        scope.insert("ARGV".into(), words.join(";"));
        let aside = self.aside.len();
        self.scopes.push(scope);
        self.nesting += 1;
        self.run(&function.body);
        self.nesting -= 1;
        self.scopes.pop();
        self.aside.truncate(aside);
    }

    /// `cmake_parse_arguments(prefix options one_value several_values words…)`.
    fn parse_arguments(&mut self, words: &[String]) {
        let written = |name: &str| split(name).map(str::to_owned).collect::<BTreeSet<String>>();
        let [prefix, rest @ ..] = words else { return };
        // Lists that were empty left no argument: what is a keyword is told by its capitals.
        let (keys, words) = match rest.iter().position(|word| !word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        {
            Some(at) => (written(&rest[..at].join(";")), &rest[at..]),
            None => (written(&rest.join(";")), rest),
        };
        let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut open: Option<&str> = None;
        for word in words {
            if keys.contains(word) || (word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')) {
                open = Some(word);
            } else if let Some(key) = open {
                found.entry(key.to_owned()).or_default().push(word);
            }
        }
        for (key, values) in found {
            self.set(&format!("{prefix}_{key}"), values.join(";"));
        }
    }

    fn include(&mut self, name: &str) {
        let near = [self.targets.directory.clone(), self.listed.clone()];
        let named = near.iter().flat_map(|at| [place(at, name), place(at, &format!("{name}.cmake"))]).flatten();
        let Some(file) = named.into_iter().find(|file| self.targets.repository.files.contains_key(file)) else {
            return;
        };
        if self.nesting >= MAX_NESTING {
            return;
        }
        let listed = std::mem::replace(&mut self.listed, paths::parent(&file).to_owned());
        let text = &self.targets.repository.files[&file];
        self.budget = self.budget.saturating_sub(text.len());
        self.set("CMAKE_CURRENT_LIST_DIR", absolute(paths::parent(&file)));
        self.nesting += 1;
        self.run(&commands::read(text, MAX_COMMANDS));
        self.nesting -= 1;
        self.set("CMAKE_CURRENT_LIST_DIR", absolute(&listed));
        self.listed = listed;
    }

    fn glob(&mut self, below: bool, words: &[String]) {
        let Some((name, patterns)) = words.split_first() else { return };
        let mut found: Vec<String> = Vec::new();
        for pattern in patterns {
            let (directory, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
            let at = if directory.is_empty() {
                Some(self.targets.directory.clone())
            } else {
                place(&self.targets.directory, directory)
            };
            let files = at.map(|at| globs::files(self.targets.repository, &at, last.trim_start_matches(ROOT), below));
            found.extend(files.into_iter().flatten().map(|file| absolute(&file)));
            self.budget = self.budget.saturating_sub(found.iter().map(String::len).sum::<usize>() + pattern.len());
        }
        self.set(name, found.join(";"));
    }

    fn change_list(&mut self, verb: &str, words: &[String]) {
        let Some((name, values)) = words.split_first() else { return };
        let mut value = self.scopes.iter().rev().find_map(|scope| scope.get(name)).cloned().unwrap_or_default();
        let values = match verb {
            "APPEND" | "PREPEND" => values,
            "INSERT" => values.get(1..).unwrap_or_default(),
            _ => return,
        };
        for added in values {
            if value.len() > MAX_VALUE_BYTES {
                break;
            }
            value.push(';');
            value.push_str(added);
        }
        self.budget = self.budget.saturating_sub(value.len() / 16);
        self.set(name, value);
    }

    fn is_set(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains_key(name))
    }

    fn set(&mut self, name: &str, value: String) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), value);
        }
    }

    fn value(&self, name: &str) -> String {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.cloned().unwrap_or_else(|| UNKNOWN.to_string())
    }

    /// The arguments with their variables replaced, lists taken apart.
    fn values(&mut self, arguments: &[Argument]) -> Vec<String> {
        let mut values = Vec::new();
        for argument in arguments {
            let text = if argument.bracket { argument.text.clone() } else { self.expand(&argument.text) };
            self.budget = self.budget.saturating_sub(text.len() + 16);
            values.extend(split(&text).map(str::to_owned));
        }
        values
    }

    /// The text with `${…}` replaced, the innermost first.
    fn expand(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // A name that holds a variable needs one more turn; each turn ends one reference.
        for _ in 0..64 {
            let Some(end) = text.find('}') else { break };
            let Some(start) = text[..end].rfind('{').filter(|start| text[..*start].contains('$')) else { break };
            let mark = text[..start].rfind('$').unwrap_or(start);
            let value = match &text[mark..start] {
                "$" => self.value(&text[start + 1..end]),
                _ => UNKNOWN.to_string(),
            };
            if text.len() + value.len() > MAX_VALUE_BYTES {
                return UNKNOWN.to_string();
            }
            text.replace_range(mark..=end, &value);
        }
        text
    }
}

/// The command that ends what `at` begins.
fn end_of(commands: &[Command], at: usize, name: &str) -> usize {
    let end = format!("end{name}");
    let mut open = 0_usize;
    for (place, command) in commands.iter().enumerate().skip(at) {
        if command.name == name {
            open += 1;
        } else if command.name == end {
            open -= 1;
            if open == 0 {
                return place;
            }
        }
    }
    commands.len()
}

/// Where the branch ends that `commands` begin with: at an `elseif` or `else` of its own, or with them.
fn branch_end(commands: &[Command]) -> usize {
    let mut open = 0_usize;
    let ends = commands.iter().position(|command| match command.name.as_str() {
        "if" => {
            open += 1;
            false
        }
        "endif" => {
            open = open.saturating_sub(1);
            false
        }
        "else" | "elseif" => open == 0,
        _ => false,
    });
    ends.unwrap_or(commands.len())
}

fn component(path: &str, part: &str) -> String {
    match part {
        "DIRECTORY" | "PATH" => path.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_owned()),
        "NAME" => paths::file_name(path).to_owned(),
        "NAME_WE" => paths::file_name(path).split('.').next().unwrap_or_default().to_owned(),
        "ABSOLUTE" | "REALPATH" => path.to_owned(),
        _ => UNKNOWN.to_string(),
    }
}

/// The parts of a list.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(';').filter(|part| !part.is_empty())
}

fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
