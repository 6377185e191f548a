//! PHP: composer's ways to load, names in full, includes; what holds where nothing is composed.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{Computed, External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn composer_says_where_classes_are() {
    let graph = expect::graph(&[
        (
            "composer.json",
            "{ \"autoload\": { \"psr-4\": { \"App\\\\\": \"src/\", \"App\\\\Special\\\\\": [\"special\"] }, \"psr-0\": { \"Old_\": \"legacy/\" }, \"classmap\": [\"map\"], \"files\": [\"helpers.php\"] }, \"autoload-dev\": { \"psr-4\": { \"Tests\\\\\": \"tests\" } } }",
        ),
        (
            "src/Kernel.php",
            "<?php\nnamespace App;\nuse App\\Models\\User as Person;\nuse App\\Special\\Thing;\nuse App\\Models\\{Role, Sub\\Deep};\nuse function App\\Support\\format;\nuse Psr\\Log\\Logger;\nuse App\\Gone;\nuse Exception;\nuse App\\Models;\n\
             class Kernel extends Base implements \\Countable {\n  function run(Person $u): ?Models\\Role { new \\Old_Style_Class(); Mapped::make(); \\Mapped::make(); return format(tap($u)); }\n}\n",
        ),
        ("src/Base.php", "<?php\nnamespace App;\nabstract class Base { use Shared; }\n"),
        ("src/Shared.php", "<?php\nnamespace App;\ntrait Shared {}\n"),
        (
            "src/Models/User.php",
            "<?php\nnamespace App\\Models;\nclass User { public function role(): Role { return Role::Admin; } }\n",
        ),
        ("src/Models/Role.php", "<?php\nnamespace App\\Models;\nenum Role { case Admin; }\n"),
        ("src/Models/Sub/Deep.php", "<?php\nnamespace App\\Models\\Sub;\nclass Deep {}\n"),
        ("special/Thing.php", "<?php\nnamespace App\\Special;\ninterface Thing {}\n"),
        ("legacy/Old/Style/Class.php", "<?php\nclass Old_Style_Class {}\n"),
        ("map/all.php", "<?php\nclass Mapped {}\n"),
        ("helpers.php", "<?php\nnamespace App\\Support;\nfunction format($x) {}\n"),
        // Composer does not load it: `tap` and `Base` without a namespace are not taken from it.
        ("loose.php", "<?php\nfunction tap($x) {}\nclass Base {}\n"),
        (
            "tests/KernelTest.php",
            "<?php\nnamespace Tests;\nclass KernelTest { function test() { new \\App\\Kernel(); } }\n",
        ),
    ]);
    let kernel = "src/Kernel.php";
    expect::edges(
        &graph,
        &[
            (kernel, "src/Models/User.php", "import", "PSR-4 behind an alias"),
            (kernel, "special/Thing.php", "import", "the longest prefix"),
            (kernel, "src/Models/Role.php", "import", "a group"),
            (kernel, "src/Models/Sub/Deep.php", "import", "a longer name in a group"),
            (kernel, "helpers.php", "import", "a function of a file that is loaded always"),
            (kernel, "src/Base.php", "import", "a name of the own namespace"),
            (kernel, "legacy/Old/Style/Class.php", "import", "PSR-0 splits at underscores"),
            (kernel, "map/all.php", "import", "the class map"),
            ("src/Base.php", "src/Shared.php", "import", "a trait of the own namespace"),
            ("src/Models/User.php", "src/Models/Role.php", "import", "a name of the own namespace"),
            ("tests/KernelTest.php", kernel, "import", "a name written out, by the development's rules"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            (kernel, "Psr\\Log\\Logger", External),
            (kernel, "App\\Gone", Missing),
            (kernel, "Exception", StandardLibrary),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact));
}

#[test]
fn without_composer_includes_and_full_names_count() {
    let graph = expect::graph(&[
        (
            "index.php",
            "<?php\nrequire __DIR__ . '/inc/boot.php';\nrequire_once('inc/db.php');\ninclude dirname(__FILE__) . \"/gone.php\";\nrequire $dynamic;\nrequire __DIR__ . '/vendor/autoload.php';\nnew \\Lib\\Twin(); new \\Lib\\Single(); new Plain();\n",
        ),
        ("inc/boot.php", "<?php\nrequire './db.php';\n"),
        ("inc/db.php", "<?php\nclass Plain {}\n"),
        ("lib/single.php", "<?php\nnamespace Lib;\nclass Single {}\n"),
        ("lib/twin.php", "<?php\nnamespace Lib;\nclass Twin {}\n"),
        ("old/twin.php", "<?php\nnamespace Lib;\nclass Twin {}\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("index.php", "inc/boot.php", "include", "a path from the file's own directory"),
            ("index.php", "inc/db.php", "include", "a path the include path may know"),
            ("inc/boot.php", "inc/db.php", "include", "a relative path"),
            ("index.php", "lib/single.php", "import", "one file alone defines the full name"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("index.php", "/gone.php", Missing),
            ("index.php", "$dynamic", Computed),
            ("index.php", "/vendor/autoload.php", External),
        ],
    );
    let likely = |to: &str| graph.edges.iter().any(|edge| edge.to == to && edge.confidence == Confidence::Likely);
    assert!(likely("lib/single.php") && likely("inc/db.php") && !likely("inc/boot.php"));
}

#[test]
fn without_composer_the_only_definition_is_meant() {
    let graph = expect::graph(&[
        (
            "index.php",
            "<?php\nnamespace Page;\nclass View extends \\Table {\n  const WIDE = WIDTH;\n  function show($x = DEPTH) { return draw(LIMITS[0] ?? \\Colours\\RED, strlen($x), mb_strlen($x), $x instanceof \\Twin, named(HIDDEN: 1)); }\n}\n",
        ),
        ("lib/table.php", "<?php\nclass Table {}\nclass Twin {}\nconst WIDTH = 1;\n"),
        ("lib/draw.php", "<?php\nfunction draw($x) {}\nclass Twin {}\n"),
        ("lib/limits.php", "<?php\ndefine('LIMITS', [1]);\ndefine('HIDDEN', 1);\n"),
        ("lib/depth.php", "<?php\nif (!defined('DEPTH')) { define('DEPTH', 1); }\n"),
        ("lib/colours.php", "<?php\nnamespace Colours;\nconst RED = 1;\n"),
        (
            "lib/old.php",
            "<?php\nif (!function_exists('mb_strlen')) { function mb_strlen($x) {} }\nfunction strlenish($x) {}\n",
        ),
    ]);
    expect::edges(
        &graph,
        &[
            ("index.php", "lib/table.php", "import", "one class and one constant of that name"),
            ("index.php", "lib/draw.php", "import", "a function not found in the namespace is the global one"),
            ("index.php", "lib/limits.php", "import", "a constant made by `define`, as a value"),
            ("index.php", "lib/colours.php", "import", "a constant written out in full"),
            // None to `lib/depth.php` and `lib/old.php`: what is defined only where nothing else
            // is may be PHP's own. None for `Twin`, which two files define.
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Likely));
}

#[test]
fn where_composer_loads_classes_a_global_name_may_be_a_dependencys() {
    let graph = expect::graph(&[
        ("composer.json", "{ \"autoload\": { \"psr-4\": { \"App\\\\\": \"src/\" }, \"files\": [\"src/own.php\"] } }"),
        (
            "src/A.php",
            "<?php\nnamespace App;\nclass A { function f() { return [collect(1), ctype_alpha('a'), own(), BOOT]; } }\n",
        ),
        ("src/own.php", "<?php\nif (! function_exists('own')) { function own() {} }\n"),
        ("tests/stubs.php", "<?php\nfunction collect($x) {}\ndefine('BOOT', 1);\n"),
        ("polyfill/composer.json", "{ \"autoload\": { \"files\": [\"bootstrap.php\"] } }"),
        ("polyfill/bootstrap.php", "<?php\nif (!function_exists('ctype_alpha')) { function ctype_alpha($x) {} }\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/A.php", "src/own.php", "import", "the own project's files are loaded always"),
            (
                "src/A.php",
                "tests/stubs.php",
                "import",
                "one file alone defines the constant; its function is not loaded",
            ),
        ],
    );
}

#[test]
fn the_own_place_is_read_in_its_usual_forms() {
    let graph = expect::graph(&[
        (
            "a/b/x.php",
            "<?php\nrequire dirname(__DIR__) . '/one.php';\nrequire_once(dirname(__FILE__, 3) . '/two.php');\nrequire __DIR__ . DIRECTORY_SEPARATOR . '..' . '/three.php';\ninclude realpath(__DIR__ . '/../../a/four.php');\nrequire dirname(dirname(__FILE__)) . \"/five.php\";\nrequire __DIR__ . $name;\nrequire dirname(__DIR__, LEVELS) . '/one.php';\n",
        ),
        ("a/one.php", "<?php\n"),
        ("two.php", "<?php\n"),
        ("a/three.php", "<?php\n"),
        ("a/four.php", "<?php\n"),
        ("a/five.php", "<?php\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a/b/x.php", "a/one.php", "include", "the directory above"),
            ("a/b/x.php", "two.php", "include", "several levels above the file"),
            ("a/b/x.php", "a/three.php", "include", "pieces put together"),
            ("a/b/x.php", "a/four.php", "include", "realpath changes nothing"),
            ("a/b/x.php", "a/five.php", "include", "dirname of dirname"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact));
}
