//! That others read what `incept golden write` writes: ONNX's own tools, numpy, and the safetensors library.

use std::fs;

use super::{bundle, python_or_reason};

/// ONNX's loader of backend tests finds the bundle and takes its tolerances; its runner's comparison accepts the outputs of ONNX's
/// own reference evaluator; every tensor is the same in the .pb files and in the archive of numpy.
const READ: &str = r#"
import pathlib, sys
import numpy as np, onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner
from onnx.reference import ReferenceEvaluator

folder = pathlib.Path(sys.argv[1])
(case,) = load_model_tests(str(folder.parent.parent), kind=folder.parent.name)
assert case.model_dir == str(folder), case
assert case.rtol == 0.0 and 0 < case.atol < float(sys.argv[2]), (case.rtol, case.atol)
model = onnx.load(folder / "model.onnx")
onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
load = lambda kind, names, data: [numpy_helper.to_array(onnx.load_tensor(str(data / f"{kind}_{k}.pb"))) for k in range(len(names))]
inputs, outputs = [v.name for v in model.graph.input], [v.name for v in model.graph.output]
for data in sorted(folder.glob("test_data_set_*")):
    images, expected = load("input", inputs, data), load("output", outputs, data)
    for kind, names, values in (("input", inputs, images), ("output", outputs, expected)):
        for place, (name, value) in enumerate(zip(names, values)):
            assert onnx.load_tensor(str(data / f"{kind}_{place}.pb")).name == name
            with np.load(folder / "tensors.npz") as archive:
                array = archive[f"{data.name}/{name}"]
            assert array.dtype == (np.float32 if value.dtype.name == "bfloat16" else value.dtype), (array.dtype, value.dtype)
            assert array.shape == value.shape and (array == value.astype(array.dtype)).all(), name
    found = ReferenceEvaluator(model).run(None, dict(zip(inputs, images)))
    Runner.assert_similar_outputs(expected, found, case.rtol, case.atol)
    expected[0] = expected[0].copy()
    expected[0].flat[0] += 2 * np.asarray(case.atol).astype(expected[0].dtype)
    try:
        Runner.assert_similar_outputs(expected, found, case.rtol, case.atol)
    except AssertionError:
        continue
    raise SystemExit("a planted fault was accepted")
with np.load(folder / "tensors.npz") as archive:
    assert len(archive.files) == 2 * (len(inputs) + len(outputs)), archive.files
"#;

#[test]
fn onnxs_own_tools_and_numpy_read_a_bundle() {
    let Some(_) = python_or_reason("import numpy, onnx, ml_dtypes") else {
        return;
    };
    for (export, atol) in [
        (&["--output", "logits,features"][..], "1e-3"),
        (&["--input", "image"], "1e-3"),
        (&["--precision", "fp16", "--half-inputs-outputs"], "1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let kind = folder.path().join("kind");
        fs::create_dir(&kind).unwrap();
        let model = super::support::export_small(folder.path(), "inception_resnet_v1", export);
        let path = kind.join("test_bundle");
        super::write_bundle(&path, &model, &["--data-sets", "2"]).code(0);
        let mut python = python_or_reason("import onnx").unwrap();
        let output = python
            .args(["-c", READ])
            .arg(&path)
            .arg(atol)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{export:?}: {errors}");
    }
}

#[test]
fn safetensors_holds_what_the_tensors_hold() {
    use incept::exporters::onnx::DataTensor;

    let folder = tempfile::tempdir().unwrap();
    let path = bundle(folder.path(), "inception_v4", &[], &["--images", "2"]);
    let bytes = fs::read(path.join("tensors.safetensors")).unwrap();
    let archive = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(archive.len(), 2);
    for (name, file) in [("image", "input_0.pb"), ("logits", "output_0.pb")] {
        let tensor = fs::read(path.join("test_data_set_0").join(file)).unwrap();
        let tensor = DataTensor::read(&tensor.into()).unwrap();
        let view = archive.tensor(name).unwrap();
        assert_eq!(view.shape(), tensor.shape);
        assert_eq!(view.dtype(), safetensors::Dtype::F32);
        assert!(view.data() == tensor.raw(), "{name}");
    }
    // The library in Python, where somebody has installed it.
    let import = "import safetensors.numpy, numpy";
    let Some(mut python) = python_or_reason(import) else {
        return;
    };
    let script = "import sys, numpy as np; from safetensors.numpy import load_file; a = load_file(sys.argv[1]); b = np.load(sys.argv[2]); \
                  assert sorted(a) == sorted(b.files) and all((a[n] == b[n]).all() for n in a)";
    let output = python
        .args(["-c", script])
        .args([path.join("tensors.safetensors"), path.join("tensors.npz")])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
