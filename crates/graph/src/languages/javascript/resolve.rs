//! Which file an ECMAScript specifier names: the rules of Node.js, bundlers and `tsconfig.json`,
//! by `oxc_resolver` over the repository in memory.
//!
//! Packages of the workspace are found by their names. Where their manifests point at build
//! output that a checkout lacks, and where `@/` or `~/` is an alias that only a bundler's
//! program defines, the sources by convention are taken and the edge is marked
//! [`Confidence::Likely`].

use std::collections::BTreeMap;

use oxc_resolver::{ResolveError, ResolveOptions, ResolverGeneric, TsconfigDiscovery};
use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::Resolution;
use super::Import;
use super::files::{self, Files};
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
    /// Directories of the workspace's packages by name.
    packages: BTreeMap<String, String>,
    import: ResolverGeneric<Files>,
    require: ResolverGeneric<Files>,
    /// As `import`, for files whose configuration cannot be read.
    bare: ResolverGeneric<Files>,
}

impl<'r> Modules<'r> {
    pub(super) fn new(repository: &'r Repository, prefer: Prefer) -> Self {
        let packages = packages(repository);
        let import = ResolverGeneric::new_with_file_system(
            Files::of(repository, &packages),
            options(prefer, "import", Some(TsconfigDiscovery::Auto)),
        );
        let require = import.clone_with_options(options(prefer, "require", Some(TsconfigDiscovery::Auto)));
        let bare = import.clone_with_options(options(prefer, "import", None));
        Self { repository, packages, import, require, bare }
    }

    /// The file `specifier` names, exactly or by convention.
    fn find(&self, from: &str, specifier: &str, require: bool) -> Result<(String, Confidence), UnresolvedClass> {
        if specifier.len() > MAX_SPECIFIER_BYTES || specifier.contains('\0') {
            return Err(class(specifier));
        }
        let resolver = if require { &self.require } else { &self.import };
        match self.file(resolver, from, specifier) {
            Ok(file) => return Ok((file, Confidence::Exact)),
            Err(ResolveError::Builtin { .. }) => return Err(UnresolvedClass::StandardLibrary),
            Err(ResolveError::NotFound(_)) => {}
            // A configuration that cannot be read must not hide the files themselves.
            Err(_) => {
                if let Ok(file) = self.file(&self.bare, from, specifier) {
                    return Ok((file, Confidence::Exact));
                }
            }
        }
        self.by_convention(from, specifier).map(|file| (file, Confidence::Likely)).ok_or_else(|| class(specifier))
    }

    fn file(&self, resolver: &ResolverGeneric<Files>, from: &str, specifier: &str) -> Result<String, ResolveError> {
        let found = resolver.resolve_file(files::absolute(from), specifier)?;
        let path = files::relative(found.path()).filter(|path| self.repository.contains(path));
        path.map(str::to_owned).ok_or_else(|| ResolveError::NotFound(specifier.to_owned()))
    }

    fn by_convention(&self, from: &str, specifier: &str) -> Option<String> {
        let relative = |directory: &str, rest: &str| {
            let marker = paths::join(directory, "package.json")?;
            let rest = if rest.is_empty() { "index" } else { rest };
            // Build output stands where the manifest says, the source of it below `src`.
            let source = ["dist/", "lib/", "build/", "out/"].iter().find_map(|output| rest.strip_prefix(output));
            let candidates =
                [format!("./src/{}", source.unwrap_or(rest)), format!("./{rest}"), format!("./lib/{rest}")];
            candidates.iter().find_map(|candidate| self.file(&self.bare, &marker, candidate).ok())
        };
        if let Some(rest) = specifier.strip_prefix("@/").or_else(|| specifier.strip_prefix("~/")) {
            let holds = |directory: &&str| {
                let manifest = paths::join(directory, "package.json");
                directory.is_empty() || manifest.is_some_and(|manifest| self.repository.contains(&manifest))
            };
            return paths::ancestors(from).find(holds).and_then(|directory| relative(directory, rest));
        }
        let owner = paths::ancestors(specifier).chain([specifier]).find(|name| self.packages.contains_key(*name))?;
        relative(&self.packages[owner], specifier[owner.len()..].trim_start_matches('/'))
    }
}

impl Modules<'_> {
    /// What one import names.
    pub(super) fn import(&self, from: &str, import: &Import) -> Resolution {
        let Import { text, require, reexport, names, .. } = import;
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

/// The named packages of the repository with their directories, the root's own included.
fn packages(repository: &Repository) -> BTreeMap<String, String> {
    let manifests = repository.files.iter().filter(|(path, _)| paths::file_name(path) == "package.json");
    let named = manifests.filter_map(|(path, text)| {
        let manifest: serde_json::Value = serde_json::from_str(text).ok()?;
        let name = manifest.get("name")?.as_str()?;
        let plain = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        plain.then(|| (name.to_owned(), paths::parent(path).to_owned()))
    });
    // The shortest path keeps a name that fixtures deeper down repeat.
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    for (name, directory) in named {
        let entry = packages.entry(name).or_insert_with(|| directory.clone());
        if directory.len() < entry.len() {
            *entry = directory;
        }
    }
    packages
}

fn options(prefer: Prefer, condition: &str, tsconfig: Option<TsconfigDiscovery>) -> ResolveOptions {
    let (typescript, javascript) = ([".ts", ".tsx", ".mts", ".cts", ".d.ts"], [".js", ".jsx", ".mjs", ".cjs"]);
    let ordered: Vec<&str> = match prefer {
        Prefer::TypeScript => typescript.into_iter().chain(javascript).collect(),
        Prefer::JavaScript => javascript.into_iter().chain(typescript).collect(),
    };
    // TypeScript writes the extension that its output will have.
    let alias = |written: &str, sources: &[&str]| {
        let mut names: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        let place = if prefer == Prefer::TypeScript { names.len() } else { 0 };
        names.insert(place, written.to_owned());
        (written.to_owned(), names)
    };
    ResolveOptions {
        tsconfig,
        condition_names: ["source", "node", condition].map(str::to_owned).into(),
        extensions: ordered.into_iter().chain([".json", ".vue", ".svelte"]).map(str::to_owned).collect(),
        extension_alias: vec![
            alias(".js", &[".ts", ".tsx", ".d.ts"]),
            alias(".jsx", &[".tsx"]),
            alias(".mjs", &[".mts"]),
            alias(".cjs", &[".cts"]),
        ],
        main_fields: ["source", "module", "main"].map(str::to_owned).into(),
        builtin_modules: true,
        // A variable of this machine must not change the graph.
        node_path: false,
        ..ResolveOptions::default()
    }
}
