//! The runtimes: where their nodes ran, and what they say where they are missing.

#![allow(clippy::unwrap_used)]

mod support;

use incept::exporters::onnx::{self, ExportOptions, ImageSize, Input};
use incept::exporters::weights::{Weights, random_image};
use incept::runtime::{self, InputTensor, LoadOptions, Placement, REGISTRY, RuntimeError};
use ndarray::{ArrayD, IxDyn};
use support::{run, small};

fn model(options: &ExportOptions) -> Vec<u8> {
    let net = small("inception_resnet_v1");
    onnx::to_bytes(&net, &Weights::randomised(&net, 1), options).unwrap()
}

fn images() -> ArrayD<f32> {
    let shape = [2, 3, 75, 75];
    ArrayD::from_shape_vec(IxDyn(&shape), random_image(7, shape.iter().product())).unwrap()
}

const RECORDED: LoadOptions = LoadOptions {
    threads: None,
    optimization: runtime::Optimization::All,
    tf32: false,
    placement: true,
    brief: false,
};

#[test]
fn every_node_of_a_cpu_session_ran_on_the_cpu_and_none_elsewhere() {
    let ort = runtime::find("ort").unwrap();
    let mut session = ort
        .load(&model(&ExportOptions::default()), RECORDED)
        .unwrap();
    session.run(images().view()).unwrap();
    let placement = session.placement().unwrap();
    placement.require(ort.provider()).unwrap();
    let computed: usize = placement.providers().values().sum();
    assert!(computed > 100, "{computed} nodes");
    // Asked again, it says the same; the runs after it are not in it.
    session.run(images().view()).unwrap();
    assert_eq!(session.placement().unwrap(), placement);
    // Beside another provider, every one of them ran elsewhere.
    let cuda = runtime::find("ort-cuda").unwrap();
    let error = placement.require(cuda.provider()).unwrap_err();
    let RuntimeError::Placement { elsewhere, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(elsewhere.len(), computed);
    assert!(
        elsewhere
            .iter()
            .any(|node| node.operator == "Conv" || node.operator == "FusedConv")
    );
    assert!(error.hint().is_some());
}

/// The nodes that work out the sizes of a resize do not count; the resize does.
#[test]
fn sizes_are_not_counted_as_computation() {
    let options = ExportOptions {
        opset: 18,
        input: Input::ImageOfAnySize,
        image_size: ImageSize::Fixed,
        ..ExportOptions::default()
    };
    let ort = runtime::find("ort").unwrap();
    let mut session = ort.load(&model(&options), RECORDED).unwrap();
    let bytes = ArrayD::<u8>::from_elem(IxDyn(&[1, 100, 90, 3]), 7);
    session
        .run_images(InputTensor::Bytes(bytes.view()))
        .unwrap();
    let placement = session.placement().unwrap();
    let Placement::Nodes(nodes) = &placement else {
        panic!("{placement:?}");
    };
    let counted = |name: &str| nodes.iter().find(|n| n.name == name).unwrap().computes;
    assert!(!counted("image/size"));
    assert!(!counted("image/resized_size"));
    assert!(counted("image/resized"));
    placement.require(ort.provider()).unwrap();
}

#[test]
fn a_session_that_was_not_recorded_says_so() {
    let mut session = runtime::find("ort")
        .unwrap()
        .load(&model(&ExportOptions::default()), LoadOptions::default())
        .unwrap();
    session.run(images().view()).unwrap();
    let error = session.placement().unwrap_err();
    assert!(matches!(error, RuntimeError::NoPlacement { .. }), "{error}");
}

/// Before any run there is nothing to prove.
#[test]
fn a_session_that_did_not_run_proves_nothing() {
    let ort = runtime::find("ort").unwrap();
    let mut session = ort
        .load(&model(&ExportOptions::default()), RECORDED)
        .unwrap();
    let error = session.placement().unwrap().require(ort.provider());
    assert!(error.unwrap_err().to_string().contains("no node"));
}

/// Every runtime is found, or says what is missing and how to get it; and a missing one runs nothing.
#[test]
fn every_runtime_is_there_or_names_the_fix() {
    let model = model(&ExportOptions::default());
    for runtime in REGISTRY {
        match runtime.version() {
            Ok(version) => println!("{}: {version}", runtime.name()),
            Err(error) => {
                println!("{} is skipped: {error}", runtime.name());
                assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
                assert!(error.to_string().contains(runtime.name()), "{error}");
                assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
                let loaded = runtime.load(&model, LoadOptions::default());
                let error = loaded.err().unwrap();
                assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
            }
        }
    }
}

/// The library that `scripts/setup.sh` unpacks has no provider but the processor's.
#[test]
fn a_library_without_the_provider_is_named_with_the_way_to_get_one() {
    if std::env::var_os("ORT_DYLIB_PATH").is_some() {
        println!("skipped: ORT_DYLIB_PATH names another library");
        return;
    }
    for name in ["ort-cuda", "ort-tensorrt", "ort-openvino"] {
        let runtime = runtime::find(name).unwrap();
        let error = runtime.version().unwrap_err();
        let said = error.to_string();
        assert!(said.contains(name), "{said}");
        assert!(said.contains("was built without the"), "{said}");
        assert!(said.contains(runtime.provider()), "{said}");
        assert!(error.hint().unwrap().contains("ORT_DYLIB_PATH"));
    }
}

#[test]
fn doctor_lists_every_runtime() {
    let said = run(["doctor"]).code(0);
    for runtime in REGISTRY {
        assert!(
            said.stdout
                .lines()
                .any(|line| line.starts_with(runtime.name())),
            "{}",
            said.stdout
        );
    }
}

/// Largest difference, as a share of the largest value.
fn difference(found: &ArrayD<f32>, expected: &ArrayD<f32>) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A NaN must not be the smaller one.
    let worst = differences.fold(0.0, |worst: f32, d| if d <= worst { worst } else { d });
    worst
        / expected
            .iter()
            .fold(0.0, |largest: f32, v| largest.max(v.abs()))
}

/// Two heads, one batch of two images, the nodes where they belong: in every runtime that is present. `torch-bf16` and the like
/// round on purpose, and are compared by their own tests.
#[test]
fn every_runtime_that_is_present_computes_the_same_on_its_own_device() {
    let outputs = vec![onnx::Output::Probabilities, onnx::Output::Features];
    let options = ExportOptions {
        outputs,
        ..ExportOptions::default()
    };
    let model = model(&options);
    let run = |runtime: &dyn runtime::Runtime| {
        let mut options = RECORDED;
        options.threads = Some(1);
        let mut session = runtime.load(&model, options).unwrap();
        assert_eq!(session.inputs(), ["image"]);
        let outputs = session.run(images().view()).unwrap();
        session
            .placement()
            .unwrap()
            .require(runtime.provider())
            .unwrap();
        // And again, with another number of images.
        let one = images()
            .slice_move(ndarray::s![1..2, .., .., ..])
            .into_dyn();
        let again = session.run(one.view()).unwrap();
        (outputs, again)
    };
    let (expected, one) = run(runtime::find("ort").unwrap());
    assert_eq!(expected[0].0, "probabilities");
    assert_eq!(expected[1].0, "features");
    for runtime in REGISTRY {
        if let Err(error) = runtime.version() {
            println!("skipped: {error}");
            continue;
        }
        if runtime.precision().is_some() {
            continue;
        }
        let name = runtime.name();
        let (outputs, again) = run(*runtime);
        for (found, expected) in [(&outputs, &expected), (&again, &one)] {
            assert_eq!(found.len(), 2, "{name}");
            for ((head, found), (same, expected)) in found.iter().zip(expected) {
                assert_eq!(head, same, "{name}");
                let difference = difference(found, expected);
                assert!(difference < 1e-5, "{name}, {head}: {difference}");
            }
        }
        println!("compared: {name}");
    }
}

/// A model that is none, an input that is missing and one of another shape: an error in every runtime, no panic.
#[test]
fn every_runtime_that_is_present_refuses_what_it_cannot_run() {
    let model = model(&ExportOptions::default());
    for runtime in REGISTRY {
        if let Err(error) = runtime.version() {
            println!("skipped: {error}");
            continue;
        }
        let name = runtime.name();
        for broken in [&b"not a model"[..], &[], &model[..1000]] {
            let loaded = runtime.load(broken, LoadOptions::default());
            let error = loaded.err().unwrap_or_else(|| panic!("{name} loaded it"));
            assert!(
                matches!(error, RuntimeError::Load { .. }),
                "{name}: {error}"
            );
        }
        let mut session = runtime.load(&model, LoadOptions::default()).unwrap();
        let error = session.run_named(&[]).unwrap_err();
        assert!(matches!(error, RuntimeError::Run { .. }), "{name}: {error}");
        let flat = ArrayD::<f32>::zeros(IxDyn(&[3, 75]));
        let error = session.run(flat.view()).unwrap_err();
        assert!(matches!(error, RuntimeError::Run { .. }), "{name}: {error}");
        assert!(error.to_string().contains("[3, 75]"), "{name}: {error}");
    }
}
