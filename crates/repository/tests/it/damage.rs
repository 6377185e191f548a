//! Bytes damaged at random, from a fixed seed, so a failure is the same everywhere.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub(crate) fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// One way to damage bytes.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Double(usize, usize),
    Insert(usize, Vec<u8>),
}

pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, by)| Damage::Flip(at, by)),
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), 0..600_usize).prop_map(|(at, length)| Damage::Double(at, length)),
        (any::<usize>(), vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ];
    vec(one, 1..6)
}

pub(crate) fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len().max(1);
        match damage {
            Damage::Flip(at, by) => {
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= by;
                }
            }
            Damage::Cut(at) => bytes.truncate(at % length),
            Damage::Double(at, many) => {
                let from = at % length;
                let part = bytes[from.min(bytes.len())..(from + many).min(bytes.len())].to_vec();
                bytes.splice(from.min(bytes.len())..from.min(bytes.len()), part);
            }
            Damage::Insert(at, part) => {
                let from = (at % length).min(bytes.len());
                bytes.splice(from..from, part.iter().copied());
            }
        }
    }
    bytes
}
