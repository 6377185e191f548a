//! Holds claims against the graph they are about, knowing nothing of how they were written.
//!
//! Size: one check for each kind of claim; they share the questions asked of the graph.

use std::collections::BTreeSet;

use recon_schema::graph::{FileNode, RepoGraph, SkipReason, Symbol, UnresolvedClass};

use crate::claims::{Central, Claim, Definition, Definitions, Item, List, Note, Part, Planned, Purpose};

type Checked = Result<(), String>;

/// A graph, questioned in the plainest way.
pub(crate) struct Facts<'g>(pub(crate) &'g RepoGraph);

macro_rules! hold {
    ($what:expr, $($reason:tt)+) => { if !$what { return Err(format!($($reason)+)); } };
}

impl<'g> Facts<'g> {
    pub(crate) fn imports(&self, path: &str) -> BTreeSet<&'g str> {
        let own = self.0.edges.iter().filter(|edge| edge.from == path && edge.to != path);
        own.map(|edge| edge.to.as_str()).collect()
    }

    pub(crate) fn importers(&self, path: &str) -> BTreeSet<&'g str> {
        let own = self.0.edges.iter().filter(|edge| edge.to == path && edge.from != path);
        own.map(|edge| edge.from.as_str()).collect()
    }

    fn names(&self, from: &str, to: &str) -> BTreeSet<&'g str> {
        let own = self.0.edges.iter().filter(|edge| edge.from == from && edge.to == to);
        own.flat_map(|edge| &edge.names).map(String::as_str).filter(|name| *name != "*").collect()
    }

    fn file(&self, path: &str) -> Result<&'g FileNode, String> {
        self.0.files.iter().find(|file| file.path == path).ok_or_else(|| format!("{path} does not exist"))
    }

    fn place(&self, path: &str) -> Option<usize> {
        self.0.order.iter().position(|developed| developed == path)
    }

    fn developed(&self) -> impl Iterator<Item = &'g FileNode> {
        self.0.order.iter().filter_map(|path| self.file(path).ok())
    }

    /// Whether source exists that nobody read.
    fn has_unread_source(&self) -> bool {
        use SkipReason::{Ambiguous, Link, NotUtf8, OverBudget, TooLarge, Unreadable};
        let unread = [OverBudget, TooLarge, Unreadable, NotUtf8, Ambiguous, Link];
        let known = |path: &str| recon_repository::language::of_path(path).is_some();
        self.0.files.iter().any(|file| file.skipped.is_some_and(|why| unread.contains(&why)) && known(&file.path))
            || self.0.diagnostics.iter().any(|it| matches!(it.rule.as_str(), "not_listed" | "parse_budget"))
    }

    /// Whether imports of `path` may not have been seen.
    fn is_unclear(&self, path: &str) -> bool {
        let rule = |rule: &str| matches!(rule, "syntax_error" | "parse_budget");
        self.0.diagnostics.iter().any(|it| it.path == path && rule(&it.rule)) || self.is_missing_something(path)
    }

    fn is_missing_something(&self, path: &str) -> bool {
        self.0.unresolved.iter().any(|name| name.from == path && name.class == UnresolvedClass::Missing)
    }

    /// A claim of the thought about `about`, which is empty for the whole project.
    pub(crate) fn check(&self, about: &str, claim: &Claim) -> Checked {
        match claim {
            Claim::Next(purpose) => {
                hold!(purpose.path == about, "{} is not next", purpose.path);
                self.purpose(purpose)
            }
            Claim::Lines(lines) => {
                let found = self.file(about)?.lines;
                hold!(found == *lines as u64, "{about} has {found} lines, not {lines}");
                Ok(())
            }
            Claim::BuildsOn(list) => self.neighbours(list, &self.imports(about), |to| self.names(about, to)),
            Claim::BuildsOnNothing => {
                hold!(self.imports(about).is_empty(), "{about} builds on {:?}", self.imports(about));
                hold!(!self.has_unread_source() && !self.is_unclear(about), "what {about} builds on is not known");
                Ok(())
            }
            Claim::NeedsFromOutside(list) => self.outside(list, |from| from == about, &[UnresolvedClass::Missing]),
            Claim::UsesFromOutside(list) => {
                let not = [UnresolvedClass::Missing, UnresolvedClass::StandardLibrary];
                self.outside(list, |from| self.place(from).is_some(), &not)
            }
            Claim::FindsThere(path, signatures) => {
                hold!(self.imports(about).contains(path.as_str()), "{about} does not build on {path}");
                hold!(self.place(path).is_some(), "{path} is not developed, and quoted");
                let file = self.file(path)?;
                let signed = top_level(file).filter(|symbol| !symbol.signature.is_empty()).count();
                hold!(signatures.len() <= signed, "{path} has {signed} signatures, not {}", signatures.len());
                signatures.names().try_for_each(|signature| has_signature(file, signature))
            }
            Claim::OthersDepend(list) => {
                self.neighbours(list, &self.importers_by(about, false), |from| self.names(from, about))
            }
            Claim::TestsImport(list) => {
                self.neighbours(list, &self.importers_by(about, true), |from| self.names(from, about))
            }
            Claim::Defines(list) => self.defines(self.file(about)?, list),
            // Held together against the file by `holds`.
            Claim::Holds(..) | Claim::AlsoHolds(..) => Ok(()),
            Claim::MayGiveNothing(list) => {
                self.outcomes(about, list, &["Option<", "Optional[", "None", "undefined", "null", "?"])
            }
            Claim::MayFail(list) => self.outcomes(about, list, &["Result", "error", "throws"]),
            Claim::Reads(path, list, one) => self.reads(about, path, list, *one),
            Claim::Parts(parts) => self.parts(parts),
            Claim::NeededMost(files) => self.needed_most(files),
            Claim::NotImported(list) => self.not_imported(list),
            Claim::Order(excepted) => self.order(*excepted),
            Claim::Plan(lines) => {
                hold!(lines.len() == self.0.order.len(), "{} of {} files planned", lines.len(), self.0.order.len());
                lines.iter().try_for_each(|line| self.planned(line))
            }
            Claim::Rings(rings) => rings.iter().try_for_each(|ring| self.ring(ring)),
            Claim::Beside(files) => {
                let beside = self.0.files.iter().filter(|file| self.place(&file.path).is_none()).count();
                hold!(beside == *files, "{beside} files are not developed, not {files}");
                Ok(())
            }
            Claim::Scale(name, languages, other, lines) => self.scale(name, languages, *other, *lines),
            Claim::LeastProject(name) => {
                hold!(*name == self.0.repository.name, "the project is not {name}");
                Ok(())
            }
            Claim::LeastOrder => self.order(true).or_else(|_| self.order(false)),
            Claim::LeastFile => Ok(()),
        }
    }

    fn importers_by(&self, path: &str, tests: bool) -> BTreeSet<&'g str> {
        self.importers(path).into_iter().filter(|from| is_test(from) == tests).collect()
    }

    /// A list names some of `expected` and counts the rest; a file that is not developed is said
    /// to be so and nothing more is told of it.
    fn neighbours<'n>(
        &self,
        list: &List,
        expected: &BTreeSet<&str>,
        taken: impl Fn(&str) -> BTreeSet<&'n str>,
    ) -> Checked {
        hold!(list.len() == expected.len(), "{} files, not {}: {expected:?}", expected.len(), list.len());
        for Item { name, note } in &list.items {
            hold!(expected.contains(name.as_str()), "{name} is none of {expected:?}");
            let is_developed = self.place(name).is_some();
            match note {
                Note::None => hold!(is_developed, "{name} is not developed, which is not said"),
                Note::Standing(_) if is_developed => return Err(format!("{name} is developed")),
                Note::Standing(word) => {
                    let is_empty = self.file(name)?.skipped == Some(SkipReason::Empty);
                    hold!((word == "empty") == is_empty, "{name} is said to be {word}");
                }
                Note::Names(names) => {
                    hold!(is_developed, "{name} is not developed, and quoted");
                    let taken = taken(name);
                    hold!(names.len() == taken.len(), "{} names of {name}, not {}", taken.len(), names.len());
                    let other = names.names().find(|name| !taken.contains(name));
                    hold!(other.is_none(), "{other:?} is not taken from or by {name}");
                }
            }
        }
        Ok(())
    }

    fn outside(&self, list: &List, from: impl Fn(&str) -> bool, not: &[UnresolvedClass]) -> Checked {
        hold!(!self.has_unread_source(), "what is outside is not known");
        let own = self.0.unresolved.iter().filter(|name| from(&name.from) && !not.contains(&name.class));
        let own: BTreeSet<&str> = own.map(|name| name.name.as_str()).collect();
        hold!(list.len() <= own.len(), "{} packages of {} names", list.len(), own.len());
        let unknown = list.names().find(|package| !own.iter().any(|name| name.starts_with(package)));
        hold!(unknown.is_none(), "nothing names {unknown:?}");
        Ok(())
    }

    fn defines(&self, file: &FileNode, list: &List) -> Checked {
        let names: BTreeSet<&str> = top_level(file).map(|symbol| symbol.name.as_str()).collect();
        hold!(list.len() == names.len(), "{} defines {} names, not {}", file.path, names.len(), list.len());
        let other = list.names().find(|name| !names.contains(name));
        hold!(other.is_none(), "{} does not define {other:?}", file.path);
        Ok(())
    }

    fn reads(&self, about: &str, path: &str, list: &List, one: bool) -> Checked {
        hold!(path == about, "{path} is not next");
        hold!(one == (list.len() == 1) && list.more == 0, "the number of files read is wrong");
        for read in list.names() {
            hold!(self.imports(path).contains(read), "{path} does not build on {read}");
            hold!(self.place(read).is_some() && self.place(read) < self.place(path), "{read} does not exist yet");
        }
        Ok(())
    }

    fn scale(&self, name: &str, languages: &[(usize, String)], other: usize, lines: usize) -> Checked {
        hold!(name == self.0.repository.name, "the project is not {name}");
        let of = |language: Option<&str>| self.developed().filter(|file| file.language.as_deref() == language).count();
        for (files, language) in languages {
            hold!(of(Some(language)) == *files, "{} files of {language}, not {files}", of(Some(language)));
        }
        hold!(of(None) == other, "{} other files, not {other}", of(None));
        let all: usize = languages.iter().map(|(files, _)| files).sum::<usize>() + other;
        hold!(all == self.0.order.len(), "{all} of {} files are counted", self.0.order.len());
        let found: u64 = self.developed().map(|file| file.lines).sum();
        hold!(found == lines as u64, "{found} lines, not {lines}");
        Ok(())
    }

    fn parts(&self, parts: &[Part]) -> Checked {
        let source = || self.developed().filter(|file| file.language.is_some());
        let all: usize = parts.iter().map(|part| part.files).sum();
        hold!(all == source().count(), "{all} of {} source files are in a part", source().count());
        for Part { directory, files, doc, stems, names } in parts {
            let own: Vec<&FileNode> = source().filter(|file| parent(&file.path) == directory).collect();
            hold!(own.len() == *files, "{} files in {directory}, not {files}", own.len());
            if let Some(doc) = doc {
                hold!(own.iter().any(|file| is_said_by(doc, &file.doc)), "nobody in {directory} says {doc}");
            }
            let said = stems.iter().flat_map(|stems| stems.split(", ")).flat_map(|stems| stems.split(" and "));
            for said in said.filter(|said| !said.ends_with(" more")) {
                let within = |file: &&FileNode| letters(&file.path).contains(&letters(said));
                hold!(own.iter().any(within), "no file in {directory} is for {said}");
            }
            let defined: Vec<&str> = own
                .iter()
                .flat_map(|file| top_level(file))
                .filter(|symbol| symbol.kind != "module")
                .map(|symbol| symbol.name.as_str())
                .collect();
            let Some(names) = names else { continue };
            hold!(names.len() == defined.len(), "{} names in {directory}, not {}", defined.len(), names.len());
            let other = names.names().find(|name| !defined.contains(name));
            hold!(other.is_none(), "nothing in {directory} defines {other:?}");
        }
        Ok(())
    }

    fn needed_most(&self, files: &[Central]) -> Checked {
        let mut least = usize::MAX;
        for Central { purpose, needed_by, offers } in files {
            self.purpose(purpose)?;
            let path = &purpose.path;
            hold!(self.place(path).is_some(), "{path} is not developed");
            let importers = self.importers(path).len();
            hold!(importers == *needed_by, "{path} is needed by {importers} files, not {needed_by}");
            hold!(importers > 1 && importers <= least, "{path} is needed by {importers} files, and stands here");
            least = importers;
            self.signatures(path, offers.as_ref())?;
        }
        let named = |path: &str| files.iter().any(|file| file.purpose.path == path);
        let more = self.developed().find(|file| !named(&file.path) && self.importers(&file.path).len() > least);
        hold!(more.is_none(), "{:?} is needed more", more.map(|file| &file.path));
        Ok(())
    }

    fn not_imported(&self, list: &List) -> Checked {
        hold!(!self.has_unread_source(), "who imports what is not known");
        let unclear = self.0.files.iter().find(|file| self.is_unclear(&file.path));
        hold!(unclear.is_none(), "what {unclear:?} imports is not known");
        let alone = self.developed().filter(|file| file.language.is_some() && !is_test(&file.path));
        let alone: Vec<&str> =
            alone.map(|file| file.path.as_str()).filter(|path| self.importers(path).is_empty()).collect();
        hold!(list.len() == alone.len(), "{} files without importers, not {}", alone.len(), list.len());
        let other = list.names().find(|name| !alone.contains(name));
        hold!(other.is_none(), "{other:?} is imported");
        Ok(())
    }

    /// Files in the plan that build on later ones of it: none, or only inside rings.
    fn order(&self, excepted: bool) -> Checked {
        let places = |from: &str, to: &str| Some((self.place(from)?, self.place(to)?));
        let ahead = |from: &str, to: &str| places(from, to).is_some_and(|(from, to)| to > from);
        let edges: Vec<_> = self.0.edges.iter().filter(|edge| ahead(&edge.from, &edge.to)).collect();
        hold!(edges.is_empty() != excepted, "{} files build on later ones", edges.len());
        let outside = edges.iter().find(|edge| !self.reaches(&edge.to, &edge.from));
        hold!(outside.is_none(), "{outside:?} is in no ring");
        Ok(())
    }

    /// Whether imports lead from one file to another.
    fn reaches(&self, from: &'g str, to: &str) -> bool {
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(path) = open.pop() {
            open.extend(self.imports(path).into_iter().filter(|next| seen.insert(next)));
        }
        seen.contains(to)
    }

    fn ring(&self, ring: &List) -> Checked {
        let mut places: Vec<usize> = ring.names().filter_map(|path| self.place(path)).collect();
        hold!(places.len() == ring.items.len(), "the ring {ring:?} is not all developed");
        places.sort_unstable();
        let span = places[places.len() - 1] - places[0] + 1;
        hold!(span >= places.len() && span <= ring.len(), "the ring {ring:?} is not written one after the other");
        for from in &ring.items {
            let from = &self.file(&from.name)?.path;
            let lost = ring.names().find(|to| !self.reaches(from, to));
            hold!(lost.is_none(), "{from} does not depend on {lost:?}");
        }
        Ok(())
    }

    fn planned(&self, Planned { number, purpose, defines, builds_on, signatures }: &Planned) -> Checked {
        let path = purpose.path.as_str();
        hold!(self.place(path) == Some(number - 1), "{path} is not number {number}");
        self.purpose(purpose)?;
        if let Some(names) = defines {
            self.defines(self.file(path)?, names)?;
        }
        if let Some(list) = builds_on {
            self.neighbours(list, &self.imports(path), |_| BTreeSet::new())?;
        }
        self.signatures(path, signatures.as_ref())
    }

    fn signatures(&self, path: &str, list: Option<&List>) -> Checked {
        let file = self.file(path)?;
        list.iter().flat_map(|list| list.names()).try_for_each(|signature| has_signature(file, signature))
    }

    /// A clause is the file's own documentation, or follows from its name, place and definitions.
    fn purpose(&self, Purpose { path, clause }: &Purpose) -> Checked {
        let file = self.file(path)?;
        if !file.doc.is_empty() {
            hold!(is_said_by(clause, &file.doc), "{path} says {}, not {clause}", file.doc);
            return Ok(());
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let owned = |start: &str| clause.strip_prefix(start).is_some_and(|owner| self.owns(path, owner));
        let stem = name.split('.').next().unwrap_or_default();
        let cargo = format!("{}/Cargo.toml", parent(path));
        let by_convention = [
            (owned("the face of the package "), name.starts_with("__init__.py")),
            (owned("where ") || clause.ends_with(" is started"), matches!(name, "__main__.py" | "main.rs")),
            (owned("the root of the library "), name == "lib.rs"),
            (owned("the root of the module "), name == "mod.rs"),
            (owned("the face of "), stem == "index"),
            (
                clause == "what is done before the crate is compiled",
                name == "build.rs" && self.file(cargo.trim_start_matches('/')).is_ok(),
            ),
            (clause == "how the package is built and installed", name == "setup.py"),
            (clause == "what the tests share", name == "conftest.py"),
            (clause.starts_with("tests: "), is_test(path)),
        ];
        if let Some((_, holds)) = by_convention.into_iter().find(|(said, _)| *said) {
            hold!(holds, "{path} is not {clause}");
            return Ok(());
        }
        if let Some(tested) = clause.strip_prefix("tests of ") {
            let imports = self.imports(path).into_iter().any(|to| format!("`{to}`") == tested);
            hold!(is_test(path) && imports, "{path} does not test {tested}");
            return Ok(());
        }
        if file.language.is_none() {
            return document(clause);
        }
        definitions_are(file, clause)
    }

    /// Whether `owner`, as code, is a directory above the file, or the repository.
    fn owns(&self, path: &str, owner: &str) -> bool {
        let name = owner.trim_matches('`');
        name == self.0.repository.name || parent(path).split('/').any(|directory| directory == name)
    }
}

/// `the functions of …`: what kinds of definition the file has.
fn definitions_are(file: &FileNode, clause: &str) -> Checked {
    let kinds: BTreeSet<&str> = top_level(file).map(|symbol| symbol.kind.as_str()).collect();
    let values = BTreeSet::from(["constant", "variable", "field", "property"]);
    let word = clause.strip_prefix("the ").and_then(|rest| rest.split(" of `").next()).unwrap_or_default();
    let holds = match word {
        "part" => kinds.is_empty(),
        "functions" => kinds == BTreeSet::from(["function"]),
        "values" => !kinds.is_empty() && kinds.is_subset(&values),
        "types" => {
            let no_types = ["function", "method", "macro", "module", "namespace"];
            !kinds.is_empty() && kinds.is_disjoint(&values) && kinds.is_disjoint(&BTreeSet::from(no_types))
        }
        "code" => !kinds.is_empty(),
        _ => return Err(format!("unknown purpose of {}: {clause}", file.path)),
    };
    hold!(holds, "{} holds {kinds:?}, it is said to be {clause}", file.path);
    Ok(())
}

/// What is said of files in no known language, by convention of their names.
fn document(clause: &str) -> Checked {
    let starts = ["what ", "the ", "how ", "a document of `", "settings or data of `", "a script of `"];
    let more = ["a part of the page of `", "data of `", "a text file of `"];
    let known = starts.iter().chain(&more).any(|start| clause.starts_with(start));
    hold!(known, "unknown purpose of a document: {clause}");
    Ok(())
}

fn is_defined(symbol: &Symbol, told: &Definition) -> Checked {
    hold!(told.kind.is_empty() || told.kind == symbol.kind, "{} is a {}: {told:?}", symbol.name, symbol.kind);
    hold!(told.code == symbol.name || told.code == symbol.signature, "it is {symbol:?}: {told:?}");
    let lines = (symbol.end_line - symbol.start_line + 1) as usize;
    hold!(told.lines.is_none_or(|told| told == lines), "{} has {lines} lines: {told:?}", symbol.name);
    hold!(told.doc.as_ref().is_none_or(|told| is_said_by(told, &symbol.doc)), "it says {}: {told:?}", symbol.doc);
    Ok(())
}

/// What stands directly in a definition, or at the top level, in the order of the file.
fn directly_in(file: &FileNode, parent: Option<usize>) -> Vec<usize> {
    let is_in = |at: &usize| file.symbols[*at].parent.map(|it| it as usize) == parent;
    (0..file.symbols.len()).filter(is_in).collect()
}

fn anywhere_in(file: &FileNode, parent: usize) -> usize {
    directly_in(file, Some(parent)).into_iter().map(|at| 1 + anywhere_in(file, at)).sum()
}

/// Definitions told are the next of `expected`, in order; gives those of which it is told that they hold something.
fn follow<'d>(
    file: &FileNode,
    expected: &mut impl Iterator<Item = usize>,
    told: &'d [Definition],
) -> Result<Vec<(usize, &'d Definitions)>, String> {
    let mut holding = Vec::new();
    for definition in told {
        for _ in 0..definition.times {
            let at = expected.next().ok_or_else(|| format!("{} holds nothing more: {definition:?}", file.path))?;
            is_defined(&file.symbols[at], definition)?;
            if !definition.inner.told.is_empty() {
                holding.push((at, &definition.inner));
            }
        }
    }
    Ok(holding)
}

impl Facts<'_> {
    /// The sentences about what a file holds tell all of it, in its order.
    pub(crate) fn holds(&self, about: &str, claims: &[Claim]) -> Checked {
        if !claims.iter().any(|claim| matches!(claim, Claim::Holds(..))) {
            return Ok(());
        }
        let file = self.file(about)?;
        let mut top = directly_in(file, None).into_iter();
        let mut inside: Option<(usize, Vec<usize>)> = None;
        let mut begun = false;
        for claim in claims {
            let (parent, definitions) = match claim {
                Claim::Holds(first, definitions) => {
                    hold!(*first != begun, "{about} begins elsewhere");
                    begun = true;
                    all_told(file, inside.take())?;
                    let mut holding = follow(file, &mut top, &definitions.told)?;
                    hold!(holding.len() < 2 && definitions.more == 0, "one sentence for each: {definitions:?}");
                    let Some((at, definitions)) = holding.pop() else { continue };
                    inside = Some((at, directly_in(file, Some(at))));
                    (at, definitions)
                }
                Claim::AlsoHolds(code, definitions) => {
                    let (at, _) = inside.as_ref().ok_or("nobody holds it")?;
                    let symbol = &file.symbols[*at];
                    hold!(*code == symbol.name || *code == symbol.signature, "{code} is not {}", symbol.name);
                    (*at, definitions)
                }
                _ => continue,
            };
            let (_, left) = inside.as_mut().expect("something is held");
            let mut next = std::mem::take(left).into_iter();
            let holding = follow(file, &mut next, &definitions.told)?;
            *left = next.collect();
            hold!(definitions.more == 0, "all of what {} holds is told", file.symbols[parent].name);
            for (at, inner) in holding {
                let mut deeper = directly_in(file, Some(at)).into_iter();
                follow(file, &mut deeper, &inner.told)?;
                let told: usize = inner.told.iter().map(|it| it.times).sum();
                hold!(told + inner.more == anywhere_in(file, at), "{inner:?} of {}", anywhere_in(file, at));
            }
        }
        all_told(file, inside)?;
        hold!(top.next().is_none(), "{about} holds more than is told");
        Ok(())
    }

    /// Functions of the file whose signatures speak of such an outcome: all of them.
    fn outcomes(&self, about: &str, list: &List, words: &[&str]) -> Checked {
        let file = self.file(about)?;
        for name in list.names() {
            let speaks = |symbol: &&Symbol| words.iter().any(|word| symbol.signature.contains(word));
            let found = file.symbols.iter().filter(|symbol| symbol.name == name).find(speaks);
            hold!(found.is_some(), "no signature of {name} speaks of {words:?}");
        }
        Ok(())
    }
}

fn all_told(file: &FileNode, inside: Option<(usize, Vec<usize>)>) -> Checked {
    let Some((at, left)) = inside else { return Ok(()) };
    hold!(left.is_empty(), "{} holds {} more than is told", file.symbols[at].name, left.len());
    Ok(())
}

fn has_signature(file: &FileNode, signature: &str) -> Checked {
    let has = file.symbols.iter().any(|symbol| symbol.signature == signature);
    hold!(has, "{} does not define {signature}", file.path);
    Ok(())
}

/// A documentation sentence, cut or whole.
fn is_said_by(told: &str, doc: &str) -> bool {
    match told.strip_suffix('…') {
        Some(start) => !start.is_empty() && doc.starts_with(start),
        None => !told.is_empty() && doc.trim_end_matches('.') == told,
    }
}

fn top_level(file: &FileNode) -> impl Iterator<Item = &Symbol> {
    file.symbols.iter().filter(|symbol| symbol.parent.is_none() && symbol.kind != "impl")
}

pub(crate) fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let named = stem.starts_with("test_") || ["_test", ".test", ".spec"].iter().any(|end| stem.ends_with(end));
    named || parent(path).split('/').any(|directory| matches!(directory, "tests" | "test" | "__tests__"))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
