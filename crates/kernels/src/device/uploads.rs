//! Short lists of the host that every layer of a batch uses again: copied to the device once.
//!
//! A layer names its spans, runs or slots by value, as on the CPU. The last few lists of a thread stay on the device, so
//! that the other layers find theirs there instead of waiting for the same copy again.

use std::cell::RefCell;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};

/// Lists kept; a batch uses at most three at a time.
const KEPT: usize = 8;

thread_local! {
    static LISTS: RefCell<Vec<(Vec<u32>, Tensor)>> = const { RefCell::new(Vec::new()) };
}

/// `list` as a u32 tensor on `device`; never empty, since devices refuse that.
pub(crate) fn upload(op: &'static str, list: &[u32], device: &Device) -> Result<Tensor> {
    let list = if list.is_empty() { &[0] } else { list };
    LISTS.with_borrow_mut(|lists| {
        let held = lists.iter().position(|(held, at)| held == list && at.device().same_device(device));
        if let Some(at) = held {
            let entry = lists.remove(at);
            lists.push(entry);
        } else {
            let tensor = Tensor::from_slice(list, list.len(), device).map_err(Error::candle(op))?;
            if lists.len() == KEPT {
                lists.remove(0);
            }
            lists.push((list.to_vec(), tensor));
        }
        Ok(lists.last().expect("one was just put there").1.clone())
    })
}
