//! Python: packages that lie elsewhere than their names say, and what programs put on the path.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{External, Missing};

use crate::expect;

#[test]
fn every_build_tool_maps_packages_to_directories() {
    let manifests = [
        ("pyproject.toml", "[tool.setuptools]\npackage-dir = { kk = \"at/impl\" }\n"),
        ("pyproject.toml", "[tool.hatch.build.targets.wheel.sources]\n\"at/impl\" = \"kk\"\n"),
        ("pyproject.toml", "[tool.hatch.build.targets.wheel.force-include]\n\"at/impl\" = \"kk\"\n"),
        ("pyproject.toml", "[tool.scikit-build.wheel]\npackages = { kk = \"at/impl\" }\n"),
        ("setup.cfg", "[options]\npackage_dir =\n    kk = at/impl\n"),
        ("setup.py", "import setuptools\nDIRS = {\"kk\": \"at/impl\"}\nsetuptools.setup(package_dir=DIRS)\n"),
    ];
    for (name, manifest) in manifests {
        let graph = expect::graph(&[
            (name, manifest),
            ("at/impl/__init__.py", "from .core import x\n"),
            ("at/impl/core.py", "from kk.sub.deep import y\n"),
            ("at/impl/sub/deep.py", "from ..core import x\nfrom ...above import z\n"),
            ("tests/test_it.py", "import kk.core\nfrom kk import sub\nimport kk.gone\nimport impl\n"),
        ]);
        expect::edges(
            &graph,
            &[
                ("at/impl/__init__.py", "at/impl/core.py", "import", "a dot names the directory"),
                ("at/impl/core.py", "at/impl/sub/deep.py", "import", "the own package by its mapped name"),
                ("at/impl/sub/deep.py", "at/impl/core.py", "import", "dots inside of the mapped directory"),
                ("tests/test_it.py", "at/impl/__init__.py", "package", "the mapped package is passed on the way"),
                ("tests/test_it.py", "at/impl/core.py", "import", "a module of the mapped package"),
                (
                    "tests/test_it.py",
                    "at/impl/__init__.py",
                    "import",
                    "the mapped directory is still one of the repository",
                ),
            ],
        );
        let missing: Vec<_> =
            graph.unresolved.iter().filter(|it| it.class == Missing).map(|it| it.name.as_str()).collect();
        assert_eq!(missing, ["...above", "kk.gone"], "{name}");
    }
}

#[test]
fn a_package_may_lie_outside_of_the_one_around_it() {
    let graph = expect::graph(&[
        ("setup.py", "setup(package_dir={'': 'src', 'kk.ext': 'plugins', 'm': 'one'})\n"),
        ("src/kk/__init__.py", "A = 1\n"),
        ("src/kk/base.py", "from kk.ext.p import x\n"),
        ("plugins/__init__.py", "B = 1\n"),
        ("plugins/p.py", "from ..base import y\nfrom .. import A\nfrom . import q\n"),
        ("plugins/q.py", "C = 1\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/kk/base.py", "plugins/p.py", "import", "the longest mapped name"),
            ("src/kk/base.py", "plugins/__init__.py", "package", "a package passed on the way"),
            ("plugins/p.py", "src/kk/base.py", "import", "two dots leave the mapped directory by name"),
            ("plugins/p.py", "src/kk/__init__.py", "package", "the package around is another directory"),
            ("plugins/p.py", "src/kk/__init__.py", "import", "and has names of its own"),
            ("plugins/p.py", "plugins/q.py", "import", "one dot stays inside"),
        ],
    );
}

#[test]
fn pytest_and_poetry_add_directories() {
    let graph = expect::graph(&[
        ("a/pyproject.toml", "[tool.pytest.ini_options]\npythonpath = [\"code\"]\n"),
        ("a/code/one.py", "x = 1\n"),
        ("a/tests/test_one.py", "import one\n"),
        ("b/pytest.ini", "[pytest]\npythonpath = code more\n"),
        ("b/more/two.py", "x = 1\n"),
        ("b/tests/test_two.py", "import two\n"),
        ("c/pyproject.toml", "[tool.poetry]\npackages = [{ include = \"three\", from = \"python\" }]\n"),
        ("c/python/three/__init__.py", "x = 1\n"),
        ("c/tests/test_three.py", "import three\n"),
        ("d/setup.cfg", "[tool:pytest]\npythonpath =\n    code\n"),
        ("d/code/four.py", "x = 1\n"),
        ("d/tests/test_four.py", "import four\n"),
        ("e/pyproject.toml", "[tool.poetry]\npackages = [{ include = \"five\", from = \"python\", to = \"ns\" }]\n"),
        ("e/python/five/x.py", "x = 1\n"),
        ("e/tests/test_five.py", "import ns.five.x\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a/tests/test_one.py", "a/code/one.py", "import", "pythonpath of pyproject.toml"),
            ("b/tests/test_two.py", "b/more/two.py", "import", "pythonpath of pytest.ini"),
            ("c/tests/test_three.py", "c/python/three/__init__.py", "import", "`from` of a Poetry package"),
            ("d/tests/test_four.py", "d/code/four.py", "import", "pythonpath of setup.cfg"),
            ("e/tests/test_five.py", "e/python/five/x.py", "import", "`to` of a Poetry package"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact), "manifests say all of it");
}

#[test]
fn programs_set_the_path_for_themselves_and_those_below() {
    let graph = expect::graph(&[
        ("code/core.py", "x = 1\n"),
        ("code/late.py", "x = 1\n"),
        ("late.py", "x = 1\n"),
        (
            "scripts/a.py",
            "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'code'))\nimport core\nimport late\n",
        ),
        (
            "scripts/b.py",
            "import sys\nfrom pathlib import Path\nROOT = Path(__file__).resolve().parents[1]\nsys.path.append(str(ROOT / 'code'))\nimport core\nimport late\n",
        ),
        ("scripts/c.py", "import core\n"),
        ("other/d.py", "import core\n"),
        ("checks/conftest.py", "import os, sys\nsys.path.insert(0, os.path.dirname(__file__) + '/../code')\n"),
        ("checks/deep/test_e.py", "import core\n"),
        ("docs/conf.py", "import os, sys\nsys.path.insert(0, os.path.abspath('../code'))\nimport core\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("scripts/a.py", "code/core.py", "import", "a directory below __file__"),
            ("scripts/a.py", "code/late.py", "import", "one that is inserted goes before the others"),
            ("scripts/b.py", "code/core.py", "import", "the same by pathlib"),
            ("scripts/b.py", "late.py", "import", "one that is appended goes after the others"),
            ("scripts/c.py", "code/core.py", "import", "a neighbour's path, likely"),
            ("checks/deep/test_e.py", "code/core.py", "import", "a conftest.py is loaded before the tests below it"),
            ("docs/conf.py", "code/core.py", "import", "a path from where the run starts, likely"),
        ],
    );
    let likely: Vec<_> =
        graph.edges.iter().filter(|it| it.confidence == Confidence::Likely).map(|it| it.from.as_str()).collect();
    assert_eq!(likely, ["docs/conf.py", "scripts/c.py"]);
    let other: Vec<_> = graph.unresolved.iter().filter(|it| it.from == "other/d.py").collect();
    assert_eq!((other.len(), other[0].class), (1, External), "nobody puts the directory on this one's path");
}

#[test]
fn calls_that_import_name_modules_like_statements() {
    let graph = expect::graph(&[
        ("p/__init__.py", "#\n"),
        (
            "p/a.py",
            "import importlib\nimportlib.import_module('.b', package='p')\nimportlib.import_module('.c', __package__)\n__import__('p.d')\n__import__('p', fromlist=['e'])\n__import__('f', globals(), locals(), [], 1)\nimportlib.import_module('..g', 'p.sub')\nimportlib.import_module('.h', unknown)\n__import__(name)\n",
        ),
        ("p/b.py", "x = 1\n"),
        ("p/c.py", "x = 1\n"),
        ("p/d.py", "x = 1\n"),
        ("p/e.py", "x = 1\n"),
        ("p/f.py", "x = 1\n"),
        ("p/g.py", "x = 1\n"),
        ("p/h.py", "x = 1\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("p/a.py", "p/b.py", "import", "relative to the package named"),
            ("p/a.py", "p/c.py", "import", "relative to the own package"),
            ("p/a.py", "p/d.py", "import", "__import__ with a dotted name"),
            ("p/a.py", "p/e.py", "import", "a submodule in the fromlist"),
            ("p/a.py", "p/f.py", "import", "a level"),
            ("p/a.py", "p/g.py", "import", "two dots leave the package named"),
        ],
    );
}

#[test]
fn names_are_compared_in_normal_form() {
    // Written composed, decomposed and with a ligature; files named composed and decomposed.
    let graph = expect::graph(&[
        ("gr\u{f6}\u{df}e.py", "x = 1\n"),
        ("mu\u{308}ll.py", "x = 1\n"),
        ("p\u{e9}/__init__.py", "x = 1\n"),
        ("p\u{e9}/file.py", "x = 1\n"),
        ("a.py", "import gr\u{f6}\u{df}e\nimport m\u{fc}ll\n"),
        ("b.py", "import gro\u{308}\u{df}e as q\nfrom pe\u{301} import \u{fb01}le\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.py", "gr\u{f6}\u{df}e.py", "import", "the same letters"),
            ("a.py", "mu\u{308}ll.py", "import", "a file name that is decomposed"),
            ("b.py", "gr\u{f6}\u{df}e.py", "import", "a name that is decomposed (PEP 3131)"),
            ("b.py", "p\u{e9}/__init__.py", "package", "a package passed on the way"),
            ("b.py", "p\u{e9}/file.py", "import", "a ligature is its letters, in a package too"),
        ],
    );
}
