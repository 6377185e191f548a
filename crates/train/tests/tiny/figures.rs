//! What of a run's metrics must be the same whenever and wherever it ran.

use recon_train::StepMetrics;

/// All of the metrics that does not depend on the clock.
pub(crate) fn figures(metrics: &[StepMetrics]) -> Vec<serde_json::Value> {
    let without_clock = |step: &StepMetrics| {
        let mut value = serde_json::to_value(step).unwrap();
        for key in ["tokens_per_s", "data_wait_s", "mfu", "peak_bytes", "device_peak_bytes"] {
            value.as_object_mut().unwrap().remove(key);
        }
        value
    };
    metrics.iter().map(without_clock).collect()
}
