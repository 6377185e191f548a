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

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn the_sum_of_squares_is_exact_to_f64_rounding() {
        for dtype in DTYPES {
            let sizes = [1, 15, 17, 65_536, 40_003];
            let numbers: Vec<Vec<f64>> = (0..).zip(sizes).map(|(i, n)| rounded(&values(n, i), dtype)).collect();
            on_device(|device| {
                let views: Vec<_> = numbers.iter().map(|x| view(x, &[x.len()], dtype, device).1).collect();
                let sums = norm::sums_of_squares(&views.iter().collect::<Vec<_>>()).unwrap();
                for (x, got) in numbers.iter().zip(&sums) {
                    let exact: f64 = x.iter().map(|x| x * x).sum();
                    assert!((got - exact).abs() <= x.len() as f64 * f64::EPSILON * exact, "{got} for {exact}");
                    assert!(*got > 0.0);
                }
                let poisoned = tensor(&[1.0, f64::NAN], &[2], dtype, device);
                assert!(norm::sum_of_squares(&poisoned).unwrap().is_nan());
                sums
            });
        }
    }

    #[test]
    fn scaling_rounds_once_and_stays_in_its_view() {
        for dtype in DTYPES {
            let x = rounded(&values(40_001, 3), dtype);
            let want: Vec<f64> = x.iter().map(|&x| f64::from(x as f32 * 0.3_f32)).collect();
            let want = rounded(&want, dtype);
            on_device(|device| {
                let (flat, part) = view(&x, &[x.len()], dtype, device);
                norm::scale(&part, 0.3).unwrap();
                assert!(f64s(&part) == want);
                check_untouched(&flat, x.len());
                let whole = tensor(&x, &[x.len()], dtype, device);
                norm::scale(&whole, 0.3).unwrap();
                assert!(f64s(&whole) == want);
            });
        }
    }
}
