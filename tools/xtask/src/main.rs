//! `cargo xtask`: the project's own tasks. Light on purpose: it must build in seconds.

mod accuracy;
mod bench;
mod emulated;
mod parity;
mod speed;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Hold the source tree against the rules of ARCHITECTURE.md.
    Tidy {
        /// The tree to check.
        #[arg(long, default_value_os_t = workspace_root())]
        root: PathBuf,
    },
    /// Run the outside witnesses (Python packages, fetched by name); fails rather than skips.
    Parity {
        /// Run only the checks whose name contains this.
        #[arg(long)]
        only: Option<String>,
        /// Only install the witnesses.
        #[arg(long)]
        install: bool,
    },
    /// Compare the graph's edges with each language's own tools; writes docs/graph-accuracy.md.
    GraphAccuracy {
        /// Measure only the languages whose name contains this.
        #[arg(long)]
        language: Option<String>,
        /// A built `recon` to use; the release binary is built if absent.
        #[arg(long)]
        recon: Option<PathBuf>,
        /// Print every difference.
        #[arg(long)]
        differences: bool,
    },
    /// Measure graph, cleaning and duplicates on packages fetched by name, beside bare parsing and
    /// `ruff analyze graph`; writes docs/graph-speed.md.
    GraphSpeed,
    /// Run every CUDA kernel on the CPU, through the device's code, against the float64 references; needs a C++ compiler.
    KernelsEmulated {
        /// Run the tests on kernels with planted bugs instead: each bug must be found.
        #[arg(long)]
        planted: bool,
    },
    /// Time every kernel on the GPU beside PyTorch; prints one table.
    BenchGpu {
        /// The compiled bench (`--bench device`), for a machine without Rust.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// The root of the repository, where the scripts are.
        #[arg(long, default_value_os_t = workspace_root())]
        root: PathBuf,
        /// Only operations whose name contains this.
        #[arg(default_value = "")]
        only: String,
    },
    /// Time the CPU's kernels beside PyTorch; prints one table.
    BenchCpu {
        /// An interpreter that has PyTorch.
        #[arg(long, default_value = "python3")]
        python: PathBuf,
    },
    /// Train the embedded model again from its recipe; arguments go to `recon-nano`.
    Nano {
        /// Arguments of `recon-nano`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("tools/xtask lies two levels below the root").into()
}

/// Cargo, in the environment that this task was started in: cargo describes the package it runs in variables, and build
/// scripts that watch those would run again, with all that depends on them.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| text.starts_with(start)) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Tidy { root } => tidy::run(&root),
        Task::Parity { install: true, .. } => parity::install(&workspace_root()),
        Task::Parity { only, .. } => parity::run_all(&workspace_root(), only.as_deref()),
        Task::GraphAccuracy { language, recon, differences } => {
            accuracy::run(&workspace_root(), language.as_deref(), recon.as_deref(), differences)
        }
        Task::GraphSpeed => speed::run(&workspace_root()),
        Task::KernelsEmulated { planted: false } => emulated::run(&workspace_root()),
        Task::KernelsEmulated { planted: true } => emulated::planted(&workspace_root()),
        Task::BenchGpu { binary, root, only } => bench::gpu(&root, binary.as_deref(), &only),
        Task::BenchCpu { python } => bench::cpu(&workspace_root(), &python),
        Task::Nano { arguments } => nano(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn nano(arguments: &[String]) -> anyhow::Result<bool> {
    let mut command = cargo();
    command.args(["run", "--release", "--bin", "recon-nano", "--"]).args(arguments);
    Ok(command.current_dir(workspace_root()).status()?.success())
}
