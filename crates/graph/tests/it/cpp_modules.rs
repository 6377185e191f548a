//! The modules of C++20: interfaces, partitions, implementations, header units.

use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn interfaces_partitions_and_implementations() {
    let graph = expect::graph(&[
        (
            "src/shapes.cppm",
            "module;\n#include \"legacy.h\"\nexport module kit.shapes;\nexport import :circle;\nimport :detail;\nimport std;\n",
        ),
        ("src/circle.ixx", "export module kit.shapes:circle;\nimport kit.base;\n"),
        ("src/detail.cpp", "module kit.shapes:detail;\n"),
        ("src/shapes.cpp", "module kit.shapes;\nimport :gone;\nimport other.lib;\n"),
        ("src/base.mpp", "export module kit.base;\n"),
        ("src/legacy.h", "int legacy;\n"),
        (
            "app/main.cpp",
            "import kit.shapes;\nimport <vector>;\nimport \"unit.hpp\";\nimport <api.hpp>;\n/* import kit.base; */\nstruct import_me {};\nint main() { return 0; }\n",
        ),
        ("app/unit.hpp", "export module_of_old_days;\n"),
        ("include/api.hpp", "int api;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/shapes.cppm", "src/legacy.h", "include", "a directive in the global fragment"),
            ("src/shapes.cppm", "src/circle.ixx", "import", "a partition of the own module"),
            ("src/shapes.cppm", "src/detail.cpp", "import", "a partition that is not exported"),
            ("src/circle.ixx", "src/base.mpp", "import", "another module, its name with a dot"),
            ("src/shapes.cpp", "src/shapes.cppm", "import", "an implementation sees its interface"),
            ("app/main.cpp", "src/shapes.cppm", "import", "a module leads to its interface alone"),
            ("app/main.cpp", "app/unit.hpp", "include", "a header unit beside the file"),
            ("app/main.cpp", "include/api.hpp", "include", "a header unit in an include directory"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("app/main.cpp", "vector", StandardLibrary),
            ("src/shapes.cpp", "kit.shapes:gone", Missing),
            ("src/shapes.cpp", "other.lib", External),
            ("src/shapes.cppm", "std", StandardLibrary),
        ],
    );
}

#[test]
fn of_twin_modules_the_nearest_is_meant() {
    let graph = expect::graph(&[
        ("a/m.cppm", "export module m;\n"),
        ("a/use.cpp", "import m;\n"),
        ("b/m.cppm", "export module m;\n"),
        ("b/deep/use.cpp", "import m;\n"),
        ("c/use.cpp", "import m;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a/use.cpp", "a/m.cppm", "import", "in the same folder"),
            ("b/deep/use.cpp", "b/m.cppm", "import", "in a folder above"),
        ],
    );
}

#[test]
fn c_knows_no_modules() {
    let graph = expect::graph(&[
        ("m.cppm", "export module m;\n"),
        ("old.cpp", "struct module {};\nmodule *p;\nint import = 1;\nvoid f() { module(x); }\n"),
        ("plain.c", "typedef int module;\nmodule m;\n"),
    ]);
    expect::edges(&graph, &[]);
    expect::unresolved(&graph, &[]);
}
