//! TypeScript and JavaScript: paths, index files, re-exports, a workspace, both module systems.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn a_typescript_project() {
    let graph = expect::graph(&[
        (
            "tsconfig.json",
            "{\n  // paths\n  \"extends\": \"@tsconfig/node20/tsconfig.json\",\n  \"compilerOptions\": { \"baseUrl\": \".\", \"paths\": { \"@lib/*\": [\"src/lib/*\"], \"conf\": [\"src/config.ts\"], }, },\n}\n",
        ),
        (
            "src/main.ts",
            "import { shape } from './lib';\nimport { deep } from '@lib/deep/inner';\nimport conf from 'conf';\nimport * as fs from 'node:fs';\nimport path from 'path';\nimport React from 'react';\nimport { gone } from './gone';\nimport data from './data.json';\n",
        ),
        ("src/config.ts", "export default 1;\n"),
        ("src/data.json", "{}\n"),
        ("src/lib/index.ts", "export { shape } from './shape.js';\nexport * from './deep/inner';\n"),
        ("src/lib/shape.ts", "import type { T } from './types';\nexport const shape = 1;\n"),
        ("src/lib/types.d.ts", "export type T = 1;\n"),
        ("src/lib/deep/inner.tsx", "export const deep = () => import('../../config');\nconst x = require('..');\n"),
        ("src/both.ts", "import './twin';\n"),
        ("src/both.js", "import './twin';\n"),
        ("src/twin.ts", "export {};\n"),
        ("src/twin.js", "export {};\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/main.ts", "src/lib/index.ts", "import", "a directory is its index"),
            ("src/main.ts", "src/lib/deep/inner.tsx", "import", "a pattern in tsconfig paths, comments and all"),
            ("src/main.ts", "src/config.ts", "import", "a plain name in tsconfig paths"),
            ("src/main.ts", "src/data.json", "import", "a module may be JSON"),
            ("src/lib/index.ts", "src/lib/shape.ts", "reexport", ".js is written, .ts is meant"),
            ("src/lib/index.ts", "src/lib/deep/inner.tsx", "reexport", "`export *` from a file without extension"),
            ("src/lib/shape.ts", "src/lib/types.d.ts", "import", "a declaration file is a module"),
            ("src/lib/deep/inner.tsx", "src/config.ts", "import", "a dynamic import with a literal"),
            ("src/lib/deep/inner.tsx", "src/lib/index.ts", "import", "`..` is a directory"),
            ("src/both.ts", "src/twin.ts", "import", "TypeScript prefers TypeScript"),
            ("src/both.js", "src/twin.js", "import", "JavaScript prefers JavaScript"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("src/main.ts", "node:fs", StandardLibrary),
            ("src/main.ts", "path", StandardLibrary),
            ("src/main.ts", "react", External),
            ("src/main.ts", "./gone", Missing),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact));
    let index = graph.edges.iter().find(|edge| edge.to == "src/lib/shape.ts").unwrap();
    assert_eq!(index.names, ["shape"]);
}

#[test]
fn a_workspace_of_packages() {
    let graph = expect::graph(&[
        ("package.json", "{ \"name\": \"root\", \"workspaces\": [\"packages/*\"] }"),
        (
            "packages/core/package.json",
            "{ \"name\": \"@team/core\", \"exports\": { \".\": { \"import\": \"./src/esm.mjs\", \"require\": \"./src/cjs.cjs\" }, \"./part/*\": \"./src/parts/*.js\" } }",
        ),
        ("packages/core/src/esm.mjs", "import '#inner';\n"),
        ("packages/core/src/cjs.cjs", "const x = require('./parts/one');\n"),
        ("packages/core/src/parts/one.js", "exports.one = function () {};\n"),
        (
            "packages/built/package.json",
            "{ \"name\": \"built\", \"main\": \"dist/index.js\", \"exports\": { \".\": \"./dist/index.js\", \"./sub\": \"./dist/sub.js\" } }",
        ),
        ("packages/built/src/index.ts", "export * from '@/sub';\n"),
        ("packages/built/src/sub.ts", "export {};\n"),
        (
            "packages/app/index.js",
            "import '@team/core';\nconst c = require('@team/core');\nimport '@team/core/part/one';\nimport 'built';\nimport 'built/sub';\nimport '@team/core/hidden';\n",
        ),
        ("packages/app/jsconfig.json", "{ \"compilerOptions\": { \"paths\": { \"~lib/*\": [\"./lib/*\"] } } }"),
        ("packages/app/lib/x.js", "import '~lib/y';\n"),
        ("packages/app/lib/y.js", "export {};\n"),
    ]);
    let app = "packages/app/index.js";
    expect::edges(
        &graph,
        &[
            ("packages/core/src/cjs.cjs", "packages/core/src/parts/one.js", "import", "`require` adds an extension"),
            (app, "packages/core/src/esm.mjs", "import", "exports: the `import` condition"),
            (app, "packages/core/src/cjs.cjs", "import", "exports: the `require` condition"),
            (app, "packages/core/src/parts/one.js", "import", "exports: a pattern"),
            (app, "packages/built/src/index.ts", "import", "build output that is not here stands for its source"),
            (app, "packages/built/src/sub.ts", "import", "also below the package"),
            ("packages/built/src/index.ts", "packages/built/src/sub.ts", "reexport", "`@/` is src of the package"),
            ("packages/app/lib/x.js", "packages/app/lib/y.js", "import", "paths in a jsconfig"),
        ],
    );
    expect::unresolved(
        &graph,
        &[(app, "@team/core/hidden", External), ("packages/core/src/esm.mjs", "#inner", Missing)],
    );
    let guessed: Vec<&str> =
        graph.edges.iter().filter(|edge| edge.confidence == Confidence::Likely).map(|edge| edge.to.as_str()).collect();
    assert_eq!(guessed, ["packages/built/src/index.ts", "packages/built/src/sub.ts", "packages/built/src/sub.ts"]);
}

#[test]
fn broken_configurations_do_not_hide_files() {
    let graph = expect::graph(&[
        ("a/tsconfig.json", "{ \"extends\": \"./b.json\" }"),
        ("a/b.json", "{ \"extends\": \"./tsconfig.json\", \"compilerOptions\": {} }"),
        ("a/x.ts", "import './y';\n"),
        ("a/y.ts", "export {};\n"),
        ("b/tsconfig.json", "{ torn"),
        ("b/package.json", "{ torn"),
        ("b/x.ts", "import './y';\nimport '';\nimport '%%%';\n"),
        ("b/y.ts", "export {};\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a/x.ts", "a/y.ts", "import", "a relative import needs no configuration"),
            ("b/x.ts", "b/y.ts", "import", "nor does it under damaged manifests"),
        ],
    );
}

#[test]
fn single_file_components() {
    let graph = expect::graph(&[
        (
            "src/App.vue",
            "<template>\n  <Box/>\n</template>\n<script setup lang=\"ts\">\nimport Box from './Box.svelte'\nimport { store } from './store'\nconst late = () => import('./Late.vue')\nexport function go(): void {}\n</script>\n<style>@import './x.css';</style>\n",
        ),
        ("src/Box.svelte", "<script>\n  import App from './App.vue';\n</script>\n<p>import './store'</p>\n"),
        ("src/Late.vue", "<script src=\"./late.js\"></script>\n"),
        ("src/late.js", "import App from './App';\nexport { default } from './Box.svelte';\n"),
        ("src/store.ts", "export const store = 1;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/App.vue", "src/Box.svelte", "import", "a component imports a component"),
            ("src/App.vue", "src/store.ts", "import", "a script with `lang=\"ts\"` is TypeScript"),
            ("src/App.vue", "src/Late.vue", "import", "a dynamic import with a literal"),
            ("src/Box.svelte", "src/App.vue", "import", "only scripts import"),
            ("src/Late.vue", "src/late.js", "import", "a script may stand in a file of its own"),
            ("src/late.js", "src/App.vue", "import", "bundlers add the extension"),
            ("src/late.js", "src/Box.svelte", "reexport", "a component may be exported again"),
        ],
    );
    let app = graph.file("src/App.vue").unwrap();
    assert_eq!(app.language.as_deref(), Some("vue"));
    let go = app.symbols.iter().find(|symbol| symbol.name == "go").unwrap();
    assert_eq!((go.start_line, go.end_line), (8, 8), "lines are those of the file");
    assert_eq!(graph.edges.iter().find(|edge| edge.to == "src/store.ts").unwrap().line, 6);
    assert!(graph.diagnostics.is_empty(), "{:?}", graph.diagnostics);
}
