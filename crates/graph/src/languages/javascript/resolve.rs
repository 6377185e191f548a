//! Which file an ECMAScript specifier names: the rules of Node.js, bundlers and `tsconfig.json`,
//! by `oxc_resolver` over the repository in memory.
//!
//! Packages of the workspace are found by their names. Where their manifests point at build
//! output that a checkout lacks, and where `@/` or `~/` is an alias that only a bundler's
//! program defines, the sources by convention are taken and the edge is marked
//! [`Confidence::Likely`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxc_resolver::{ResolveError, ResolveOptions, ResolverGeneric, TsconfigDiscovery};
use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::Resolution;
use super::files::{self, Files};
use super::{Import, configs, packages};
use crate::paths;
use crate::repository::Repository;

/// Longer specifiers are not looked up: the resolver follows a path by recursion.
const MAX_SPECIFIER_BYTES: usize = 1_024;

/// Which of `x.ts` and `x.js` an import of `./x` means first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// The TypeScript source, as a TypeScript file does.
    TypeScript,
    /// The JavaScript file, as a JavaScript file does.
    JavaScript,
}

/// The modules of a repository, as one of the two languages sees them.
pub(super) struct Modules<'r> {
    repository: &'r Repository,
    prefer: Prefer,
    /// Directories of the workspace's packages by name.
    packages: BTreeMap<String, String>,
    usual: Resolvers,
    /// Of configurations that set `moduleSuffixes`, by their places.
    suffixed: BTreeMap<PathBuf, Resolvers>,
}

/// The rules for the ways to import, over the same files.
struct Resolvers {
    import: ResolverGeneric<Files>,
    require: ResolverGeneric<Files>,
    /// What TypeScript itself reads of a package.
    types: ResolverGeneric<Files>,
    /// As `import`, for files whose configuration cannot be read.
    bare: ResolverGeneric<Files>,
}

impl Resolvers {
    fn over(files: &ResolverGeneric<Files>, prefer: Prefer, suffixes: &[String]) -> Self {
        let with = |condition, tsconfig| files.clone_with_options(options(prefer, condition, suffixes, tsconfig));
        Self {
            import: with("import", Some(TsconfigDiscovery::Auto)),
            require: with("require", Some(TsconfigDiscovery::Auto)),
            types: with("types", Some(TsconfigDiscovery::Auto)),
            bare: with("import", None),
        }
    }
}

/// What came of asking one resolver.
enum Asked {
    Found(String),
    /// It is Node's own.
    BuiltIn,
    /// The package is here and says what may be imported, which this may not.
    NotExported,
    Nothing,
    /// A configuration could not be read.
    Broken,
}

impl<'r> Modules<'r> {
    pub(super) fn new(repository: &'r Repository, prefer: Prefer) -> Self {
        let packages = packages::named(repository);
        let files = Files::of(repository, &packages);
        let files = ResolverGeneric::new_with_file_system(files, ResolveOptions::default());
        let with = |suffixes: Vec<String>| Resolvers::over(&files, prefer, &suffixes);
        let suffixed = configs::suffixes(repository).into_iter().map(|(path, suffixes)| (path, with(suffixes)));
        Self { repository, prefer, packages, usual: with(Vec::new()), suffixed: suffixed.collect() }
    }

    /// The resolvers that the configuration of a file asks for.
    fn resolvers(&self, from: &str) -> &Resolvers {
        if self.suffixed.is_empty() {
            return &self.usual;
        }
        let owner = self.usual.import.find_tsconfig(files::absolute(from)).ok().flatten();
        let path = owner.map(|config| config.path.clone()).or_else(|| configs::nearest(self.repository, from));
        path.and_then(|path| self.suffixed.get(&path)).unwrap_or(&self.usual)
    }

    /// The file `specifier` names, exactly or by convention.
    fn find(&self, from: &str, specifier: &str, require: bool) -> Result<(String, Confidence), UnresolvedClass> {
        if specifier.len() > MAX_SPECIFIER_BYTES || specifier.contains('\0') {
            return Err(class(specifier));
        }
        let resolvers = self.resolvers(from);
        let exact = |file| Ok((file, Confidence::Exact));
        // Where a module format leaves no choice; else a compiler may make the one of the other.
        let require = require || paths::extension(from) == "cts";
        let strict = require || paths::extension(from) == "mjs";
        match self.ask(if require { &resolvers.require } else { &resolvers.import }, from, specifier) {
            Asked::Found(file) => return exact(file),
            Asked::BuiltIn => return Err(UnresolvedClass::StandardLibrary),
            Asked::NotExported if strict && self.prefer == Prefer::JavaScript => return Err(class(specifier)),
            Asked::NotExported => match self.ask(&resolvers.require, from, specifier) {
                Asked::Found(file) => return Ok((file, Confidence::Likely)),
                Asked::NotExported if self.prefer == Prefer::JavaScript => return Err(class(specifier)),
                _ => {}
            },
            Asked::Nothing => {}
            // A configuration that cannot be read must not hide the files themselves.
            Asked::Broken => {
                if let Asked::Found(file) = self.ask(&resolvers.bare, from, specifier) {
                    return exact(file);
                }
            }
        }
        if self.prefer == Prefer::TypeScript {
            let typed = || self.by_types_versions(resolvers, specifier);
            match self.ask(&resolvers.types, from, specifier) {
                Asked::Found(file) => return exact(file),
                Asked::NotExported => return Err(class(specifier)),
                _ => {
                    if let Some(file) = typed() {
                        return exact(file);
                    }
                }
            }
        }
        self.by_alias(resolvers, from, specifier)
            .or_else(|| self.by_convention(resolvers, from, specifier).map(|file| (file, Confidence::Likely)))
            .ok_or_else(|| class(specifier))
    }

    fn ask(&self, resolver: &ResolverGeneric<Files>, from: &str, specifier: &str) -> Asked {
        match resolver.resolve_file(files::absolute(from), specifier) {
            Ok(found) => match files::relative(found.path()).filter(|path| self.repository.contains(path)) {
                Some(path) => Asked::Found(path.to_owned()),
                None => Asked::Nothing,
            },
            Err(ResolveError::Builtin { .. }) => Asked::BuiltIn,
            Err(ResolveError::PackagePathNotExported { .. }) => Asked::NotExported,
            Err(ResolveError::NotFound(_)) => Asked::Nothing,
            Err(_) => Asked::Broken,
        }
    }

    fn file(&self, resolver: &ResolverGeneric<Files>, from: &str, specifier: &str) -> Option<String> {
        match self.ask(resolver, from, specifier) {
            Asked::Found(file) => Some(file),
            _ => None,
        }
    }

    /// What `paths` of a configuration names that the resolver leaves aside ([`configs`]).
    fn by_alias(&self, resolvers: &Resolvers, from: &str, specifier: &str) -> Option<(String, Confidence)> {
        if configs::is_relative(specifier) || specifier.starts_with('/') {
            return None;
        }
        let (config, confidence) = match resolvers.import.find_tsconfig(files::absolute(from)).ok()? {
            Some(config) => (config, Confidence::Exact),
            None => {
                let nearest = configs::nearest(self.repository, from)?;
                (resolvers.import.resolve_tsconfig(nearest).ok()?, Confidence::Likely)
            }
        };
        // One that only refers to others speaks through them.
        let all = [&config].into_iter().chain(&config.references_resolved);
        all.flat_map(|config| configs::mapped(config, specifier)).find_map(|place| {
            let file = self.file(&resolvers.bare, from, place.to_str()?)?;
            Some((file, confidence))
        })
    }

    fn by_types_versions(&self, resolvers: &Resolvers, specifier: &str) -> Option<String> {
        let (directory, rest) = packages::owner(&self.packages, specifier)?;
        let manifest = paths::join(directory, "package.json")?;
        let targets = packages::typed(self.repository.files.get(&manifest)?, rest);
        targets.iter().find_map(|target| self.file(&resolvers.bare, &manifest, &format!("./{target}")))
    }

    fn by_convention(&self, resolvers: &Resolvers, from: &str, specifier: &str) -> Option<String> {
        let relative = |directory: &str, rest: &str| {
            let marker = paths::join(directory, "package.json")?;
            let rest = if rest.is_empty() { "index" } else { rest };
            // Build output stands where the manifest says, the source of it below `src`.
            let source = ["dist/", "lib/", "build/", "out/"].iter().find_map(|output| rest.strip_prefix(output));
            let candidates =
                [format!("./src/{}", source.unwrap_or(rest)), format!("./{rest}"), format!("./lib/{rest}")];
            candidates.iter().find_map(|candidate| self.file(&resolvers.bare, &marker, candidate))
        };
        if let Some(rest) = specifier.strip_prefix("@/").or_else(|| specifier.strip_prefix("~/")) {
            let holds = |directory: &&str| {
                let manifest = paths::join(directory, "package.json");
                directory.is_empty() || manifest.is_some_and(|manifest| self.repository.contains(&manifest))
            };
            return paths::ancestors(from).find(holds).and_then(|directory| relative(directory, rest));
        }
        let (directory, rest) = packages::owner(&self.packages, specifier)?;
        relative(directory, rest)
    }
}

impl Modules<'_> {
    /// What one import names.
    pub(super) fn import(&self, from: &str, import: &Import) -> Resolution {
        let Import { text, computed, require, reexport, names, .. } = import;
        if *computed {
            return Resolution::computed(text);
        }
        let kind = if *reexport { "reexport" } else { "import" };
        match self.find(from, text, *require) {
            Ok((to, confidence)) => Resolution::File { to, kind, confidence, names: names.clone() },
            Err(class) => Resolution::Unresolved { name: text.clone(), class },
        }
    }
}

/// What a specifier that names no file most likely is.
fn class(specifier: &str) -> UnresolvedClass {
    let own = ["./", "../", "/", "#", "@/", "~/"].iter().any(|start| specifier.starts_with(start));
    if own || matches!(specifier, "" | "." | "..") { UnresolvedClass::Missing } else { UnresolvedClass::External }
}

/// The rules of one way to import. Extensions are tried with each of `suffixes` before them.
fn options(
    prefer: Prefer,
    condition: &str,
    suffixes: &[String],
    tsconfig: Option<TsconfigDiscovery>,
) -> ResolveOptions {
    let with_suffixes = |extension: &str| -> Vec<String> {
        if suffixes.is_empty() {
            return vec![extension.to_owned()];
        }
        suffixes.iter().map(|suffix| format!("{suffix}{extension}")).collect()
    };
    let (typescript, javascript) = ([".ts", ".tsx", ".mts", ".cts", ".d.ts"], [".js", ".jsx", ".mjs", ".cjs"]);
    let ordered: Vec<&str> = match prefer {
        Prefer::TypeScript => typescript.into_iter().chain(javascript).collect(),
        Prefer::JavaScript => javascript.into_iter().chain(typescript).collect(),
    };
    // TypeScript writes the extension that its output will have.
    let alias = |written: &str, sources: &[&str]| {
        let mut names: Vec<&str> = sources.to_vec();
        let place = if prefer == Prefer::TypeScript { names.len() } else { 0 };
        names.insert(place, written);
        (written.to_owned(), names.into_iter().flat_map(with_suffixes).collect())
    };
    let main_fields: &[&str] = match condition {
        // Node knows no other; bundlers do.
        "require" => &["main", "source", "module"],
        "types" => &["types", "typings", "main"],
        _ => &["source", "module", "main"],
    };
    let others = [".json", ".vue", ".svelte"].into_iter();
    ResolveOptions {
        tsconfig,
        condition_names: ["source", "node", condition].map(str::to_owned).into(),
        extensions: ordered.into_iter().chain(others).flat_map(with_suffixes).collect(),
        extension_alias: vec![
            alias(".js", &[".ts", ".tsx", ".d.ts"]),
            alias(".jsx", &[".tsx"]),
            alias(".mjs", &[".mts"]),
            alias(".cjs", &[".cts"]),
        ],
        main_fields: main_fields.iter().map(|field| (*field).to_owned()).collect(),
        builtin_modules: true,
        // A variable of this machine must not change the graph.
        node_path: false,
        ..ResolveOptions::default()
    }
}
