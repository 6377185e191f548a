//! Repositories to speak of: some written here, some made up, some from this workspace.

use std::path::Path;

use recon_graph::build;
use recon_repository::{ReadOptions, Repository, SkippedFile, read_directory};
use recon_schema::graph::{RepoGraph, SkipReason};

/// The graph of files given inline.
pub(crate) fn graph(files: &[(&str, &str)]) -> RepoGraph {
    build(&Repository::from_files("fixture", files.iter().copied()))
}

/// A file that exists and was not read.
pub(crate) fn skip(repository: &mut Repository, path: &str, reason: SkipReason) {
    repository.files.remove(path);
    repository.skipped.insert(path.into(), SkippedFile { bytes: 9, lines: 0, sha256: None, reason });
}

/// More members than one sentence names, some of them alike, and a class inside the class.
const REGISTER: &str = "\
class Register:
    total: int = 0
    count: int = 0

    def ring(self): ...
    def ring(self): ...

    class Drawer:
        '''Where the money is.'''
        def open(self): ...
        def close(self): ...
        class Coin:
            value = 1

    def last(self) -> int | None: ...
    def first(self) -> int | None: ...
    def a(self): ...
    def b(self): ...
    def c(self): ...
    def d(self): ...
    def e(self): ...

LIMIT = 9
";

/// Functions that may fail.
const TILL: &str = "\
pub fn read() -> Result<u8, Error> {
    Err(Error)
}

pub struct Error;
";

/// A project with a file of every standing: developed, dropped, held out, empty; and a ring.
pub(crate) fn shop() -> Repository {
    let files = [
        ("shop/__init__.py", "\"\"\"A small shop.\"\"\"\n"),
        ("shop/empty/__init__.py", ""),
        ("shop/wire_pb2.py", "DESCRIPTOR = 1\nclass Wire:\n    pass\n"),
        ("shop/rates.py", "RATE = 3\nOTHER = 4\n"),
        (
            "shop/price.py",
            "import yaml\nfrom shop.rates import RATE\nfrom shop import wire_pb2\n\ndef total(items):\n    return sum(items) * RATE\n",
        ),
        (
            "shop/cart.py",
            "from shop.price import total\nfrom shop.order import Order\n\nclass Cart:\n    '''Holds what is bought.'''\n    def pay(self):\n        return total(self)\n",
        ),
        (
            "shop/order.py",
            "import json\nfrom shop.cart import Cart\nfrom shop.wire_pb2 import Wire\n\nclass Order:\n    pass\n\nclass Late(Order):\n    pass\n",
        ),
        (
            "shop/secret.py",
            "from shop.price import total\nfrom shop.rates import RATE\n\ndef hidden():\n    return total\n",
        ),
        ("shop/empty/part.py", "def alone():\n    return 1\n"),
        ("app.py", "from shop.cart import Cart\nfrom shop.empty.part import alone\n\ndef main():\n    return Cart\n"),
        ("tests/test_price.py", "from shop.price import total\n\ndef test_total():\n    assert total([])\n"),
        ("shop/register.py", REGISTER),
        ("till/lib.rs", TILL),
        ("README.md", "# Shop\n"),
    ];
    let mut repository = Repository::from_files("shop", files);
    repository.untrain("shop/wire_pb2.py", SkipReason::Generated);
    repository.untrain("shop/secret.py", SkipReason::HeldOut);
    repository
}

/// What becomes of one made-up file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Dropped,
    HeldOut,
    Empty,
    Unread,
    Broken,
}

impl Fate {
    pub(crate) const ALL: [Self; 6] =
        [Self::Kept, Self::Dropped, Self::HeldOut, Self::Empty, Self::Unread, Self::Broken];
}

/// A made-up repository: file `i` imports file `j` for each pair; rings are as likely as chains.
pub(crate) fn made_up(fates: &[Fate], imports: &[(usize, usize)], missing: Option<usize>) -> Repository {
    let module = |at: usize| match at % 3 {
        0 => format!("m{at}"),
        1 => format!("pkg.m{at}"),
        _ => format!("tests.test_m{at}"),
    };
    let path = |at: usize| format!("{}.py", module(at).replace('.', "/"));
    let mut repository = Repository::from_files("made", [("pkg/__init__.py", "\"\"\"Some parts.\"\"\"\n")]);
    for (at, fate) in fates.iter().enumerate() {
        let own = imports.iter().filter(|(from, to)| *from == at && *to < fates.len() && *to != at);
        let mut text: String = own.map(|(_, to)| format!("from {} import f{to}, C{to}\n", module(*to))).collect();
        if missing == Some(at) {
            text.push_str("from .gone import nothing\n");
        }
        if at % 2 == 0 {
            text.push_str("import numpy.linalg\nimport os\n");
        }
        text.push_str(&format!("\ndef f{at}(x: int) -> int:\n    return x\n\nclass C{at}:\n    '''Number {at}.'''\n"));
        if *fate == Fate::Broken {
            text.push_str("def (:\n");
        }
        repository.insert(path(at), if *fate == Fate::Empty { String::new() } else { text });
        match fate {
            Fate::Dropped => repository.untrain(&path(at), SkipReason::Vendored),
            Fate::HeldOut => repository.untrain(&path(at), SkipReason::HeldOut),
            Fate::Unread => skip(&mut repository, &path(at), SkipReason::TooLarge),
            Fate::Kept | Fate::Empty | Fate::Broken => {}
        }
    }
    repository
}

/// The crates of this workspace, each a repository of its own, and all of them as one.
pub(crate) fn workspace() -> Vec<Repository> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &Path| read_directory(path, &ReadOptions::default()).expect("the workspace's own folder is read");
    let names = ["thought", "text", "graph", "repository", "mds", "lm"];
    let mut all: Vec<Repository> = names.iter().map(|name| read(&crates.join(name))).collect();
    all.push(read(&crates));
    all
}
