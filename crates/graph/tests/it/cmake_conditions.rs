//! CMake: the branch that is built says where targets look; the others stand behind it.

use crate::expect;

/// Where `src/a.c` finds `conf.h` of `one` and `two`.
fn chosen(cmake: &str) -> Vec<String> {
    let graph = expect::graph(&[
        ("CMakeLists.txt", cmake),
        ("src/a.c", "#include <conf.h>\n"),
        ("one/conf.h", "int one;\n"),
        ("two/conf.h", "int two;\n"),
    ]);
    graph.dependencies("src/a.c").into_iter().map(str::to_owned).collect()
}

#[test]
fn a_condition_that_is_known_chooses_its_branch() {
    for (condition, expected) in [
        ("option(FAST \"\" ON)\nif(FAST)", "one"),
        ("option(FAST \"\" OFF)\nif(FAST)", "two"),
        ("option(FAST)\nif(FAST)", "two"),
        ("set(FAST ON)\noption(FAST \"\" OFF)\nif(FAST)", "one"),
        ("set(FAST OFF CACHE BOOL \"\")\nif(NOT FAST)", "one"),
        ("set(KIND ssl)\nif(KIND STREQUAL \"ssl\")", "one"),
        ("set(KIND ssl)\nif(\"${KIND}\" STREQUAL \"tls\")", "two"),
        ("if(WIN32)", "two"),
        ("if(UNIX AND (NOT APPLE OR MSVC))", "one"),
        ("if(CMAKE_SYSTEM_NAME MATCHES \"Linux\")", "one"),
        ("if(FALSE)", "two"),
        ("if(0)\nelseif(UNIX)", "one"),
        ("set(FAST OFF)\nif(FAST)\nif(UNIX)\nelse()\nendif()", "two"),
    ] {
        let cmake = format!(
            "{condition}\n  include_directories(one)\nelse()\n  include_directories(two)\nendif()\nadd_library(x src/a.c)\n"
        );
        assert_eq!(chosen(&cmake), [format!("{expected}/conf.h")], "{cmake}");
        let targets = format!(
            "add_library(x src/a.c)\n{condition}\n  target_include_directories(x PRIVATE one)\nelse()\n  target_include_directories(x PRIVATE two)\nendif()\n"
        );
        assert_eq!(chosen(&targets), [format!("{expected}/conf.h")], "{targets}");
        let variable = format!(
            "{condition}\n  set(D one)\nelse()\n  set(D two)\nendif()\nadd_library(x src/a.c)\ninclude_directories(${{D}})\n"
        );
        assert_eq!(chosen(&variable), [format!("{expected}/conf.h")], "{variable}");
    }
}

#[test]
fn what_is_not_built_is_still_found() {
    let graph = expect::graph(&[
        (
            "CMakeLists.txt",
            "add_library(x src/a.c)\nif(WIN32)\n  target_include_directories(x PRIVATE win)\n  add_subdirectory(tools)\n  set(SHARED nowhere PARENT_SCOPE)\nelse()\n  target_include_directories(x PRIVATE unix)\nendif()\n",
        ),
        ("src/a.c", "#include <plat.h>\n#include <only.h>\n"),
        ("win/plat.h", "int w;\n"),
        ("win/only.h", "int o;\n"),
        ("unix/plat.h", "int u;\n"),
        ("tools/CMakeLists.txt", "add_executable(t t.c)\ntarget_include_directories(t PRIVATE inc)\n"),
        ("tools/t.c", "#include <tool.h>\n"),
        ("tools/inc/tool.h", "int t;\n"),
        ("other/tool.h", "int t;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/a.c", "unix/plat.h", "include", "the branch that is built goes before"),
            ("src/a.c", "win/only.h", "include", "what the other alone has is found there"),
            ("tools/t.c", "tools/inc/tool.h", "include", "a folder that is not built is read"),
        ],
    );
}

#[test]
fn conditions_that_nobody_knows_run_every_branch() {
    let unknown = "find_package(Ssl)\nif(SSL_FOUND)\n  include_directories(one)\nelse()\n  include_directories(three)\nendif()\nadd_library(x src/a.c)\n";
    assert_eq!(chosen(unknown), ["one/conf.h"]);
    let other = unknown.replace("(one)", "(none)").replace("three", "two");
    assert_eq!(chosen(&other), ["two/conf.h"]);
    for torn in ["if(A", "if(A)\nif(B)\nelse()", "else()\nendif()\n", "if()\nelse()\nendif()\n", "endif()\nendif()\n"] {
        chosen(torn);
    }
    let nested = format!("{}include_directories(one)\n", "if(UNIX)\n".repeat(5_000));
    chosen(&nested);
}
