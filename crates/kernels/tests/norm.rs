//! Norm and scaling of flat buffers.

mod common;

use candle_core::DType;
use common::{bits, check_untouched, f64s, in_pool, matrix, values, view_of};
use recon_kernels::norm;

#[test]
fn the_sum_of_squares_is_exact_to_f64_rounding() {
    for n in [0, 1, 15, 17, 65_536, 200_003] {
        let x = values(n, 1);
        let exact: f64 = x.iter().map(|x| x * x).sum();
        let (_, view) = view_of(&x, &[n], DType::F32);
        let got = norm::sum_of_squares(&view).unwrap();
        // Two orders of one sum of n positive terms.
        assert!((got - exact).abs() <= n as f64 * f64::EPSILON * exact, "{n}: {got} for {exact}");
        assert!(n == 0 || got > 0.0);
    }
    assert!(norm::sum_of_squares(&matrix(&[1.0, f64::NAN], &[2], DType::F32)).unwrap().is_nan());
}

#[test]
fn threads_change_nothing() {
    let x = matrix(&values(300_001, 2), &[300_001], DType::F32);
    let run = || norm::sum_of_squares(&x).unwrap().to_bits();
    let one = in_pool(1, run);
    assert!(in_pool(2, run) == one && in_pool(4, run) == one);
}

#[test]
fn scaling_rounds_once_and_stays_in_its_view() {
    let x = values(70_001, 3);
    let (flat, view) = view_of(&x, &[70_001], DType::F32);
    norm::scale(&view, 0.3).unwrap();
    let want: Vec<f64> = x.iter().map(|&x| f64::from(x as f32 * 0.3_f32)).collect();
    assert!(f64s(&view) == want);
    check_untouched(&flat, 70_001);
    let before = bits(&view);
    norm::scale(&view, 1.0).unwrap();
    assert!(bits(&view) == before);
}
