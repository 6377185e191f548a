//! The engine on a device: a GPU (feature `cuda`; without one these tests fail), or the same kernels run on the CPU
//! (feature `emulated`).
//!
//! In f32 device and CPU differ by rounding alone, so the same numbers of the same random streams draw the same tokens.

use candle_core::{DType, Device};
use recon_engine::Engine;
use recon_lm::{Finish, GenJob, Generation, Generator, Prompt, Sampling, Scorer};
use recon_schema::Sha256;
use recon_schema::trajectory::ModelRef;

use crate::support::{engine, ids, key, model_on, run, small, tokenizer};

fn on_device<R>(f: impl FnOnce(&Device) -> R) -> R {
    #[cfg(feature = "emulated")]
    return recon_kernels::device::emulate(recon_kernels::device::Order::Descending, || f(&Device::Cpu));
    #[cfg(not(feature = "emulated"))]
    f(&recon_kernels::device::open("cuda").unwrap_or_else(|error| panic!("{error}")))
}

fn engine_on(device: &Device) -> Engine {
    let (llama, params) = model_on(device, DType::F32);
    let model = ModelRef { name: "small".into(), sha256: Sha256::of(b"small") };
    Engine::from_parts(llama, params, tokenizer(), model, &small()).unwrap()
}

/// Texts of several temperatures, nuclei and stop ids, all at once; and the nats of what follows the first.
fn texts(engine: &Engine) -> (Vec<Generation>, f64) {
    let at = engine.extend(None, &ids(50, 21)).unwrap();
    let hints = [ids(51, 3), vec![], ids(52, 30)];
    let eot = [tokenizer().special_id("<|eot_id|>").unwrap()];
    let all_control: Vec<u32> = tokenizer().special_ids().collect();
    let job = |i: usize| GenJob {
        prompt: Prompt::Branch { at: &at, hint: &hints[i % 3] },
        sampling: Sampling {
            temperature: [0.0, 0.8, 1.3, 40.0][i % 4],
            top_p: [1.0, 0.6][i % 2],
            max_new_tokens: 3 + i,
        },
        key: key(i as u32),
        stop_ids: [&[][..], &eot, &all_control][i % 3],
    };
    let texts =
        engine.generate(&(0..9).map(job).collect::<Vec<_>>()).into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    let target = ids(53, 17);
    let runs = [run(&target, true)];
    let scored = engine.score(&[recon_lm::ScoreJob { at: &at, runs: &runs, refuse_above_nats: None }]).pop();
    let Some(Ok(recon_lm::Scored::Full { nats, .. })) = scored else { panic!("nothing was refused") };
    (texts, nats)
}

#[test]
fn texts_on_the_device_are_those_of_the_cpu() {
    let (want, nats) = texts(&engine(&small()));
    let (got, got_nats) = on_device(|device| texts(&engine_on(device)));
    assert_eq!(got, want);
    assert!((got_nats - nats).abs() <= 1e-5 * nats, "{got_nats} {nats}");
    assert!(want.iter().any(|text| text.finish == Finish::Stop), "no stop id was drawn: {want:?}");
}
