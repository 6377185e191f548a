//! Bad steps, validation, gradient norms by layer: what a run says of itself on the way, and goes on with.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::DType;
use recon_checkpoint::state::SavedState;
use recon_train::{
    BadSteps, Error, MemoryRows, Observer, Quiet, Rewound, SavePolicy, Skipped, StepMetrics, TrainOptions, TrainPlan,
    ValidationOptions, ValidationSource, Warmup, export_newest, run_on,
};

#[path = "tiny/figures.rs"]
mod figures;
mod tiny;
use figures::figures;
use tiny::{Run, StopAfter, metrics, options, rows, tensors};

/// A learning rate under which weights leave the range of f32 in a step or two, with a finite first step.
fn exploding(steps: u64, skip: u64) -> TrainOptions {
    let bad_steps = BadSteps { skip, ..BadSteps::default() };
    TrainOptions { lr: 1e18, min_lr: 1e18, warmup: Warmup::Steps(0), bad_steps, ..options(steps) }
}

#[test]
fn steps_that_are_not_finite_are_left_out_and_counted_up_to_a_number() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    let error = run_on(&run.plan("stops", exploding(6, 0)), &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Loss { .. } | Error::Gradient { .. }), "{error}");
    let stopped = metrics(&run.out("stops")).len() as u64;
    assert!((1..6).contains(&stopped), "the first step is finite");

    run_on(&run.plan("skips", exploding(6, 6)), &data, &mut Quiet).unwrap();
    let steps = metrics(&run.out("skips"));
    let (good, bad) = steps.split_at(stopped as usize);
    assert!(good.iter().all(|step| step.skipped.is_none()) && !bad.is_empty());
    for (at, step) in bad.iter().enumerate() {
        assert!(matches!(step.skipped, Some(Skipped::Loss | Skipped::Gradient)), "{step:?}");
        assert_eq!((step.skipped_steps, step.grad_norm.is_nan(), step.clipped), (at as u64 + 1, true, false));
    }
    let kept = tensors(&run.out("skips").join("checkpoints/step-6"));
    run_on(&run.plan("until", exploding(6, 0)), &data, &mut StopAfter(stopped)).unwrap();
    assert_eq!(kept, tensors(&run.out("until").join(format!("checkpoints/step-{stopped}"))), "nothing was updated");

    let error = run_on(&run.plan("one", exploding(6, 1)), &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Loss { .. } | Error::Gradient { .. }), "{error}");
    assert_eq!(metrics(&run.out("one")).len() as u64, stopped + 1);
}

#[test]
fn a_spike_is_left_out_and_a_resumed_run_tells_it_from_the_same_norms() {
    let run = Run::new();
    // One row in 24 is noise, whose gradient is larger than that of what is learned.
    let mut data = rows(24);
    data.iter_mut().take(23).for_each(|row| row.ids.fill(7));
    let data = MemoryRows::new(data).unwrap();
    let bad_steps = BadSteps { skip: 9, spike_factor: Some(3.0), ..BadSteps::default() };
    let options = TrainOptions { micro_batch_rows: 1.try_into().unwrap(), bad_steps, ..options(30) };
    run_on(&run.plan("whole", options.clone()), &data, &mut Quiet).unwrap();
    let whole = metrics(&run.out("whole"));
    let skipped: Vec<u64> = whole.iter().filter(|step| step.skipped.is_some()).map(|step| step.step).collect();
    assert_eq!(skipped, [24], "{:?}", whole.iter().map(|step| step.grad_norm).collect::<Vec<_>>());
    assert_eq!(whole[23].skipped, Some(Skipped::Spike));
    run_on(&run.plan("half", options.clone()), &data, &mut StopAfter(20)).unwrap();
    let resumed = TrainPlan { resume: true, ..run.plan("half", options.clone()) };
    run_on(&resumed, &data, &mut Quiet).unwrap();
    assert_eq!(figures(&metrics(&run.out("half"))), figures(&whole));
    let strict = TrainOptions { bad_steps: BadSteps { skip: 0, ..bad_steps }, ..options };
    let error = run_on(&run.plan("strict", strict), &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Spike { step: 24, .. }), "{error}");
}

/// Copies the run's folder after every step, as a kill would leave it.
struct CopyEach<'a> {
    run: &'a Run,
    copies: usize,
}

impl Observer for CopyEach<'_> {
    fn step(&mut self, _: &StepMetrics) -> ControlFlow<()> {
        copy_folder(&self.run.out("whole"), &self.run.out(&format!("killed-{}", self.copies)));
        self.copies += 1;
        ControlFlow::Continue(())
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_run_goes_back_passes_over_rows_and_a_killed_one_does_so_again_to_the_same_bits() {
    let run = Run::new();
    // Two rows in 30 are noise, the second of which comes soon after the first.
    let mut data = rows(30);
    data.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 23 | 26)).for_each(|(_, row)| row.ids.fill(7));
    let data = MemoryRows::new(data).unwrap();
    let of = |rewind| TrainOptions {
        micro_batch_rows: 1.try_into().unwrap(),
        bad_steps: BadSteps { rewind, spike_factor: Some(1.1), ..BadSteps::default() },
        save: SavePolicy::EverySteps(5.try_into().unwrap()),
        // What lies in the folder after a step does not depend on a thread.
        save_in_background: false,
        ..options(26)
    };
    let mut copies = CopyEach { run: &run, copies: 0 };
    let done = run_on(&run.plan("whole", of(2)), &data, &mut copies).unwrap();
    let whole = metrics(&run.out("whole"));
    assert_eq!(whole.iter().map(|step| step.step).collect::<Vec<_>>(), (1..=26).collect::<Vec<_>>());
    let rewound: Vec<_> = whole.iter().filter(|step| !step.rewound.is_empty()).collect();
    let [once] = &rewound[..] else { panic!("{:?}", whole.iter().map(|step| step.grad_norm).collect::<Vec<_>>()) };
    // From step 24 to 20, past rows 20 to 23; then from 23, whose row is 26, to 20 again.
    let told = |from_step, rows| Rewound { from_step, reason: Skipped::Spike, to_step: 20, rows };
    assert_eq!((once.step, &once.rewound[..]), (21, &[told(24, 4), told(23, 7)][..]));
    let state = SavedState::open(&done.checkpoint).unwrap();
    assert_eq!(state.record["position"], 26 + 7);
    assert_eq!(whole[25].tokens, 26 * 24, "what was passed over is not counted");
    assert_eq!(copies.copies, 23 + 2 + 6, "steps up to the first, to the second, and to the end");

    for at in [18, 22, 23, 24, 25, 28] {
        let name = format!("killed-{at}");
        let plan = TrainPlan { resume: true, ..run.plan(&name, of(2)) };
        let resumed = run_on(&plan, &data, &mut Quiet).unwrap();
        assert_eq!(figures(&metrics(&run.out(&name))), figures(&whole), "{name}");
        assert_eq!(tensors(&resumed.checkpoint), tensors(&done.checkpoint), "{name}");
    }
    let error = run_on(&run.plan("once", of(1)), &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Spike { step: 23, .. }), "no more than it may: {error}");
    let unsaved = TrainOptions { save: SavePolicy::AtEnd, ..of(2) };
    let error = run_on(&run.plan("unsaved", unsaved), &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Spike { step: 24, .. }), "nothing to go back to: {error}");
}

#[test]
fn the_norms_of_the_units_make_the_norm() {
    let run = Run::new();
    let (_, steps) = run.train("a", options(2), rows(4));
    for step in steps {
        // Embedding and head are one, tied; two layers.
        assert_eq!(step.unit_grad_norms.len(), 3);
        let norm = step.unit_grad_norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt();
        assert!((norm / step.grad_norm - 1.0).abs() < 1e-12, "{step:?}");
    }
}

#[test]
fn rows_that_are_not_trained_on_are_measured_and_change_nothing() {
    let run = Run::new();
    let held_out = run.out("held-out");
    let documents = rows(5).into_iter().map(|row| recon_pack::PackDocument::new("d", row.ids, row.mask));
    let pack_options = recon_pack::PackOptions { row_tokens: 24, ..recon_pack::PackOptions::default() };
    recon_pack::pack(documents, &pack_options, &held_out).unwrap();
    let source = |name: &str| ValidationSource { directory: held_out.clone(), name: name.into() };
    let validation = |sources| {
        let (every_steps, rows) = (2.try_into().unwrap(), 3.try_into().unwrap());
        Some(ValidationOptions { every_steps, rows, sources })
    };
    let measured = TrainOptions { validation: validation(vec![source("general")]), ..options(5) };
    let (with, steps) = run.train("with", measured, rows(4));
    let (without, plain) = run.train("without", options(5), rows(4));
    assert_eq!(tensors(&with.checkpoint), tensors(&without.checkpoint));
    assert!(plain.iter().all(|step| step.validation.is_empty()));
    let at: Vec<u64> = steps.iter().filter(|step| !step.validation.is_empty()).map(|step| step.step).collect();
    assert_eq!(at, [2, 4, 5], "every second and the last");
    let [told] = &steps[4].validation[..] else { panic!("{steps:?}") };
    assert_eq!((told.source.as_str(), told.tokens), ("general", 3 * 23));
    assert!(told.loss_nats.is_finite() && told.loss_nats != steps[1].validation[0].loss_nats);
    for sources in [vec![], vec![source("a"), source("a")]] {
        let wrong = TrainOptions { validation: validation(sources), ..options(1) };
        let error = run_on(&run.plan("wrong", wrong), &MemoryRows::new(rows(1)).unwrap(), &mut Quiet).unwrap_err();
        assert!(matches!(error, Error::Option { key: "validation", .. }), "{error}");
    }
}

#[test]
fn an_export_is_of_the_newest_checkpoint_that_is_whole() {
    let run = Run::new();
    let save = recon_train::SavePolicy::EverySteps(2.try_into().unwrap());
    run.train("a", TrainOptions { save, ..options(4) }, rows(4));
    let checkpoints = run.out("a").join("checkpoints");
    let exported = |name: &str| export_newest(&checkpoints, &run.out(name), Some(DType::F32)).map(Option::unwrap);
    assert!(exported("newest").unwrap().ends_with("step-4"));
    std::fs::write(checkpoints.join("step-4/00000.tensor"), "torn").unwrap();
    assert!(exported("older").unwrap().ends_with("step-2"));
    let weights = |name: &str| std::fs::read(run.out(name).join("model.safetensors")).unwrap();
    assert_ne!(weights("older"), weights("newest"));
    std::fs::write(checkpoints.join("step-2/state.json"), "torn").unwrap();
    assert!(exported("none").is_err() && !run.out("none").exists());
    assert_eq!(export_newest(&run.out("nowhere"), &run.out("none"), Some(DType::F32)).unwrap(), None);
}
