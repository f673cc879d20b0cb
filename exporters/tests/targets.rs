//! What each target chooses, what it leaves to the user and what it refuses.

#![allow(clippy::unwrap_used)]

use incept_exporters::onnx::{Batch, ExportOptions, ImageSize, Input, Target};

const DYNAMIC: Batch = Batch::Dynamic;

fn settle(
    target: Option<Target>,
    opset: Option<u32>,
    batch: Option<Batch>,
    options: ExportOptions,
) -> Result<(u32, Batch), String> {
    Target::settle(target, opset, batch, options)
        .map(|options| (options.opset, options.batch))
        .map_err(|error| error.to_string())
}

fn input(input: Input) -> ExportOptions {
    ExportOptions {
        input,
        ..ExportOptions::default()
    }
}

fn any_size() -> ExportOptions {
    ExportOptions {
        image_size: ImageSize::Dynamic,
        ..ExportOptions::default()
    }
}

#[test]
fn every_target_has_its_choices() {
    let mut seen = vec![];
    for (name, batch, resizes, sizes) in [
        ("onnxruntime", DYNAMIC, true, true),
        ("tensorrt", Batch::Fixed(1), false, true),
        ("openvino", DYNAMIC, false, true),
        ("tract", DYNAMIC, false, true),
        ("rten", DYNAMIC, false, true),
        ("coreml", Batch::Fixed(1), false, false),
        ("web", Batch::Fixed(1), true, true),
    ] {
        let target: Target = name.parse().unwrap();
        assert_eq!(target.to_string(), name);
        seen.push(target);
        for options in [ExportOptions::default(), input(Input::Image)] {
            let chosen = settle(Some(target), None, None, options);
            assert_eq!(chosen, Ok((17, batch)), "{name}");
        }
        let resizing = settle(Some(target), None, None, input(Input::ImageOfAnySize));
        match resizes {
            true => assert_eq!(resizing, Ok((18, batch)), "{name}"),
            false => {
                let start = format!("--target {name} and --resize exclude each other: ");
                assert!(resizing.unwrap_err().starts_with(&start), "{name}");
            }
        }
        let dynamic = settle(Some(target), None, None, any_size());
        assert_eq!(dynamic.is_ok(), sizes, "{name}: {dynamic:?}");
    }
    assert_eq!(seen, Target::ALL);
    let error = "tensorflow".parse::<Target>().unwrap_err();
    assert!(
        error.contains("onnxruntime, tensorrt, openvino, tract, rten, coreml, web"),
        "{error}"
    );
}

#[test]
fn what_is_asked_for_stands_unless_the_target_cannot_take_it() {
    for target in Target::ALL {
        let asked = settle(
            Some(target),
            Some(20),
            Some(Batch::Fixed(4)),
            ExportOptions::default(),
        );
        assert_eq!(asked, Ok((20, Batch::Fixed(4))), "{target}");
    }
    let tensorrt = Some(Target::TensorRt);
    assert_eq!(
        settle(tensorrt, Some(13), Some(DYNAMIC), any_size()),
        Ok((13, DYNAMIC))
    );
    assert_eq!(
        settle(tensorrt, Some(26), None, ExportOptions::default()).unwrap_err(),
        "--target tensorrt and --opset 26 exclude each other: it takes other operator sets, see docs/onnx.md"
    );
    let coreml = Some(Target::CoreMl);
    assert_eq!(
        settle(coreml, None, Some(DYNAMIC), ExportOptions::default()).unwrap_err(),
        "--target coreml and --batch dynamic exclude each other: Core ML takes fixed shapes only"
    );
    assert_eq!(
        settle(coreml, None, None, any_size()).unwrap_err(),
        "--target coreml and --image-size dynamic exclude each other: Core ML takes fixed shapes only"
    );
}

#[test]
fn without_a_target_the_defaults_are_those_of_onnx_runtime() {
    for options in [
        ExportOptions::default(),
        input(Input::ImageOfAnySize),
        any_size(),
    ] {
        let none = settle(None, None, None, options.clone());
        assert_eq!(none, settle(Some(Target::OnnxRuntime), None, None, options));
    }
    // A wrong version is told by the export, with the range.
    assert_eq!(
        settle(None, Some(99), None, ExportOptions::default()),
        Ok((99, DYNAMIC))
    );
}
