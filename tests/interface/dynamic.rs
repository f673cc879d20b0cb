//! `--image-size dynamic`: one file at several sizes beside a file for each, and the targets' files in their runtimes.

use incept::exporters::onnx::{ImageSize, Input, Output, Target};
use incept::exporters::weights::random_image;
use incept::parity::{DEFAULT_TOLERANCE, compare};
use ndarray::{ArrayD, IxDyn};

use super::*;

const RUNTIMES: &[&str] = &[
    "ort",
    "rten",
    #[cfg(feature = "tract")]
    "tract",
];

const SIZES: [(usize, usize); 4] = [(75, 75), (91, 139), (160, 120), (299, 299)];

fn image(images: usize, (height, width): (usize, usize)) -> ArrayD<f32> {
    let shape = [images, 3, height, width];
    let values = random_image(3, shape.iter().product());
    ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap()
}

/// The same operators on the same numbers; a runtime that knows the sizes beforehand may still choose other kernels, which
/// sum in another order: the tolerance is that of runtimes among each other.
#[test]
fn one_file_takes_all_sizes_and_computes_what_files_of_one_size_compute() {
    for network in support::NETWORKS {
        let options = ExportOptions {
            image_size: ImageSize::Dynamic,
            outputs: vec![Output::Logits, Output::Features],
            ..ExportOptions::default()
        };
        let any = model(&net(network, (299, 299)), &options);
        for runtime in RUNTIMES {
            let mut session = load(runtime, &any);
            for size in SIZES {
                let image = image(2, size);
                let found = session.run(image.view()).unwrap();
                let fixed = ExportOptions {
                    image_size: ImageSize::Fixed,
                    ..options.clone()
                };
                let fixed = model(&net(network, size), &fixed);
                let expected = compute(runtime, &fixed, InputTensor::Floats(image.view()));
                for name in ["logits", "features"] {
                    let (found, expected) = (output(&found, name), output(&expected, name));
                    let same = bits(found) == bits(expected);
                    let expected = expected.mapv(f64::from);
                    let result = compare(name, expected.view(), found.view(), DEFAULT_TOLERANCE);
                    println!("{network} {size:?} {runtime} {name}: to the bit {same}");
                    assert!(
                        result.verdict.holds(),
                        "{network} {size:?} {runtime}: {result:?}"
                    );
                    let largest = result.metrics.unwrap().max_reference;
                    assert!(largest > 1e-3, "{network} {size:?}: {largest:e}");
                }
            }
        }
    }
}

#[test]
fn onnx_accepts_files_for_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut models = vec![];
    for network in support::NETWORKS {
        for (kind, input) in [("tensor", Input::Tensor), ("image", Input::Image)] {
            for opset in [17, 22, 26] {
                let options = ExportOptions {
                    image_size: ImageSize::Dynamic,
                    opset,
                    ..taking(input)
                };
                let path = folder.path().join(format!("{network}-{kind}-{opset}.onnx"));
                std::fs::write(&path, model(&net(network, (299, 299)), &options)).unwrap();
                models.push(path);
            }
        }
    }
    accepted_by_onnx(&models);
}

/// What each target that runs here chooses, it loads and computes; what is refused for it, it cannot do.
#[test]
fn the_targets_that_run_here_take_their_files() {
    let net = net("inception_v4", (75, 75));
    let bytes = ArrayD::from_shape_fn(IxDyn(&[1, 75, 75, 3]), |place| {
        (place[1] * 5 + place[2] * 3 + place[3]) as u8
    });
    for (target, runtime) in [
        (Target::OnnxRuntime, "ort"),
        (Target::Rten, "rten"),
        #[cfg(feature = "tract")]
        (Target::Tract, "tract"),
    ] {
        for input in [Input::Tensor, Input::Image, Input::ImageOfAnySize] {
            let options = ExportOptions {
                input,
                ..ExportOptions::default()
            };
            let settled = Target::settle(Some(target), None, None, options);
            let refused = settled.is_err();
            let settled = settled.unwrap_or_else(|_| taking(input));
            let file = model(&net, &settled);
            let images = match input {
                Input::Tensor => InputTensor::Floats(bytes_as_floats()),
                _ => InputTensor::Bytes(bytes.view()),
            };
            let loaded = runtime::find(runtime)
                .unwrap()
                .load(&file, LoadOptions::default());
            let ran = loaded.and_then(|mut session| session.run_images(images));
            assert_eq!(ran.is_err(), refused, "{target} {input:?}: {ran:?}");
        }
    }

    fn bytes_as_floats() -> ndarray::ArrayViewD<'static, f32> {
        static ZEROS: [f32; 75 * 75 * 3] = [0.25; 75 * 75 * 3];
        ndarray::ArrayViewD::from_shape(IxDyn(&[1, 3, 75, 75]), &ZEROS).unwrap()
    }
}
