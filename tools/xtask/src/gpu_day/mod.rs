//! `cargo xtask gpu-day`: everything that hardware is awaited for, in order, in calls of a few minutes.
//!
//! `steps` says what, `bundle` builds and packs the programs, `run` starts them, `result` is what stands of each, `page`
//! makes the tables. In a bundle the program runs what lies beside it; in the source tree it builds that first.

mod bundle;
mod machine;
mod page;
mod result;
mod run;
mod steps;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use recon_outside::folder::workspace;

use bundle::Manifest;
use machine::Machine;
use run::Day;
use steps::{CALL_MINUTES, STEPS, Step};

/// What a user asks of the day.
#[derive(Debug, Args)]
pub(crate) struct DayArgs {
    /// Only build and write the bundle, target/gpu-day.tar.xz.
    #[arg(long)]
    bundle: bool,
    /// Only print the tables that the results make.
    #[arg(long)]
    page: bool,
    /// Only name the steps.
    #[arg(long)]
    list: bool,
    /// Only steps whose names contain one of these; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Steps that do not end within this are left for the next call.
    #[arg(long, default_value_t = CALL_MINUTES)]
    minutes: u64,
    /// The folder of the results; beside the bundle, or target/gpu-day-results, where absent.
    #[arg(long)]
    out: Option<PathBuf>,
    /// On a played driver, to the first call that needs a real one; results go to a folder of their own.
    #[arg(long)]
    rehearse: bool,
    /// Build in debug mode, for a rehearsal.
    #[arg(long, requires = "rehearse")]
    debug: bool,
}

/// 0 where everything asked for has ended well, 75 where steps are left for another call, 1 where one failed.
pub(crate) fn run(arguments: &DayArgs) -> ExitCode {
    day(arguments).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn day(arguments: &DayArgs) -> anyhow::Result<ExitCode> {
    let asked =
        |step: &&Step| arguments.only.is_empty() || arguments.only.iter().any(|word| step.name.contains(word.as_str()));
    let steps: Vec<&Step> = STEPS.iter().filter(asked).collect();
    ensure!(!steps.is_empty(), "no step's name contains {:?}; --list names them", arguments.only);
    if arguments.list {
        steps.iter().for_each(|step| print(&format!("{:<24} {} minutes at most", step.name, step.limit_minutes)));
        return Ok(ExitCode::SUCCESS);
    }
    let beside = std::env::current_exe()?.ancestors().nth(2).map(Path::to_owned).unwrap_or_default();
    let carried = beside.join(bundle::MANIFEST).exists();
    let root = workspace();
    let results = if arguments.rehearse { "gpu-day-rehearsal" } else { "gpu-day-results" };
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| if carried { beside.with_file_name(results) } else { root.join("target").join(results) });
    let out = std::path::absolute(out)?;
    if arguments.page {
        print(&page::page(&out)?);
        return Ok(ExitCode::SUCCESS);
    }
    let bundle = if carried { beside } else { root.join("target/gpu-day") };
    if !carried {
        bundle::stage(&root, &bundle, &steps, arguments.debug)?;
    }
    if arguments.bundle {
        let file = root.join("target/gpu-day.tar.xz");
        let bytes = bundle::pack(&bundle, &file)?;
        print(&format!("{}: {:.1} MiB, {} steps", file.display(), bundle::mib(bytes), steps.len()));
        return Ok(ExitCode::SUCCESS);
    }
    let (machine, mut libraries) = Machine::look();
    if arguments.rehearse {
        ensure!(!carried, "a rehearsal plays the driver from the source tree");
        let folder = root.join("target/gpu-day-driver");
        machine::played_driver(&root, &folder)?;
        libraries.insert(0, folder);
        // A rehearsal is of the steps, not of what an earlier one left.
        recon_outside::folder::fresh(&out)?;
    }
    let manifest = Manifest::read(&bundle)?;
    eprintln!("{}, driver {}, PyTorch {}, commit {}", machine.device, machine.driver, machine.torch, manifest.commit);
    let day = Day { bundle, out, manifest, machine, libraries, rehearsal: arguments.rehearse };
    let minutes = if arguments.rehearse { u64::from(u32::MAX) } else { arguments.minutes };
    let done = day.run(&steps, Duration::from_secs(60 * minutes))?;
    if arguments.rehearse {
        return day.rehearsed(&steps).map(|()| ExitCode::SUCCESS);
    }
    if !done.failed.is_empty() {
        eprintln!("failed: {}; what each said is in {}", done.failed.join(", "), day.out.display());
    }
    if done.left > 0 {
        eprintln!("{} steps are left: the same command goes on", done.left);
        return Ok(ExitCode::from(75));
    }
    Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "tables and names are the task's data")]
fn print(text: &str) {
    println!("{text}");
}
