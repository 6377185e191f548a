//! Files copied in from other projects, by their paths.
//!
//! The classes are those of github-linguist's vendor list (dependency folders, build systems'
//! scripts, well-known libraries), written anew as tables of names.

use recon_schema::graph::SkipReason;

use super::Refusal;

const RULE: &str = "vendored";

/// Folders of other people's code, wherever they stand.
const FOLDERS: &[&str] = &[
    "node_modules",
    "bower_components",
    "jspm_packages",
    "vendor",
    "vendors",
    "vendored",
    "_vendor",
    "_vendored",
    "third_party",
    "third-party",
    "thirdparty",
    "3rdparty",
    "3rd_party",
    "3rd-party",
    "extern",
    "external",
    "externals",
    "godeps",
    "carthage",
    "pods",
    "site-packages",
    "dist-packages",
    "venv",
    "elm-stuff",
    "wheelhouse",
    "dist",
];

/// Folders of other people's code at the root only: inside a project the words mean other things.
const ROOT_FOLDERS: &[&str] = &["deps", "dependencies", "env"];

/// Scripts that build systems copy into every project.
const NAMES: &[&str] = &[
    "configure",
    "config.guess",
    "config.sub",
    "aclocal.m4",
    "libtool.m4",
    "ltoptions.m4",
    "ltsugar.m4",
    "ltversion.m4",
    "lt~obsolete.m4",
    "ltmain.sh",
    "install-sh",
    "depcomp",
    "missing",
    "gradlew",
    "gradlew.bat",
    "mvnw",
    "mvnw.cmd",
    "cordova.js",
    "ez_setup.py",
    "get-pip.py",
    "versioneer.py",
    "waf",
    "cpplint.py",
    "catch.hpp",
    "doctest.h",
    "stb_image.h",
    "sqlite3.c",
    "sqlite3.h",
    "miniz.c",
    "utf8cpp.h",
];

/// Libraries that are copied as one script, before a version or `.min`.
const SCRIPTS: &[&str] = &[
    "jquery",
    "jquery-ui",
    "bootstrap",
    "bootstrap-datepicker",
    "d3",
    "angular",
    "react",
    "react-dom",
    "vue",
    "backbone",
    "underscore",
    "lodash",
    "handlebars",
    "mustache",
    "ember",
    "knockout",
    "modernizr",
    "mootools",
    "prototype",
    "dojo",
    "require",
    "requirejs",
    "raphael",
    "three",
    "moment",
    "codemirror",
    "ckeditor",
    "tinymce",
    "tiny_mce",
    "ace",
    "highlight",
    "highlight.pack",
    "mathjax",
    "html5shiv",
    "respond",
    "less",
    "yui",
    "ext-all",
    "extjs",
    "highcharts",
    "leaflet",
    "swfobject",
    "socket.io",
    "chart",
    "popper",
    "select2",
    "hammer",
    "normalize",
    "font-awesome",
    "foundation",
    "materialize",
    "animate",
    "semantic",
    "zepto",
    "fabric",
    "p5",
    "phaser",
    "katex",
];

pub(super) fn refuse(path: &str) -> Option<Refusal> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let refusal = |what: String| Some(Refusal::new(RULE, SkipReason::Vendored, what));
    let mut before = "";
    let mut at_root = true;
    for part in folders.split('/') {
        let lower = part.to_ascii_lowercase();
        if FOLDERS.contains(&lower.as_str()) || at_root && ROOT_FOLDERS.contains(&lower.as_str()) {
            return refusal(format!("below `{part}/`"));
        }
        if lower == "fixtures" && matches!(before, "test" | "tests" | "spec" | "specs") {
            return refusal("a test's fixture".into());
        }
        before = match lower.as_str() {
            "test" => "test",
            "tests" => "tests",
            "spec" => "spec",
            "specs" => "specs",
            _ => "",
        };
        at_root = false;
    }
    if NAMES.contains(&name) {
        return refusal(format!("`{name}` is copied into many projects"));
    }
    is_library(name).then(|| Refusal::new(RULE, SkipReason::Vendored, format!("`{name}` is a library's own script")))
}

/// `jquery.js`, `jquery-3.6.0.min.js`, `bootstrap.bundle.js`: the name, then versions and variants.
fn is_library(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let Some(stem) = lower.strip_suffix(".js").or_else(|| lower.strip_suffix(".css")) else { return false };
    let is_variant = |piece: &str| {
        let version = piece.strip_prefix('v').unwrap_or(piece);
        !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
            || matches!(piece, "min" | "slim" | "bundle" | "core" | "prod" | "production" | "pack" | "all" | "full")
    };
    SCRIPTS.iter().any(|library| {
        stem.strip_prefix(library).is_some_and(|rest| {
            // A bare `require.js` or `ace.js` may be the project's own; with a version it is not.
            !rest.is_empty() && rest.starts_with(['-', '.']) && rest[1..].split(['-', '.']).all(is_variant)
                || rest.is_empty() && matches!(*library, "jquery" | "bootstrap" | "underscore" | "lodash" | "mootools")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::refuse;

    #[test]
    fn dependencies_are_told_from_the_projects_own() {
        for path in [
            "node_modules/left-pad/index.js",
            "web/vendor/x.rb",
            "src/pip/_vendor/six.py",
            "virtualenv/lib/python3.12/site-packages/six.py",
            "Third_Party/zlib/zlib.c",
            "deps/lua/lua.c",
            "tests/fixtures/a.py",
            "static/jquery-3.6.0.min.js",
            "static/bootstrap.bundle.min.js",
            "d3.v7.js",
            "gradlew",
            "ext/sqlite3.c",
        ] {
            assert!(refuse(path).is_some(), "{path}");
        }
        for path in [
            "src/vendor.py",
            "src/deps/graph.py",
            "src/react.js",
            "src/reactive.js",
            "src/three-d.js",
            "tests/test_fixtures.py",
            "fixtures/load.py",
            "src/moment-picker.js",
            "lib/require.js",
            "src/dispatch.rs",
            "src/virtualenv/run.py",
        ] {
            assert!(refuse(path).is_none(), "{path}");
        }
    }
}
