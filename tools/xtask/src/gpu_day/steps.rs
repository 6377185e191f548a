//! What a machine with a GPU is awaited for, in order, as data.
//!
//! In arguments `{root}` is the bundle's folder and `{out}` that of the results. No step may take longer than one call.

/// The most minutes of a step, and of a call.
pub(super) const CALL_MINUTES: u64 = 9;

/// What a step starts, by the names under which a bundle holds programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The tests of a device in a test binary.
    Tests(&'static str),
    /// The same under `compute-sanitizer`.
    Sanitized(&'static str),
    /// The part of the kernels' bench that this word names, and of `scripts/bench/torch_gpu.py`.
    Kernels(&'static str),
    /// `recon`.
    Recon,
    /// `recon-train --rehearse`, and `scripts/bench/torch_step.py` told what it did.
    Rehearsal,
    /// The engine's bench.
    Serving,
    /// No program: the rows and losses of two quickstarts are compared.
    Compared,
}

/// One thing to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Of its results file.
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) arguments: &'static [&'static str],
    pub(super) limit_minutes: u64,
    /// Below this much memory of the GPU it is not tried, in GB.
    pub(super) needs_gb: u64,
}

const fn step(
    name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
    limit_minutes: u64,
    needs_gb: u64,
) -> Step {
    Step { name, program, arguments, limit_minutes, needs_gb }
}

const fn tests(name: &'static str, binary: &'static str, limit_minutes: u64) -> Step {
    step(name, Program::Tests(binary), &["device"], limit_minutes, 0)
}

const fn sanitized(name: &'static str, binary: &'static str) -> Step {
    step(name, Program::Sanitized(binary), &["device"], CALL_MINUTES, 0)
}

const fn kernels(name: &'static str, word: &'static str, limit_minutes: u64) -> Step {
    step(name, Program::Kernels(word), &[], limit_minutes, 0)
}

/// The quickstart on a sample of sources, with these settings.
macro_rules! quickstart {
    ($out:literal $(, $setting:literal)*) => {
        &[
            "run",
            "--config",
            "{root}/configs/quickstart.toml",
            "--set",
            "repository={root}/sample",
            "--out",
            concat!("{out}/quickstart/", $out),
            "--format",
            "json",
            $("--set", $setting),*
        ]
    };
}

/// Llama-3-8B on one GPU, rows of one document, one micro-batch a step.
macro_rules! step_8b {
    ($tokens:literal, $attention:literal, $deterministic:literal) => {
        &[
            "--config",
            "{root}/configs/llama3_8b_64k/1xh200.toml",
            "--rehearse",
            "3",
            "--set",
            "train.accumulation=1",
            "--set",
            concat!("train.window_tokens=", $tokens),
            "--set",
            concat!("train.attention=", $attention),
            "--set",
            concat!("train.deterministic=", $deterministic),
        ]
    };
}

/// All of it: first what must be right, then what is timed, the shortest first.
pub(super) const STEPS: &[Step] = &[
    step(
        "opens",
        Program::Recon,
        &["score", "--model", "nano", "--device", "cuda", "--tokens", "{root}/items.json", "--format", "json"],
        2,
        0,
    ),
    tests("right-norm", "norm", 2),
    tests("right-rms_norm", "rms_norm", 2),
    tests("right-rope", "rope", 2),
    tests("right-swiglu", "swiglu", 2),
    tests("right-embedding", "embedding", 2),
    tests("right-adamw", "adamw", 2),
    tests("right-linear", "linear", 2),
    tests("right-cross_entropy", "cross_entropy", 3),
    tests("right-sampling", "sampling", 2),
    tests("right-paged", "paged", 3),
    tests("right-attention", "attention", 4),
    tests("right-model", "model", 3),
    tests("right-engine", "engine", 3),
    tests("right-loss-series", "loss_series", 8),
    step("quickstart-cpu", Program::Recon, quickstart!("cpu"), 3, 0),
    step(
        "quickstart-gpu",
        Program::Recon,
        quickstart!("gpu", "engine.device=cuda", "engine.precision=f32", "train.device=cuda", "train.precision=f32"),
        4,
        0,
    ),
    step("quickstart-same", Program::Compared, &["{out}/quickstart/cpu", "{out}/quickstart/gpu"], 1, 0),
    kernels("speed-attention", "attention", 8),
    kernels("speed-cross_entropy", "cross_entropy", 5),
    kernels("speed-linear", "linear", 4),
    kernels("speed-rms_norm", "rms_norm", 4),
    kernels("speed-adamw", "adamw", 3),
    kernels("speed-paged", "paged", 3),
    kernels("speed-swiglu", "swiglu", 4),
    kernels("speed-rope", "rope", 4),
    kernels("speed-embedding", "embedding", 3),
    kernels("speed-sampling", "sampling", 3),
    kernels("speed-sum_of_squares", "sum_of_squares", 3),
    step(
        "train-1b-8k",
        Program::Rehearsal,
        &[
            "--config",
            "{root}/configs/llama3_2_1b.toml",
            "--rehearse",
            "3",
            "--set",
            "train.accumulation=1",
            "--set",
            "model.max_position_embeddings=8192",
        ],
        6,
        70,
    ),
    step("train-8b-8k", Program::Rehearsal, step_8b!("8192", "auto", "true"), 8, 130),
    step("train-8b-32k", Program::Rehearsal, step_8b!("32768", "auto", "true"), 8, 130),
    step("train-8b-64k", Program::Rehearsal, step_8b!("65536", "auto", "true"), 8, 130),
    step("train-8b-64k-free", Program::Rehearsal, step_8b!("65536", "auto", "false"), 8, 130),
    step("train-8b-8k-own", Program::Rehearsal, step_8b!("8192", "own", "true"), 6, 130),
    step("train-8b-64k-own", Program::Rehearsal, step_8b!("65536", "own", "true"), 8, 130),
    step("serve-8b", Program::Serving, &["--bench", "cuda", "8b"], 8, 60),
    sanitized("inside-norm", "norm"),
    sanitized("inside-rms_norm", "rms_norm"),
    sanitized("inside-rope", "rope"),
    sanitized("inside-swiglu", "swiglu"),
    sanitized("inside-embedding", "embedding"),
    sanitized("inside-adamw", "adamw"),
    sanitized("inside-linear", "linear"),
    sanitized("inside-cross_entropy", "cross_entropy"),
    sanitized("inside-sampling", "sampling"),
    sanitized("inside-paged", "paged"),
    sanitized("inside-attention", "attention"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use recon_outside::folder::workspace;

    use super::*;

    #[test]
    fn names_are_those_of_files_and_no_step_is_longer_than_a_call() {
        let names: BTreeSet<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len(), "a name stands twice");
        for step in STEPS {
            assert!(!step.name.contains(['/', ' ', '.']), "{}", step.name);
            assert!((1..=CALL_MINUTES).contains(&step.limit_minutes), "{}", step.name);
        }
    }

    /// A kernel whose tests no step runs would never be held on hardware.
    #[test]
    fn every_kernel_is_held_and_looked_at() {
        for entry in std::fs::read_dir(workspace().join("kernels")).unwrap() {
            let path = entry.unwrap().path();
            let Some(kernel) = path.extension().filter(|x| *x == "cu").and(path.file_stem()) else { continue };
            let kernel = kernel.to_str().unwrap();
            for wanted in [Program::Tests as fn(_) -> _, Program::Sanitized] {
                let runs = |step: &&Step| match (step.program, wanted("")) {
                    (Program::Tests(name), Program::Tests(_)) | (Program::Sanitized(name), Program::Sanitized(_)) => {
                        name == kernel
                    }
                    _ => false,
                };
                assert!(STEPS.iter().any(|step| runs(&step)), "no step runs the tests of {kernel}");
            }
        }
    }
}
