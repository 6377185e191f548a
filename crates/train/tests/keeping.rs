//! What a run keeps where something goes wrong: damaged and unfinished checkpoints, weights that overflow, a bound that
//! nobody wants.

use std::fs;
use std::path::Path;

use candle_core::DType;
use recon_checkpoint::{ModelFiles, state};
use recon_train::{
    ClipNorm, Error, Init, MemoryRows, Quiet, SavePolicy, StepMetrics, TrainOptions, TrainPlan, Warmup, export,
    export_model, run_on,
};

mod tiny;
use tiny::{Run, StopAfter, VOCABULARY, metrics, options, rows, tensors};

fn every_two(steps: u64) -> TrainOptions {
    TrainOptions { save: SavePolicy::EverySteps(2.try_into().unwrap()), ..options(steps) }
}

fn checkpoints(run: &Run, name: &str) -> Vec<String> {
    let entries = fs::read_dir(run.out(name).join("checkpoints")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn figures(metrics: Vec<StepMetrics>) -> Vec<(u64, u64, u64, u64, u64)> {
    let of = |m: StepMetrics| (m.step, m.loss_nats.to_bits(), m.grad_norm.to_bits(), m.tokens, m.trained_tokens);
    metrics.into_iter().map(of).collect()
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_run_goes_on_from_the_checkpoint_before_a_damaged_one_to_the_same_bits() {
    let run = Run::new();
    let data = MemoryRows::new(rows(6)).unwrap();
    let (whole, undisturbed) = run.train("whole", every_two(6), rows(6));
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 4] = [
        ("flipped", |newest| flip(&newest.join("00000.tensor"))),
        ("torn", |newest| fs::write(newest.join("manifest.json"), "{\"schema\": \"rec").unwrap()),
        ("empty", |newest| fs::write(newest.join("state.json"), "").unwrap()),
        ("missing", |newest| fs::remove_file(newest.join("00001.tensor")).unwrap()),
    ];
    for (name, damage) in damages {
        run_on(&run.plan(name, every_two(6)), &data, &mut StopAfter(4)).unwrap();
        assert_eq!(checkpoints(&run, name), ["step-2", "step-4"]);
        damage(&run.out(name).join("checkpoints/step-4"));
        let resumed = run_on(&TrainPlan { resume: true, ..run.plan(name, every_two(6)) }, &data, &mut Quiet).unwrap();
        assert_eq!(tensors(&resumed.checkpoint), tensors(&whole.checkpoint), "{name}");
        assert_eq!(figures(metrics(&run.out(name))), figures(undisturbed.clone()), "{name}");
        assert_eq!(checkpoints(&run, name), ["step-4", "step-6"], "{name}");
        tensors(&run.out(name).join("checkpoints/step-4"));
    }
}

#[test]
fn where_no_checkpoint_is_whole_a_run_does_not_begin_anew_by_itself() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    let stopped = run_on(&run.plan("a", options(4)), &data, &mut StopAfter(2)).unwrap();
    flip(&stopped.checkpoint.join("00000.tensor"));
    let error = run_on(&TrainPlan { resume: true, ..run.plan("a", options(4)) }, &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(recon_checkpoint::Error::NoneWhole { .. })), "{error}");
    assert_eq!(metrics(&run.out("a")).len(), 2, "what there was stays");
}

#[test]
fn what_an_interruption_left_of_a_checkpoint_goes_with_the_next_run() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    run_on(&run.plan("a", every_two(6)), &data, &mut StopAfter(4)).unwrap();
    // As a kill leaves it that comes between the manifest and the folder.
    let left = run.out("a").join("checkpoints/step-1");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("00000.tensor"), "left").unwrap();
    fs::write(left.join(".partial-x.tmp"), "left").unwrap();
    run_on(&TrainPlan { resume: true, ..run.plan("a", every_two(6)) }, &data, &mut Quiet).unwrap();
    assert_eq!(checkpoints(&run, "a"), ["step-4", "step-6"]);
}

#[test]
fn weights_that_are_not_finite_are_never_saved() {
    let run = Run::new();
    let data = MemoryRows::new(rows(4)).unwrap();
    // The first update leaves the range of f32, though its loss and gradient are finite.
    let huge = TrainOptions { lr: 1e39, min_lr: 1e39, warmup: Warmup::Steps(0), ..options(1) };
    let error = run_on(&run.plan("a", huge), &data, &mut Quiet).unwrap_err();
    assert!(matches!(error, Error::Weights { step: 1, .. }), "{error}");
    assert_eq!(state::latest(&run.out("a").join("checkpoints")).unwrap(), None);
}

#[test]
fn clipping_that_is_switched_off_is_off() {
    let run = Run::new();
    let series = |name, clip_norm| run.train(name, TrainOptions { clip_norm, ..options(6) }, rows(6)).1;
    let (off, never_reached) = (series("off", ClipNorm::Off), series("far", ClipNorm::At(1e30)));
    assert_eq!(figures(off.clone()), figures(never_reached));
    assert!(off.iter().all(|step| !step.clipped));
    let clipped = series("clipped", ClipNorm::At(0.1));
    assert!(clipped.iter().all(|step| step.clipped && step.grad_norm > 0.1), "{clipped:?}");
    assert_ne!(figures(clipped)[2..], figures(off)[2..], "the bound is felt");
}

#[test]
fn a_checkpoint_is_due_when_its_time_has_passed() {
    let run = Run::new();
    let saved = |name: &str, minutes| {
        let save = SavePolicy::EveryMinutes(minutes);
        run.train(name, TrainOptions { save, keep: 9.try_into().unwrap(), ..options(3) }, rows(4));
        checkpoints(&run, name)
    };
    assert_eq!(saved("often", 1e-9), ["step-1", "step-2", "step-3"]);
    assert_eq!(saved("seldom", 1e6), ["step-3"]);
}

#[test]
fn a_step_of_more_rows_than_there_are_takes_all_of_them_once() {
    let run = Run::new();
    let of = |micro: usize| TrainOptions { micro_batch_rows: micro.try_into().unwrap(), ..options(2) };
    let (_, asked) = run.train("asked", of(1_000_000_000_000), rows(3));
    let (_, all) = run.train("all", of(3), rows(3));
    assert_eq!(figures(asked), figures(all));
}

#[test]
fn an_exported_model_is_what_its_configuration_asks_for() {
    let run = Run::new();
    let (report, _) = run.train("a", options(2), rows(2));
    let source = run.out("source");
    export(&report.checkpoint, &source, Some(DType::F32)).unwrap();
    // As transformers 5 writes it: the rotary base and scaling in one place, the chat template in a file of its own.
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
    let rope = serde_json::json!({"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
    let map = config.as_object_mut().unwrap();
    map.remove("rope_theta");
    map.remove("rope_scaling");
    map.insert("rope_parameters".into(), rope);
    recon_schema::file::write_json(&source.join("config.json"), &config).unwrap();
    fs::write(source.join("chat_template.jinja"), "{{ messages }}").unwrap();
    with_unused_tensor(&source.join("model.safetensors"));

    let files = ModelFiles::Directory(source.clone());
    let copied = run.out("copied");
    export_model(&files, &copied, Some(DType::F32)).unwrap();
    let plan = TrainPlan { model: files, ..run.plan("b", TrainOptions { init: Init::Model, ..options(1) }) };
    let trained = run_on(&plan, &MemoryRows::new(rows(2)).unwrap(), &mut Quiet).unwrap();
    let exported = run.out("exported");
    export(&trained.checkpoint, &exported, Some(DType::F32)).unwrap();

    let read = |directory: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(directory.join("config.json")).unwrap()).unwrap()
    };
    assert_eq!(read(&copied), read(&exported), "one model, one configuration");
    for directory in [&copied, &exported] {
        let config = read(directory);
        assert_eq!(config["rope_theta"], 500_000.0, "for transformers 4");
        assert_eq!(config["rope_scaling"]["factor"], 8.0, "for transformers 4");
        assert_eq!(config["rope_parameters"]["rope_theta"], 500_000.0, "for transformers 5");
        assert_eq!(fs::read_to_string(directory.join("chat_template.jinja")).unwrap(), "{{ messages }}");
        let tensors = ModelFiles::Directory(directory.clone()).tensors().unwrap();
        assert!(!tensors.names().any(|name| name == UNUSED));
    }
    assert_eq!(read(&copied)["vocab_size"], VOCABULARY);
}

const UNUSED: &str = "model.layers.0.self_attn.masked_bias";

/// Adds a tensor of whole numbers, as old conversions left them.
fn with_unused_tensor(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let end = data.len();
    header[UNUSED] = serde_json::json!({"dtype": "I64", "shape": [1], "data_offsets": [end, end + 8]});
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    fs::write(path, [&(text.len() as u64).to_le_bytes()[..], &text, data, &[0; 8]].concat()).unwrap();
}
