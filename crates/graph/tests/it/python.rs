//! Python: a `src` layout, a namespace package, relative imports, stubs, a cycle, a monorepo.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{Computed, External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn a_src_layout() {
    let graph = expect::graph(&[
        ("pyproject.toml", "[project]\nname = \"shop\"\n"),
        ("src/shop/__init__.py", "from .cart import Cart\nfrom . import prices\n"),
        ("src/shop/cart.py", "import os.path\nfrom shop.prices import total\nfrom .tax.rates import RATE\n"),
        ("src/shop/prices.py", "from __future__ import annotations\nimport numpy as np\n\ndef total(): ...\n"),
        ("src/shop/tax/__init__.py", "NAME = 'tax'\n"),
        ("src/shop/tax/rates.py", "from .. import prices\nfrom ...above import x\nfrom .gone import y\n"),
        ("src/shop/plain/deep.py", "import shop.tax.rates\nfrom shop import Cart, prices, tax\n"),
        (
            "tests/test_cart.py",
            "import shop.tax.rates as r\nfrom shop import cart\nfrom shop.plain import deep\nimport shop.missing\nfrom helper import *\n",
        ),
        ("tests/helper.py", "import pytest\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/shop/__init__.py", "src/shop/cart.py", "import", "a dot names the own package"),
            ("src/shop/__init__.py", "src/shop/prices.py", "import", "`from . import x` names a submodule"),
            ("src/shop/cart.py", "src/shop/prices.py", "import", "`src` is a source root"),
            ("src/shop/cart.py", "src/shop/tax/rates.py", "import", "dots and a dotted path"),
            ("src/shop/cart.py", "src/shop/tax/__init__.py", "package", "a package passed on the way is loaded"),
            ("src/shop/tax/rates.py", "src/shop/prices.py", "import", "two dots name the package above"),
            ("src/shop/plain/deep.py", "src/shop/tax/rates.py", "import", "an absolute dotted path"),
            ("src/shop/plain/deep.py", "src/shop/tax/__init__.py", "package", "a package passed on the way"),
            ("src/shop/plain/deep.py", "src/shop/tax/__init__.py", "import", "a submodule may be a package"),
            ("src/shop/plain/deep.py", "src/shop/__init__.py", "import", "a name that is no submodule"),
            ("src/shop/plain/deep.py", "src/shop/prices.py", "import", "a name that is a submodule"),
            ("tests/test_cart.py", "src/shop/__init__.py", "package", "the package of a submodule"),
            ("tests/test_cart.py", "src/shop/tax/__init__.py", "package", "each package on the way"),
            ("tests/test_cart.py", "src/shop/tax/rates.py", "import", "the last segment is the module"),
            ("tests/test_cart.py", "src/shop/cart.py", "import", "`from pkg import submodule`"),
            ("tests/test_cart.py", "src/shop/plain/deep.py", "import", "a directory without __init__ is a namespace"),
            ("tests/test_cart.py", "tests/helper.py", "import", "a script finds its neighbours"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("src/shop/cart.py", "os.path", StandardLibrary),
            ("src/shop/prices.py", "__future__", StandardLibrary),
            ("src/shop/prices.py", "numpy", External),
            ("src/shop/tax/rates.py", "...above", Missing),
            ("src/shop/tax/rates.py", ".gone", Missing),
            ("tests/helper.py", "pytest", External),
            ("tests/test_cart.py", "shop.missing", Missing),
        ],
    );
    let guess = graph.edges.iter().find(|edge| edge.to == "tests/helper.py").unwrap();
    assert_eq!(guess.confidence, Confidence::Likely, "no manifest makes `tests` a source root");
    let cart = graph.edges.iter().find(|edge| edge.to == "src/shop/cart.py" && edge.from.ends_with("__init__.py"));
    assert_eq!(cart.unwrap().names, ["Cart"]);
}

#[test]
fn a_regular_package_wins_over_namespace_portions_and_the_library_over_scripts() {
    let graph = expect::graph(&[
        ("main.py", "import ns.one\nimport ns.two\nimport email\nimport types\nfrom ns import absent\n"),
        ("ns/one.py", "x = 1\n"),
        ("src/ns/two.py", "x = 2\n"),
        ("email/send.py", "import json\n"),
        ("tools/types.py", "x = 1\n"),
        ("tools/run.py", "import types\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("main.py", "ns/one.py", "import", "a portion at the root"),
            ("main.py", "src/ns/two.py", "import", "portions on several roots make one namespace (PEP 420)"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("email/send.py", "json", StandardLibrary),
            ("main.py", "email", StandardLibrary),
            ("main.py", "types", StandardLibrary),
            ("main.py", "ns.absent", Missing),
            ("tools/run.py", "types", StandardLibrary),
        ],
    );
}

#[test]
fn stubs_conditions_and_cycles() {
    let graph = expect::graph(&[
        ("a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import B\n"),
        ("b.py", "try:\n    from c import C\nexcept ImportError:\n    C = None\n"),
        ("c.py", "def late():\n    import a\n    import fast\n"),
        ("c.pyi", "class C: ...\n"),
        ("fast.pyi", "def f() -> int: ...\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.py", "b.py", "import", "an import under TYPE_CHECKING is an import"),
            ("b.py", "c.py", "import", "an import in `try` is an import"),
            ("b.py", "c.pyi", "stub", "the stub beside the module is told apart"),
            ("c.py", "a.py", "import", "an import in a function is an import"),
            ("c.py", "fast.pyi", "import", "a compiled module is known by its stub"),
        ],
    );
    assert_eq!(graph.cycles, [["a.py", "b.py", "c.py"]]);
}

#[test]
fn projects_of_a_monorepo_see_their_own_modules_first() {
    let graph = expect::graph(&[
        ("one/pyproject.toml", "[tool.setuptools.packages.find]\nwhere = [\"lib\"]\n"),
        ("one/lib/core/__init__.py", "VALUE = 1\n"),
        ("one/tests/test_core.py", "import core\nimport two_pkg\n"),
        ("two/setup.py", "from setuptools import setup\nsetup()\n"),
        ("two/core/__init__.py", "VALUE = 2\n"),
        ("two/two_pkg.py", "from core import VALUE\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("one/tests/test_core.py", "one/lib/core/__init__.py", "import", "the own project's configured root first"),
            ("one/tests/test_core.py", "two/two_pkg.py", "import", "then the roots of sibling projects"),
            ("two/two_pkg.py", "two/core/__init__.py", "import", "the own project first"),
        ],
    );
}

#[test]
fn an_empty_init_still_makes_a_package() {
    let graph =
        expect::graph(&[("app.py", "from pkg.mod import x\n"), ("pkg/__init__.py", ""), ("pkg/mod.py", "x = 1\n")]);
    expect::edges(
        &graph,
        &[
            ("app.py", "pkg/mod.py", "import", "the module"),
            ("app.py", "pkg/__init__.py", "package", "an empty file makes a regular package too"),
        ],
    );
    assert_eq!(graph.order, ["pkg/mod.py", "app.py"], "a skipped file is not ordered");
}

#[test]
fn stub_packages_and_imports_by_call() {
    let graph = expect::graph(&[
        (
            "app.py",
            "import importlib\nfrom importlib import import_module\nimport kit.core\nfrom absent.part import x\nplugin = importlib.import_module(\"kit.late\")\ndef f(name):\n    import_module('.near', __package__)\n    import_module(name)\n    other.import_module(\"kit\")\n",
        ),
        ("near.py", "x = 1\n"),
        ("kit/__init__.py", "A = 1\n"),
        ("kit/core.py", "B = 1\n"),
        ("kit/late.py", "C = 1\n"),
        ("kit-stubs/__init__.pyi", "A: int\n"),
        ("kit-stubs/core.pyi", "from kit import A\n"),
        ("absent-stubs/part.pyi", "x: int\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("app.py", "kit/__init__.py", "package", "a package passed on the way"),
            ("app.py", "kit/core.py", "import", "the module"),
            ("app.py", "kit-stubs/core.pyi", "stub", "the stub of a stub-only package (PEP 561)"),
            ("app.py", "absent-stubs/part.pyi", "import", "the stub stands in for what is not here"),
            ("app.py", "kit/late.py", "import", "a call with a literal"),
            ("app.py", "near.py", "import", "a relative call"),
            ("kit-stubs/core.pyi", "kit/__init__.py", "import", "a stub imports the package"),
            ("kit-stubs/core.pyi", "kit-stubs/__init__.pyi", "stub", "and sees its stub"),
        ],
    );
    let standard = ("app.py", "importlib", StandardLibrary);
    expect::unresolved(&graph, &[standard, standard, ("app.py", "name", Computed)]);
}
