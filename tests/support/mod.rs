//! What the whole-pipeline tests share: running the binaries, and small repositories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod ran;
pub(crate) use ran::Ran;

impl Ran {
    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }
}

/// A command that runs `recon`, with logs quiet.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recon"));
    command.env("RUST_LOG", "warn");
    command
}

/// Runs `recon` with these arguments.
pub(crate) fn recon<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    command().args(arguments).output().expect("the binary starts").into()
}

/// Writes files below `root`.
pub(crate) fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a path below the root")).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Path of something committed in the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A Python package of a few files that import each other.
pub(crate) fn small_package(root: &Path) {
    write(
        root,
        &[
            ("shop/__init__.py", "\"\"\"A small shop.\"\"\"\nfrom .cart import Cart\n"),
            (
                "shop/money.py",
                "\"\"\"Amounts of money in cents.\"\"\"\n\n\nclass Money:\n    \"\"\"An amount.\"\"\"\n\n    \
                 def __init__(self, cents):\n        self.cents = cents\n\n    def add(self, other):\n        \
                 return Money(self.cents + other.cents)\n\n    def format(self):\n        \
                 return f\"{self.cents // 100}.{self.cents % 100:02}\"\n",
            ),
            (
                "shop/item.py",
                "\"\"\"Things that can be bought.\"\"\"\nfrom .money import Money\n\n\nclass Item:\n    \
                 def __init__(self, name, cents):\n        self.name = name\n        self.price = Money(cents)\n",
            ),
            (
                "shop/cart.py",
                "\"\"\"What a customer wants to buy.\"\"\"\nfrom .item import Item\nfrom .money import Money\n\n\n\
                 class Cart:\n    def __init__(self):\n        self.items = []\n\n    def add(self, name, cents):\n        \
                 self.items.append(Item(name, cents))\n\n    def total(self):\n        total = Money(0)\n        \
                 for item in self.items:\n            total = total.add(item.price)\n        return total\n",
            ),
            (
                "shop/receipt.py",
                "\"\"\"Prints what was bought.\"\"\"\nfrom .cart import Cart\n\n\ndef receipt(cart: Cart) -> str:\n    \
                 lines = [f\"{item.name}: {item.price.format()}\" for item in cart.items]\n    \
                 lines.append(f\"total: {cart.total().format()}\")\n    return \"\\n\".join(lines)\n",
            ),
            (
                "shop/discount.py",
                "\"\"\"Reductions on a cart.\"\"\"\nfrom .cart import Cart\nfrom .money import Money\n\n\n\
                 def reduced(cart: Cart, percent: int) -> Money:\n    \
                 return Money(cart.total().cents * (100 - percent) // 100)\n",
            ),
            ("pyproject.toml", "[project]\nname = \"shop\"\nversion = \"1.0\"\nlicense = \"MIT\"\n"),
        ],
    );
}
