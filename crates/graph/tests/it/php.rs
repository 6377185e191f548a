//! PHP: composer's ways to load, names in full, includes.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

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
    expect::unresolved(&graph, &[("index.php", "/gone.php", Missing), ("index.php", "/vendor/autoload.php", External)]);
    let likely = |to: &str| graph.edges.iter().any(|edge| edge.to == to && edge.confidence == Confidence::Likely);
    assert!(likely("lib/single.php") && likely("inc/db.php") && !likely("inc/boot.php"));
}
