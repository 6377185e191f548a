//! Training states: bit for bit, refused when damaged, the newest kept.

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use recon_checkpoint::state::{self, Keep, SavedState};
use serde_json::json;

fn keep(newest: usize, every: u64) -> Keep {
    Keep { newest: NonZeroUsize::new(newest).unwrap(), every: NonZeroU64::new(every) }
}

/// Values a decimal round trip would lose: subnormals, a NaN payload, −0, and a type each.
fn tensors() -> Vec<(String, Tensor)> {
    let odd = [f32::from_bits(1), f32::from_bits(0x7fc0_1234), -0.0, f32::MAX, f32::NEG_INFINITY, 0.1];
    let odd = Tensor::new(&odd, &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
    let whole = Tensor::new(&[1_u32, u32::MAX], &Device::Cpu).unwrap();
    vec![
        ("layer.0.master".into(), odd.clone()),
        ("layer.0.weight".into(), Tensor::new(&[0.1_f32, 2.0], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap()),
        ("layer.0.exact".into(), Tensor::new(&[1.0_f64 / 3.0], &Device::Cpu).unwrap()),
        ("loader.position".into(), whole),
        ("empty".into(), Tensor::zeros(0, DType::F32, &Device::Cpu).unwrap()),
    ]
}

fn save(directory: &Path, step: u64, kept: usize) {
    let tensors = tensors().into_iter().map(Ok::<_, recon_checkpoint::Error>);
    state::save(directory, step, &json!({"lr": 0.1, "step": step}), tensors, keep(kept, 0)).unwrap();
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::F32 => flat.to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits().into()).collect(),
        DType::F64 => flat.to_vec1::<f64>().unwrap().iter().map(|x| x.to_bits()).collect(),
        DType::BF16 => flat.to_vec1::<half::bf16>().unwrap().iter().map(|x| x.to_bits().into()).collect(),
        _ => flat.to_vec1::<u32>().unwrap().iter().map(|x| (*x).into()).collect(),
    }
}

#[test]
fn a_state_comes_back_bit_for_bit() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), 7, 1);
    let state = SavedState::open(&state::latest(root.path()).unwrap().unwrap()).unwrap();
    assert_eq!((state.step, &state.record), (7, &json!({"lr": 0.1, "step": 7})));
    assert!(state.names().eq(tensors().iter().map(|(name, _)| name.as_str())));
    for (name, want) in &tensors() {
        let got = state.tensor(name).unwrap();
        assert_eq!((want.dtype(), want.dims()), (got.dtype(), got.dims()));
        assert_eq!(bits(want), bits(&got), "{name}");
        let elements = want.elem_count();
        for range in [0..0, 0..elements, elements / 2..elements, elements..elements] {
            assert_eq!(bits(&state.read(name, range.clone()).unwrap()), bits(want)[range], "{name}");
        }
        assert!(state.read(name, 0..elements + 1).is_err());
    }
    assert!(state.shape("absent").is_none() && state.tensor("absent").is_err());
}

#[test]
fn what_is_saved_of_a_view_is_what_it_shows() {
    let root = tempfile::tempdir().unwrap();
    let whole = Tensor::new(&[[1_f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu).unwrap();
    let views = [("turned", whole.t().unwrap()), ("narrow", whole.narrow(0, 1, 1).unwrap())];
    let named = views.iter().map(|(name, view)| Ok::<_, recon_checkpoint::Error>(((*name).into(), view.clone())));
    state::save(root.path(), 1, &json!({}), named, keep(1, 0)).unwrap();
    let state = SavedState::open(&state::path(root.path(), 1)).unwrap();
    for (name, view) in views {
        assert_eq!(bits(&state.tensor(name).unwrap()), bits(&view), "{name}");
    }
}

#[test]
fn what_could_not_be_written_leaves_nothing_and_the_one_before_stays() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), 1, 1);
    let fails = Err(recon_checkpoint::Error::Malformed { path: "x".into(), problem: "no room".into() });
    let named = tensors().into_iter().map(Ok).chain([fails]);
    let error = state::save(root.path(), 2, &json!({}), named, keep(1, 0)).unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
    assert!(!state::path(root.path(), 2).exists());
    SavedState::open(&state::latest(root.path()).unwrap().unwrap()).unwrap();
}

#[test]
fn every_so_many_stay_beside_the_newest() {
    let root = tempfile::tempdir().unwrap();
    for step in 1..=11 {
        let none = std::iter::empty::<Result<_, recon_checkpoint::Error>>();
        state::save(root.path(), step, &json!({}), none, keep(2, 4)).unwrap();
    }
    let there: Vec<u64> = (1..=11).filter(|step| state::path(root.path(), *step).exists()).collect();
    assert_eq!(there, [4, 8, 10, 11]);
}

#[test]
fn the_newest_are_kept_and_an_unfinished_one_is_not_seen() {
    let root = tempfile::tempdir().unwrap();
    assert!(state::latest(&root.path().join("absent")).unwrap().is_none());
    for step in [9, 10, 100] {
        save(root.path(), step, 2);
    }
    let steps = |root: &Path| {
        let mut steps: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        steps.sort();
        steps
    };
    assert_eq!(steps(root.path()), ["step-10", "step-100"]);
    fs::remove_file(state::path(root.path(), 100).join("manifest.json")).unwrap();
    assert_eq!(state::latest(root.path()).unwrap().unwrap(), state::path(root.path(), 10));
    let error = SavedState::open(&state::path(root.path(), 100)).unwrap_err().to_string();
    assert!(error.contains("never finished"), "{error}");
    save(root.path(), 100, 2);
    assert!(SavedState::open(&state::path(root.path(), 100)).is_ok(), "an unfinished checkpoint is replaced");
}

#[test]
fn any_damage_is_refused_and_the_file_named() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), 1, 1);
    let checkpoint = state::path(root.path(), 1);
    let files: Vec<_> = fs::read_dir(&checkpoint).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), tensors().len() + 2);
    for path in files.iter().filter(|path| !path.ends_with("manifest.json")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let good = fs::read(path).unwrap();
        let mut damages = vec![[good.as_slice(), &[0]].concat()];
        if !good.is_empty() {
            damages.push(good[..good.len() - 1].to_vec());
            damages.push(
                good.iter().enumerate().map(|(at, byte)| if at == good.len() / 2 { byte ^ 1 } else { *byte }).collect(),
            );
        }
        for damage in damages {
            fs::write(path, damage).unwrap();
            let error = SavedState::open(&checkpoint).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
        fs::remove_file(path).unwrap();
        assert!(SavedState::open(&checkpoint).unwrap_err().to_string().contains(name));
        fs::write(path, good).unwrap();
    }
    assert!(SavedState::open(&checkpoint).is_ok());
}

#[test]
fn the_newest_whole_one_is_used_and_a_damaged_one_takes_no_place_among_those_kept() {
    let root = tempfile::tempdir().unwrap();
    assert!(state::open_newest(root.path()).unwrap().is_none());
    save(root.path(), 8, 2);
    save(root.path(), 10, 2);
    fs::write(state::path(root.path(), 10).join("state.json"), "{}").unwrap();
    let found = state::open_newest(root.path()).unwrap().unwrap();
    assert_eq!((found.path(), found.step), (state::path(root.path(), 8).as_path(), 8));
    save(root.path(), 9, 1);
    assert_eq!(state::latest(root.path()).unwrap(), Some(state::path(root.path(), 9)));
    assert!(!state::path(root.path(), 10).exists() && !state::path(root.path(), 8).exists());
    fs::remove_file(state::path(root.path(), 9).join("00000.tensor")).unwrap();
    let error = state::open_newest(root.path()).unwrap_err();
    assert!(matches!(error, recon_checkpoint::Error::NoneWhole { .. }), "{error}");
}

#[test]
fn only_folders_that_are_called_like_checkpoints_are_swept() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), 3, 1);
    for name in ["step-1", "step-x", "notes"] {
        fs::create_dir(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("00000.tensor"), "left").unwrap();
    }
    fs::write(root.path().join("step-2"), "a file").unwrap();
    state::sweep(root.path()).unwrap();
    let there = |name: &str| root.path().join(name).exists();
    assert!(!there("step-1"));
    assert!(["step-2", "step-3", "step-x", "notes"].into_iter().all(there));
    state::sweep(&root.path().join("absent")).unwrap();
}
