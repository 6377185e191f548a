//! `cargo xtask`: the project's own tasks. Light on purpose: it must build in seconds.

mod bench;
mod emulated;
mod gpu_day;
mod launch;
mod parity;
mod step;
mod tidy;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use recon_outside::folder::workspace;
use recon_outside::program::cargo;

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
        #[arg(long, default_value_os_t = workspace())]
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
    /// Run the launch files on this machine (mpirun, torchrun, a Slurm of one node) and hold the manifests against schemas.
    Launch {
        /// Run only the checks whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Compare the graph's edges with each language's own tools; arguments go to `recon-oracles`.
    #[command(disable_help_flag = true)]
    GraphAccuracy {
        /// Arguments of `recon-oracles graph-accuracy`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure graph, cleaning and duplicates on packages fetched by name; arguments go to `recon-oracles`.
    #[command(disable_help_flag = true)]
    GraphSpeed {
        /// Arguments of `recon-oracles graph-speed`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
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
        #[arg(long, default_value_os_t = workspace())]
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
    /// Time a training step beside transformers on PyTorch, in turns; prints one table.
    BenchStep {
        /// The run's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Set one key, over the file; may be repeated.
        #[arg(long)]
        set: Vec<String>,
        /// `cpu` or `cuda`.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// An interpreter that has PyTorch and transformers.
        #[arg(long, default_value = "python3")]
        python: PathBuf,
        /// The compiled `recon-train`, for a machine without Rust.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// The root of the repository, where the scripts are.
        #[arg(long, default_value_os_t = workspace())]
        root: PathBuf,
        /// Steps each time.
        #[arg(long, default_value_t = 4)]
        steps: u64,
        /// How often each is started.
        #[arg(long, default_value_t = 3)]
        rounds: u64,
    },
    /// Do everything that a GPU is awaited for, in order and in calls of a few minutes; or make the bundle that does.
    GpuDay(gpu_day::DayArgs),
    /// Train the embedded model again from its recipe; arguments go to `recon-nano`.
    #[command(disable_help_flag = true)]
    Nano {
        /// Arguments of `recon-nano`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Tidy { root } => tidy::run(&root),
        Task::Parity { install: true, .. } => parity::install(&workspace()),
        Task::Parity { only, .. } => parity::run_all(&workspace(), only.as_deref()),
        Task::Launch { only } => launch::run_all(&workspace(), only.as_deref()),
        Task::GraphAccuracy { arguments } => oracles("graph-accuracy", &arguments),
        Task::GraphSpeed { arguments } => oracles("graph-speed", &arguments),
        Task::KernelsEmulated { planted: false } => emulated::run(&workspace()),
        Task::KernelsEmulated { planted: true } => emulated::planted(&workspace()),
        Task::BenchGpu { binary, root, only } => bench::gpu(&root, binary.as_deref(), &only),
        Task::BenchCpu { python } => bench::cpu(&workspace(), &python),
        Task::BenchStep { config, set, device, python, binary, root, steps, rounds } => {
            let (config, set, device, python) = (&*config, &*set, &*device, &*python);
            step::run(&root, &step::Step { config, set, device, python, binary: binary.as_deref(), steps, rounds })
        }
        Task::GpuDay(arguments) => return gpu_day::run(&arguments),
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

/// Programs of their own, because they are built from more than these tasks: `cargo xtask tidy` does not wait for that.
fn oracles(task: &str, arguments: &[OsString]) -> anyhow::Result<bool> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "recon-oracles", "--", task]).args(arguments);
    Ok(command.current_dir(workspace()).status()?.success())
}

fn nano(arguments: &[OsString]) -> anyhow::Result<bool> {
    let mut command = cargo();
    command.args(["run", "--release", "--bin", "recon-nano", "--"]).args(arguments);
    Ok(command.current_dir(workspace()).status()?.success())
}
