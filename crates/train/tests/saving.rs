//! Checkpoints that are written while the training goes on: the same bytes, complete or not there, and what happens where
//! one cannot be written; the average of several. And the trace of a step, which a checkpoint is part of.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use recon_checkpoint::ModelFiles;
use recon_checkpoint::state::{self, SavedState};
use recon_train::{
    Averaging, Error, FailedSave, MemoryRows, Observer, Quiet, SaveMetrics, SavePolicy, TrainOptions, TrainPlan,
    average, export, run_on,
};

#[path = "tiny/figures.rs"]
mod figures;
mod tiny;
use figures::figures;
use tiny::{Run, StopAfter, metrics, options, rows, tensors};

fn every(steps: u64, save: u64) -> TrainOptions {
    TrainOptions { save: SavePolicy::EverySteps(save.try_into().unwrap()), ..options(steps) }
}

/// Every file below `directory`.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(directory).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn saves(out: &Path) -> Vec<SaveMetrics> {
    let text = fs::read_to_string(out.join("saves.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_written_in_the_background_is_what_is_written_in_the_foreground() {
    let run = Run::new();
    let with = |name: &str, save_in_background| {
        let keep = TrainOptions { keep: 9.try_into().unwrap(), save_in_background, ..every(6, 1) };
        let (_, steps) = run.train(name, keep, rows(6));
        (files(&run.out(name).join("checkpoints")), figures(&steps))
    };
    let (foreground, background) = (with("foreground", false), with("background", true));
    assert_eq!(foreground.1, background.1);
    assert!(foreground.0 == background.0 && foreground.0.len() == 6 * (2 + 3 * 3), "six of nine tensors each");
    // Of each step another: what is copied is the state of its step, not a later one.
    let embedding = |step: u64| &background.0[&PathBuf::from(format!("step-{step}/00000.tensor"))];
    assert!((1..6).all(|step| embedding(step) != embedding(step + 1)));
    for name in ["foreground", "background"] {
        let told = saves(&run.out(name));
        assert_eq!(told.iter().map(|save| save.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6], "{name}");
        for SaveMetrics { step, stall_s, total_s, bytes, failed } in told {
            let manifest =
                recon_schema::manifest::Manifest::read(&run.out(name).join(format!("checkpoints/step-{step}")));
            let written: u64 = manifest.unwrap().unwrap().outputs.values().map(|file| file.bytes).sum();
            assert!(0.0 < stall_s && stall_s <= total_s && bytes == Some(written) && failed.is_none());
        }
    }
}

#[test]
fn a_run_that_is_stopped_has_its_checkpoint_when_it_returns() {
    let run = Run::new();
    let data = MemoryRows::new(rows(6)).unwrap();
    let mut told = Complete::default();
    let stopped = run_on(&run.plan("a", every(6, 100)), &data, &mut StopAfter(3)).unwrap();
    tensors(&stopped.checkpoint);
    assert_eq!(saves(&run.out("a")).len(), 1);
    run_on(&TrainPlan { resume: true, ..run.plan("a", every(6, 100)) }, &data, &mut told).unwrap();
    assert_eq!(told.0, [6]);
}

#[test]
fn the_newest_stay_and_every_so_many() {
    let run = Run::new();
    run.train("a", TrainOptions { keep_every: 3.try_into().ok(), ..every(8, 1) }, rows(6));
    let there: Vec<u64> =
        (1..=8).filter(|step| state::path(&run.out("a").join("checkpoints"), *step).exists()).collect();
    assert_eq!(there, [3, 6, 7, 8]);
}

/// Sees that a checkpoint it is told of is complete.
#[derive(Default)]
struct Complete(Vec<u64>);

impl Observer for Complete {
    fn saved(&mut self, checkpoint: &Path, metrics: &SaveMetrics) {
        SavedState::open(checkpoint).unwrap();
        self.0.push(metrics.step);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_the_run_or_is_told_and_the_one_before_stays() {
    let run = Run::new();
    let data = MemoryRows::new(rows(6)).unwrap();
    for save_in_background in [false, true] {
        // In the place of the fourth step's folder there is a file; of the sixth step's as well, in the last run.
        let train = |name: String, steps, failed_save, blocked: &[u64], observer: &mut dyn Observer| {
            let plan = run.plan(&name, TrainOptions { failed_save, save_in_background, ..every(steps, 2) });
            let checkpoints = run.out(&name).join("checkpoints");
            fs::create_dir_all(&checkpoints).unwrap();
            for step in blocked {
                fs::write(checkpoints.join(format!("step-{step}")), "in the way").unwrap();
            }
            (run_on(&TrainPlan { resume: true, ..plan }, &data, observer), checkpoints)
        };
        let name = |what: &str| format!("{what}-{save_in_background}");
        let (stopped, checkpoints) = train(name("stop"), 40, FailedSave::Stop, &[4], &mut Quiet);
        let error = stopped.unwrap_err();
        assert!(matches!(error, Error::Checkpoint(recon_checkpoint::Error::Write { .. })), "{error}");
        assert!(state::latest(&checkpoints).unwrap().is_some_and(|newest| newest.ends_with("step-2")));
        let steps = metrics(&run.out(&name("stop"))).len();
        assert!((4..=6).contains(&steps), "it stops at the latest where the next one is due, not after step {steps}");

        let mut told = Complete::default();
        let (gone_on, checkpoints) = train(name("go-on"), 6, FailedSave::GoOn, &[4], &mut told);
        assert_eq!((gone_on.unwrap().step, told.0), (6, vec![2, 6]));
        tensors(&checkpoints.join("step-6"));
        let saves = saves(&run.out(&name("go-on")));
        let failed: Vec<_> =
            saves.iter().map(|save| (save.step, save.failed.is_some(), save.bytes.is_some())).collect();
        assert_eq!(failed, [(2, false, true), (4, true, false), (6, false, true)]);

        let (last, checkpoints) = train(name("last"), 6, FailedSave::GoOn, &[6], &mut Quiet);
        assert!(last.is_err(), "no run is done without its last checkpoint");
        tensors(&checkpoints.join("step-4"));
    }
}

#[test]
fn a_trace_tells_what_a_step_spent_its_time_on_and_changes_no_bit() {
    let run = Run::new();
    let of =
        |trace: u64| TrainOptions { trace: trace.try_into().ok(), accumulation: 2.try_into().unwrap(), ..every(3, 1) };
    let (traced, steps) = run.train("traced", of(2), rows(8));
    let (plain, plain_steps) = run.train("plain", of(0), rows(8));
    assert_eq!((tensors(&traced.checkpoint), figures(&steps)), (tensors(&plain.checkpoint), figures(&plain_steps)));
    assert!(!run.out("plain").join("trace-step-2.json").exists());
    let text = fs::read_to_string(run.out("traced").join("trace-step-2.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&text).unwrap();
    let spans: Vec<(String, u64, f64, f64)> = trace["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["ph"] == "X")
        .map(|event| {
            let number = |key: &str| event[key].as_f64().unwrap();
            let name = event["name"].as_str().unwrap().to_owned();
            (name, event["tid"].as_u64().unwrap(), number("ts"), number("ts") + number("dur"))
        })
        .collect();
    let named = |name: &str| spans.iter().filter(|span| span.0 == name).collect::<Vec<_>>();
    let twice = [
        "embedding forward",
        "layer 0 forward",
        "layer 1 forward",
        "head forward and backward",
        "layer 1 backward",
        "layer 0 backward",
        "embedding backward",
    ];
    for micro_batch in 0..2 {
        let whole = named(&format!("micro-batch {micro_batch}"))[0];
        let mut before = whole.2;
        for name in twice {
            let spans = named(name);
            let span = spans[micro_batch];
            assert!(spans.len() == 2 && before <= span.2 && span.2 <= span.3 && span.3 <= whole.3, "{name}: {span:?}");
            before = span.3;
        }
    }
    for name in ["rows", "exchange and norms", "optimizer", "checkpoint of step 2"] {
        assert_eq!(named(name).len(), 1, "{name}");
    }
    assert!(named("checkpoint of step 3").is_empty(), "of what comes later nothing");
    assert!(named("checkpoint of step 2")[0].1 != named("optimizer")[0].1, "on a track of its own");
}

#[test]
fn an_average_is_that_of_the_exports_and_only_of_one_model() {
    let run = Run::new();
    run.train("a", TrainOptions { keep: 9.try_into().unwrap(), ..every(3, 1) }, rows(6));
    let at = |step: u64| run.out("a").join(format!("checkpoints/step-{step}"));
    let weights = |name: &str| {
        let tensors = ModelFiles::Directory(run.out(name)).tensors().unwrap();
        let read = |name: &str| tensors.read(name, DType::F32, &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1();
        tensors.names().flat_map(|name| read(name).unwrap()).collect::<Vec<f32>>()
    };
    let steps = [1, 2, 3].map(|step| {
        let name = format!("export-{step}");
        export(&at(step), &run.out(&name), Some(DType::F32)).unwrap();
        weights(&name)
    });
    // Given in another order than that of the steps.
    let given = [at(3), at(1), at(2)];
    for (name, averaging, shares) in
        [("mean", Averaging::Uniform, [1.0 / 3.0; 3]), ("moving", Averaging::Moving(0.8), [0.64, 0.16, 0.2])]
    {
        average(&given, averaging, &run.out(name), Some(DType::F32)).unwrap();
        for (at, value) in weights(name).into_iter().enumerate() {
            let expected: f64 = steps.iter().zip(shares).map(|(step, share)| f64::from(step[at]) * share).sum();
            assert!((f64::from(value) - expected).abs() <= f64::from(f32::EPSILON) * expected.abs(), "{name} {at}");
        }
    }
    average(&[at(2), at(2), at(2)], Averaging::Uniform, &run.out("same"), Some(DType::F32)).unwrap();
    assert_eq!(weights("same"), steps[1], "three times the same is the same to the bit");

    let wider = TrainPlan { model: tiny::model(run.directory.path(), 64), ..run.plan("wider", every(1, 1)) };
    let wider = run_on(&wider, &MemoryRows::new(rows(2)).unwrap(), &mut Quiet).unwrap().checkpoint;
    let error = average(&[at(1), wider], Averaging::Uniform, &run.out("x"), None).unwrap_err();
    assert!(matches!(&error, Error::Unlike { key, .. } if key == "hidden_size"), "{error}");
    for (checkpoints, averaging) in [(&given[..0], Averaging::Uniform), (&given[..], Averaging::Moving(1.0))] {
        let error = average(checkpoints, averaging, &run.out("x"), None).unwrap_err();
        assert!(matches!(error, Error::Average { .. }), "{error}");
    }
    assert!(!run.out("x").exists());
}
