//! C and C++: where `#include` looks, by the marks it is written with and by what build files say.

use std::time::{Duration, Instant};

use recon_schema::graph::Confidence::{Exact, Likely};
use recon_schema::graph::UnresolvedClass::{External, Missing};

use crate::expect;

#[test]
fn angle_marks_are_never_looked_for_beside_the_file() {
    let graph = expect::graph(&[
        (
            "CMakeLists.txt",
            "add_library(x src/a.c)\ntarget_include_directories(x PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/gen include more)\n",
        ),
        (
            "src/a.c",
            "#include <twin.h>\n#include \"twin.h\"\n#include <only.h>\n#include <made.h>\n#include <up/deep.h>\n",
        ),
        ("src/twin.h", "int a;\n"),
        ("src/only.h", "int b;\n"),
        ("include/twin.h", "#include <next.h>\n"),
        ("include/next.h", "int c;\n"),
        ("gen/made.h", "#include_next <made.h>\n"),
        ("include/made.h", "#include_next <made.h>\n"),
        ("more/made.h", "int d;\n"),
        ("include/up/deep.h", "#include <deep.h>\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/a.c", "include/twin.h", "include", "<x> in an include directory, although one stands beside"),
            ("src/a.c", "src/twin.h", "include", "\"x\" beside first"),
            ("src/a.c", "gen/made.h", "include", "the directories in the order they are named"),
            ("gen/made.h", "include/made.h", "include", "the next directory after the file's own"),
            ("include/made.h", "more/made.h", "include", "and on, not back"),
            ("src/a.c", "include/up/deep.h", "include", "a path below an include directory"),
            ("include/twin.h", "include/next.h", "include", "an include directory may be the file's own"),
        ],
    );
    expect::unresolved(&graph, &[("include/up/deep.h", "deep.h", External), ("src/a.c", "only.h", External)]);
}

#[test]
fn cmake_says_where_targets_look() {
    let graph = expect::graph(&[
        (
            "CMakeLists.txt",
            "cmake_minimum_required(VERSION 3.5)\nproject(Kit)\ninclude(cmake/paths.cmake)\nadd_subdirectory(core)\nadd_subdirectory(${TOOLS})\nfunction(add_check name)\n  add_executable(${name} checks/${name}.c)\n  target_link_libraries(${name} PRIVATE core)\nendfunction()\nadd_check(one)\nforeach(dir left right)\n  add_executable(${dir} ${dir}/main.c)\n  target_include_directories(${dir} PRIVATE ${dir}/inc)\nendforeach()\n",
        ),
        ("cmake/paths.cmake", "# comment ) \nset(TOOLS tools)\nset(SHARED \"${PROJECT_SOURCE_DIR}/shared\")\n"),
        (
            "core/CMakeLists.txt",
            "file(GLOB SOURCES *.c)\nadd_library(core STATIC ${SOURCES})\ntarget_include_directories(core PUBLIC\n  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/api>\n  $<INSTALL_INTERFACE:include> PRIVATE hidden)\n",
        ),
        ("core/core.c", "#include \"same.h\"\n#include <core.h>\n"),
        ("core/api/core.h", "int core;\n"),
        ("core/hidden/same.h", "int hidden;\n"),
        (
            "tools/CMakeLists.txt",
            "include_directories(${SHARED} ../outside/../../../etc)\nadd_executable(t t.c)\nset_property(TARGET t PROPERTY INCLUDE_DIRECTORIES extra)\n",
        ),
        ("tools/t.c", "#include \"same.h\"\n#include <more.h>\n"),
        ("tools/extra/more.h", "int more;\n"),
        ("shared/same.h", "int shared;\n"),
        ("checks/one.c", "#include <core.h>\n"),
        ("other/core.h", "int other;\n"),
        ("left/main.c", "#include \"side.h\"\n"),
        ("right/main.c", "#include \"side.h\"\n"),
        ("left/inc/side.h", "int l;\n"),
        ("right/inc/side.h", "int r;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            (
                "core/core.c",
                "core/hidden/same.h",
                "include",
                "a private directory of its own target, sources by a pattern",
            ),
            ("core/core.c", "core/api/core.h", "include", "the build's part of a generator expression"),
            ("tools/t.c", "shared/same.h", "include", "a variable of an included file, for a whole directory"),
            ("tools/t.c", "tools/extra/more.h", "include", "a property of the target"),
            ("checks/one.c", "core/api/core.h", "include", "a function's target takes what its library exports"),
            ("left/main.c", "left/inc/side.h", "include", "the first turn of a loop"),
            ("right/main.c", "right/inc/side.h", "include", "the second turn of a loop"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Exact), "a build file decides");
}

#[test]
fn make_and_meson_say_where_a_folder_looks() {
    let graph = expect::graph(&[
        (
            "lib/Makefile",
            "ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))..\ninclude flags.mk\nCFLAGS += -I$(ROOT)/deep/inc $(addprefix -I,$(MORE))\n",
        ),
        ("lib/flags.mk", "MORE = more \\\n  ../most # why\nCPPFLAGS = -I $(NOWHERE)/x -isystem sys\n"),
        ("lib/a.c", "#include \"h.h\"\n#include <m.h>\n#include <s.h>\n#include \"most.h\"\n"),
        ("deep/inc/h.h", "int h;\n"),
        ("old/h.h", "int h;\n"),
        ("lib/more/m.h", "int m;\n"),
        ("aside/m.h", "int m;\n"),
        ("lib/sys/s.h", "int s;\n"),
        ("aside/s.h", "int s;\n"),
        ("most/most.h", "int most;\n"),
        ("auto/configure.ac", "AC_INIT\n"),
        ("auto/src/Makefile.am", "AM_CPPFLAGS = -I$(top_srcdir)/inc2 -I@srcdir@/own\n"),
        ("auto/src/b.c", "#include <h.h>\n#include \"m.h\"\n"),
        ("auto/inc2/h.h", "int h;\n"),
        ("auto/src/own/m.h", "int m;\n"),
        (
            "mes/meson.build",
            "project('m', 'c')\napi = include_directories('api', # why\n  'api2')\nsubdir('src')\nlibrary('x', 'x.c', include_directories: 'keyed', c_args: ['-Dno'])\n",
        ),
        (
            "mes/src/meson.build",
            "dep = declare_dependency(include_directories: api)\nexecutable('y', 'y.c', dependencies: [dep])\n",
        ),
        ("mes/src/y.c", "#include <h.h>\n#include <s.h>\n#include <y.h>\n"),
        ("mes/src/y.h", "int y;\n"),
        ("mes/x.c", "#include <m.h>\n"),
        ("mes/api/h.h", "int h;\n"),
        ("mes/api2/s.h", "int s;\n"),
        ("mes/keyed/m.h", "int m;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("lib/a.c", "deep/inc/h.h", "include", "functions of paths, from the Makefile's own place"),
            ("lib/a.c", "lib/more/m.h", "include", "a list of an included file, a prefix put before each"),
            ("lib/a.c", "lib/sys/s.h", "include", "a flag and its directory as two words"),
            ("lib/a.c", "most/most.h", "include", "a line that goes on"),
            ("auto/src/b.c", "auto/inc2/h.h", "include", "the top folder is the one with configure.ac"),
            ("auto/src/b.c", "auto/src/own/m.h", "include", "a word that configure replaces"),
            ("mes/src/y.c", "mes/api/h.h", "include", "a variable of the folder above, by a dependency"),
            ("mes/src/y.c", "mes/api2/s.h", "include", "the second of a list with a comment in it"),
            ("mes/src/y.c", "mes/src/y.h", "include", "a target's own folder is searched"),
            ("mes/x.c", "mes/keyed/m.h", "include", "directories as the value of a keyword"),
        ],
    );
}

#[test]
fn of_twins_without_a_build_file_the_nearest_is_meant() {
    let graph = expect::graph(&[
        ("a/one/use.c", "#include \"twin.h\"\n"),
        ("a/two/parts/twin.h", "int near;\n"),
        ("twins/twin.h", "int far;\n"),
        ("b/use.c", "#include \"pair.h\"\n"),
        ("c/deep/pair.h", "int deep;\n"),
        ("d/pair.h", "int shallow;\n"),
        ("e/use.c", "#include \"tied.h\"\n"),
        ("f/tied.h", "int f;\n"),
        ("g/tied.h", "int g;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a/one/use.c", "a/two/parts/twin.h", "include", "a folder in common goes before few steps"),
            ("b/use.c", "d/pair.h", "include", "fewer steps"),
        ],
    );
    expect::unresolved(&graph, &[("e/use.c", "tied.h", Missing)]);
    assert!(graph.edges.iter().all(|edge| edge.confidence == Likely));
}

#[test]
fn macros_stand_for_headers() {
    let graph = expect::graph(&[
        (
            "a.c",
            "#include \"config.h\"\n#ifdef X\n#define PICK \"x.h\"\n#else\n#define PICK <y.h>\n#endif\n#include PICK\n#include FAR\n#include ALIAS\n#include CALLED(1)\n#include NEVER\n",
        ),
        ("config.h", "#include \"deep/more.h\"\n#define ALIAS OTHER\n#define OTHER \"z.h\"\n"),
        ("deep/more.h", "#define FAR \"deep/far.h\"\n#define CALLED(n) \"no.h\"\n"),
        ("deep/far.h", "int far;\n"),
        ("x.h", "int x;\n"),
        ("include/y.h", "int y;\n"),
        ("z.h", "int z;\n"),
        ("no.h", "int no;\n"),
        ("user.c", "#define TEMPLATE \"body.h\"\n#include \"generic.h\"\n"),
        ("generic.h", "#include TEMPLATE\n"),
        ("body.h", "int body;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.c", "config.h", "include", "beside"),
            ("a.c", "x.h", "include", "a macro of the same file"),
            ("a.c", "include/y.h", "include", "its other value"),
            ("a.c", "deep/far.h", "include", "a macro of a header that a header includes"),
            ("a.c", "z.h", "include", "a macro that stands for another"),
            ("config.h", "deep/more.h", "include", "below"),
            ("user.c", "generic.h", "include", "beside"),
            ("generic.h", "body.h", "include", "a macro that the including file defines"),
        ],
    );
    expect::unresolved(&graph, &[]);
}

#[test]
fn digraphs_strings_and_fragments() {
    let graph = expect::graph(&[
        (
            "a.cpp",
            "%:include \"di.h\"\nauto r = u8R\"x(\n#include \"no.h\"\n)\" )x\";\nconst char *s = \"a\\\n#include \\\"no.h\\\"\";\n// why \\\n#include \"no.h\"\n#embed \"data.bin\" limit(3)\n",
        ),
        ("di.h", "int d;\n"),
        ("no.h", "int no;\n"),
        ("data.bin", "abc\n"),
        ("c/table.c", "#include \"table.inc\"\n#include \"page.inc\"\n"),
        ("c/table.inc", "#include \"row.inc\"\nint table_of(void) { return 1; }\n"),
        ("c/row.inc", "#include \"../di.h\"\n"),
        ("c/page.inc", "<?php\ninclude 'x.php';\n"),
        ("c/x.php", "<?php\n$x = 1;\n"),
        ("lone.inc", "#include \"di.h\"\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.cpp", "di.h", "include", "`%:` is `#`"),
            ("a.cpp", "data.bin", "include", "`#embed` names a file"),
            ("c/table.c", "c/table.inc", "include", "any text may be included"),
            ("c/table.c", "c/page.inc", "include", "even that of another language"),
            ("c/table.inc", "c/row.inc", "include", "a fragment that C includes is C"),
            ("c/row.inc", "di.h", "include", "and so is what it includes"),
            ("c/page.inc", "c/x.php", "include", "what says that it is PHP is"),
        ],
    );
    let language = |path: &str| graph.file(path).unwrap().language.clone();
    assert_eq!(language("c/table.inc").as_deref(), Some("c"));
    assert_eq!(language("c/page.inc").as_deref(), Some("php"));
    assert_eq!(graph.file("c/table.inc").unwrap().symbols[0].name, "table_of");
}

#[test]
fn build_files_that_lie_cost_bounded_work() {
    let many: String = (0..10_000).map(|at| format!("include_directories(d{at} ../../out{at})\n")).collect();
    let doubled = "set(A a;a)\n".to_owned() + &"set(A ${A}${A})\n".repeat(64) + "include_directories(${A})\n";
    let circle =
        "function(f)\nf()\nendfunction()\nf()\nadd_subdirectory(.)\ninclude(CMakeLists.txt)\nforeach(x 1 2 3)\n";
    let make = "A = $(A)$(A)\nB = $(C)\nC = $(B)\nCFLAGS = -I$(A) -I$(B) -I$(foreach x,$(A),$(foreach y,$(A),$(x)))\ninclude Makefile\n";
    let nested = format!("X = {}\nCFLAGS = -I$(X)\n", "$(".repeat(20_000));
    let meson = format!("x = include_directories('a')\n{}subdir('.')\nlibrary(", "x = [x, x]\n".repeat(5_000));
    let mut files: Vec<(String, String)> = vec![
        ("many/CMakeLists.txt".into(), many + "add_library(x a.c)\n"),
        ("doubled/CMakeLists.txt".into(), doubled),
        ("circle/CMakeLists.txt".into(), circle.into()),
        ("torn/CMakeLists.txt".into(), "add_library(x \"a.c\ninclude_directories([[".into()),
        ("make/Makefile".into(), make.into()),
        ("nested/Makefile".into(), nested),
        ("meson/meson.build".into(), meson),
        ("many/d9999/far.h".into(), "int far;\n".into()),
        ("many/a.c".into(), "#include <far.h>\n".into()),
    ];
    files.extend((0..400).map(|at| (format!("many/f{at}.c"), "#include <far.h>\n".to_owned())));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let start = Instant::now();
    let graph = expect::graph(&files);
    assert_eq!(graph.dependencies("many/a.c"), ["many/d9999/far.h"], "the last of ten thousand directories");
    assert!(start.elapsed() < Duration::from_secs(60), "a reading without bounds does not end");
}

#[test]
fn what_a_makefile_says_of_other_systems_is_not_searched() {
    for (condition, built) in [
        ("if BUILD_WIN32", false),
        ("if !BUILD_WIN32", true),
        ("ifeq ($(OS),Windows_NT)", false),
        ("ifneq ($(OS), Windows_NT)", true),
        ("ifeq ($(shell uname), Darwin)", false),
        ("ifdef MINGW", false),
        ("ifndef MINGW", true),
        ("ifeq ($(TARGET_WIN32),)", true),
        ("ifneq ($(TARGET_WIN32),)", false),
        ("ifdef FAST", true),
        ("if WITH_WINDOW_MANAGER", true),
    ] {
        let makefile =
            format!("{condition}\nFLAGS = -Ifirst\nelse\nFLAGS = -Isecond\nendif\nCFLAGS = $(FLAGS) -Irest\n");
        let graph = expect::graph(&[
            ("Makefile.am", makefile.as_str()),
            ("src/a.c", "#include <x.h>\n"),
            ("first/x.h", "int first;\n"),
            ("rest/x.h", "int rest;\n"),
        ]);
        let expected = if built { "first/x.h" } else { "rest/x.h" };
        assert_eq!(graph.dependencies("src/a.c"), [expected], "{condition}");
    }
}

#[test]
fn automakes_conditions_stand_before_the_lines_they_decide() {
    let graph = expect::graph(&[
        ("configure.ac", "AC_INIT\n"),
        (
            "Makefile.in",
            "@BUILD_WIN32_TRUE@SYS_INCLUDES = -Iwin \\\n@BUILD_WIN32_TRUE@\t-Iwin/nmake\n@BUILD_WIN32_TRUE@@THREADS_TRUE@am__append_1 = -Iwin\n@BUILD_WIN32_FALSE@SYS_INCLUDES = -Iunix \\\n@BUILD_WIN32_FALSE@\t-Iposix\n@THREADS_TRUE@AM_CFLAGS = -Ithreads\nAM_CPPFLAGS = $(SYS_INCLUDES)\n",
        ),
        ("Makefile.nmake", "CFLAGS = -Iwin/nmake\n"),
        ("src/a.c", "#include <u.h>\n#include <p.h>\n#include <t.h>\n#include <getopt.h>\n#include <conf.h>\n"),
        ("unix/u.h", "int u;\n"),
        ("posix/p.h", "int p;\n"),
        ("threads/t.h", "int t;\n"),
        ("win/u.h", "int w;\n"),
        ("win/nmake/p.h", "int w;\n"),
        ("win/nmake/t.h", "int w;\n"),
    ]);
    assert_eq!(graph.dependencies("src/a.c"), ["posix/p.h", "threads/t.h", "unix/u.h"]);
}

#[test]
fn a_header_that_is_made_from_a_template_is_not_guessed() {
    for template in ["conf.h.in", "cmake/conf.h.cmake", "conf.h.cmake.in"] {
        let files = [
            (template, "#undef HAVE_X\n"),
            ("src/a.c", "#include \"conf.h\"\n#include \"sub/conf.h\"\n#include \"other.h\"\n"),
            ("win/nmake/conf.h", "int w;\n"),
            ("win/nmake/other.h", "int o;\n"),
            ("src/sub/conf.h", "int s;\n"),
        ];
        let graph = expect::graph(&files);
        assert_eq!(graph.dependencies("src/a.c"), ["src/sub/conf.h", "win/nmake/other.h"], "{template}");
        expect::unresolved(&graph, &[("src/a.c", "conf.h", Missing)]);
    }
}
