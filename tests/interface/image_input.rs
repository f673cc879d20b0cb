//! `--input image`: the scaling in the graph is the one that crops are scaled with: to the bit in ONNX Runtime, and within
//! the rounding of one division in rten and tract, which multiply by the inverse.

use incept::crops::to_tensor;
use incept::exporters::onnx::{Batch, Input};
use incept::parity::{DEFAULT_TOLERANCE, compare};
use ndarray::{Array4, ArrayD, IxDyn};

use super::*;

const RUNTIMES: &[&str] = &[
    "ort",
    "rten",
    #[cfg(feature = "tract")]
    "tract",
];

/// x / 127.5 is at most 2, where floats are 2^-23 apart: the quotient rounded twice is off by one such step.
const ROUNDING: f32 = f32::EPSILON;

/// Every byte in every channel, in an order that no transposition keeps.
fn bytes(images: usize, height: usize, width: usize) -> ArrayD<u8> {
    let array = Array4::from_shape_fn((images, height, width, 3), |(n, y, x, c)| {
        (n * 131 + y * 31 + x * 7 + c * 85) as u8
    });
    array.into_dyn()
}

fn scaled(bytes: &ArrayD<u8>) -> ArrayD<f32> {
    let &[images, height, width, _] = bytes.shape() else {
        panic!("{:?}", bytes.shape())
    };
    let mut values = vec![0.0; bytes.len()];
    let pixels = bytes.as_slice().unwrap();
    to_tensor(pixels, height as u32, width as u32, &mut values).unwrap();
    ArrayD::from_shape_vec(IxDyn(&[images, 3, height, width]), values).unwrap()
}

#[test]
fn bytes_are_scaled_as_crops_are_in_every_runtime() {
    for network in support::NETWORKS {
        for size in [(75, 75), (91, 139)] {
            let net = net(network, size);
            let bytes = bytes(2, size.0, size.1);
            for byte in 0..=255 {
                assert!(bytes.iter().any(|&found| found == byte), "no byte {byte}");
            }
            let floats = scaled(&bytes);
            let of_bytes = putting_out(model(&net, &taking(Input::Image)), "image/scaled");
            let of_floats = model(&net, &taking(Input::Tensor));
            for runtime in RUNTIMES {
                let what = format!("{network} {size:?} {runtime}");
                let found = compute(runtime, &of_bytes, InputTensor::Bytes(bytes.view()));
                let scaled = output(&found, "image/scaled");
                assert_eq!(scaled.shape(), floats.shape(), "{what}");
                let exact = *runtime == "ort";
                let rounding = if exact { 0.0 } else { ROUNDING };
                let differences = scaled.iter().zip(&floats).map(|(a, b)| (a - b).abs());
                let worst = differences.fold(0.0, f32::max);
                assert!(
                    worst <= rounding,
                    "{what}: scaled values differ by {worst:e}"
                );
                let expected = compute(runtime, &of_floats, InputTensor::Floats(floats.view()));
                let (logits, expected) = (output(&found, "logits"), output(&expected, "logits"));
                assert!(expected.iter().any(|value| value.abs() > 1e-3), "{what}");
                if exact {
                    assert!(bits(logits) == bits(expected), "{what}: logits");
                }
                let expected = expected.mapv(f64::from);
                let result = compare(&what, expected.view(), logits.view(), DEFAULT_TOLERANCE);
                assert!(result.verdict.holds(), "{what}: {result:?}");
            }
        }
    }
}

#[test]
fn onnx_accepts_files_that_take_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut models = vec![];
    for (name, size) in [("square", (75, 75)), ("oblong", (91, 139))] {
        let net = net("inception_v4", size);
        for (kind, input) in [("image", Input::Image), ("any", Input::ImageOfAnySize)] {
            for (batch, number) in [(Batch::Dynamic, "N"), (Batch::Fixed(2), "2")] {
                for opset in [18, 22, 26] {
                    let options = ExportOptions {
                        batch,
                        opset,
                        ..taking(input)
                    };
                    let path = folder
                        .path()
                        .join(format!("{name}-{kind}-{number}-{opset}.onnx"));
                    std::fs::write(&path, model(&net, &options)).unwrap();
                    models.push(path);
                }
            }
        }
    }
    accepted_by_onnx(&models);
}
