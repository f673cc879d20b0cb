//! `incept check --sensitivity` and `incept export --precision-plan`: what is said of a plan is counted again from the
//! files it makes.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use incept::crops::{CropPlan, CroppedImages, InputSize};
use incept::evaluate::{EvaluateOptions, evaluate_each};
use incept::exporters::net::NetOptions;
use incept::exporters::onnx::proto::{BFLOAT16, FLOAT, FLOAT16, INT8, ModelProto};
use incept::exporters::onnx::{self, ExportOptions, Recipe, Scaling};
use incept::exporters::weights::{Tensor, Weights};
use incept::exporters::zoo::{Entry, REGISTRY};
use incept::images::ImageFiles;
use incept::runtime::{self, LoadOptions};
use ndarray::Axis;
use prost::Message;
use serde_json::Value;
use support::{NETWORKS, SMALL, Said, incept, python, run, small};

/// Images of ten classes; returns the folder with the classes in it.
fn images(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let place = data.to_str().unwrap();
    run(["synth", place, "--images", "60", "--classes", "10"]).code(0);
    data.join("train")
}

/// Exports a network of the zoo, small, from a file of weights.
fn write_model(entry: &Entry, weights: &str, model: &str, arguments: &[&str]) {
    let mut command = incept();
    command.args(["export", entry.name, "--variant", entry.variant]);
    command
        .args(["--weights", weights, "-o", model])
        .args(SMALL);
    let said: Said = command.args(arguments).output().unwrap().into();
    said.code(0);
}

/// The measurement of a model on images.
fn measure(model: &str, weights: &str, data: &Path) -> Command {
    let mut command = incept();
    command.args(["check", model, "--weights", weights, "--sensitivity"]);
    command.arg("--images").arg(data);
    command
}

/// A model whose answers differ from image to image, and its weights: of random features every image has the same most
/// probable class, so what all images have in common is taken from the bias of the logits.
fn export(folder: &Path, data: &Path, entry: &Entry) -> (String, String) {
    let place = |name: String| folder.join(name).to_str().unwrap().to_string();
    let name = format!("{}-{}", entry.name, entry.variant);
    let (model, weights) = (
        place(format!("{name}.onnx")),
        place(format!("{name}.safetensors")),
    );
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let net = entry.build(&options.image_size(75)).unwrap();
    let mut random = Weights::randomised(&net, 5);
    let bytes = onnx::to_bytes(&net, &random, &ExportOptions::default()).unwrap();
    let plan = CropPlan::for_recipe("1", InputSize::square(75), &Recipe::of(&net)).unwrap();
    let files = ImageFiles::find(&[data.to_path_buf()]).unwrap().files;
    let crops = CroppedImages::render(&files, &plan).unwrap();
    let images = crops.scaled(0..files.len(), Scaling::of(&net)).unwrap();
    let mut session = runtime::find("ort")
        .unwrap()
        .load(&bytes, LoadOptions::default())
        .unwrap();
    let logits = session.run(images.view()).unwrap().remove(0).1;
    let mean = logits.mean_axis(Axis(0)).unwrap();
    let bias = random.get("logits/bias").unwrap().values().into_owned();
    let centred: Vec<f32> = bias
        .iter()
        .zip(&mean)
        .map(|(bias, mean)| bias - mean)
        .collect();
    random.insert("logits/bias", Tensor::owned(vec![10], centred));
    random.write(Path::new(&weights), &BTreeMap::new()).unwrap();
    write_model(entry, &weights, &model, &[]);
    (model, weights)
}

/// The most probable class of each image, by the evaluation.
fn top1(model: &Path, data: &Path) -> Vec<usize> {
    let mut classes = vec![];
    let options = EvaluateOptions::default();
    let models = [model.to_path_buf()];
    evaluate_each(&models, data, &options, &mut |_| {}, &mut |image| {
        let best = image.ensemble.iter().copied().fold(f64::MIN, f64::max);
        classes.push(image.ensemble.iter().position(|&p| p == best).unwrap());
    })
    .unwrap();
    classes
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// The planned file of every network changes as many answers as was said, which is no more than was allowed; its tensors
/// are of the planned types and as large as was said; and every plan that was run and is cheaper breaks the bound.
#[test]
fn a_plan_keeps_its_bound_and_is_the_cheapest_that_was_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let mut lowered = 0;
    for entry in REGISTRY {
        let (model, weights) = export(folder.path(), &data, entry);
        let what = format!("{} ({})", entry.name, entry.variant);
        let (plan, planned) = (format!("{model}.toml"), format!("{model}.planned.onnx"));
        let mut command = measure(&model, &weights, &data);
        command.args([
            "--lower-to",
            "bf16,int8",
            "--max-flips",
            "2.5",
            "--count",
            "40",
        ]);
        command.args(["--plan", &plan, "--json", "-"]);
        let unseen = data.with_file_name("val");
        command.arg("--unseen-images").arg(&unseen);
        let said: Said = command.output().unwrap().into();
        let report: Value = serde_json::from_str(&said.code(0).stdout).unwrap();
        assert_eq!(report["schema"], "incept.sensitivity/1");
        let (images, allowed) = (number(&report["images"]), number(&report["flips_allowed"]));
        assert_eq!((images, allowed), (40, 1), "{what}");

        write_model(entry, &weights, &planned, &["--precision-plan", &plan]);

        let pairs = || {
            let (before, after) = (top1(model.as_ref(), &data), top1(planned.as_ref(), &data));
            before.into_iter().zip(after)
        };
        // The 40 images are those of all at even distances: those changed among all are looked at one by one.
        let all = pairs().len();
        let chosen: Vec<usize> = (0..40).map(|place| place * all / 40).collect();
        let pairs: Vec<(usize, usize)> = pairs().collect();
        let flips = chosen
            .iter()
            .filter(|&&place| pairs[place].0 != pairs[place].1)
            .count() as u64;
        let effect = &report["plan"]["effect"];
        assert_eq!(number(&effect["flips"]), flips, "{what}");
        assert!(flips <= allowed, "{what}: {flips}");

        let (before, after) = (
            top1(model.as_ref(), &unseen),
            top1(planned.as_ref(), &unseen),
        );
        let flips_unseen = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after);
        let said = &report["unseen"];
        assert_eq!(number(&said["images"]), before.len() as u64, "{what}");
        assert_eq!(
            number(&said["effect"]["flips"]),
            flips_unseen.count() as u64,
            "{what}"
        );

        let blocks = report["plan"]["blocks"].as_object().unwrap();
        lowered += blocks.len();
        let file = ModelProto::decode(&*std::fs::read(&planned).unwrap()).unwrap();
        let mut bytes = 0;
        for tensor in &file.graph.unwrap().initializer {
            bytes += tensor.raw_data.len() as u64;
            let block = tensor.name.split('/').next().unwrap();
            let expected = match blocks.get(block).and_then(Value::as_str) {
                None => FLOAT,
                Some("fp16") => FLOAT16,
                Some("bf16") => BFLOAT16,
                Some(_) if tensor.name.ends_with("/weight") => INT8,
                Some(_) => FLOAT,
            };
            assert_eq!(tensor.data_type, expected, "{what}: {}", tensor.name);
        }
        assert_eq!(number(&report["plan"]["cost"]), bytes, "{what}");
        for trial in report["trials"].as_array().unwrap() {
            let keeps = number(&trial["effect"]["flips"]) <= allowed;
            assert!(!keeps || number(&trial["cost"]) >= bytes, "{what}: {trial}");
        }
        let mut ranks: Vec<u64> = report["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| number(&block["rank"]))
            .collect();
        ranks.sort_unstable();
        assert!(
            ranks.iter().copied().eq(1..=ranks.len() as u64),
            "{what}: {ranks:?}"
        );
    }
    assert!(lowered > 50, "hardly anything was lowered: {lowered}");
}

/// With no flip allowed and answers that lie close together not everything can be lowered, and what is not is what the
/// bound forbids. What is said of single blocks, whose runs begin in the middle of the network, is what their files do.
#[test]
fn what_breaks_the_bound_stays_in_float32() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    for entry in [&REGISTRY[0], &REGISTRY[5]] {
        let (model, weights) = export(folder.path(), &data, entry);
        let with = |flips: &str| -> Value {
            let mut command = measure(&model, &weights, &data);
            command.args(["--max-flips", flips, "--lower-to", "int8", "--json", "-"]);
            let said: Said = command.output().unwrap().into();
            serde_json::from_str(&said.code(0).stdout).unwrap()
        };
        let (strict, loose) = (with("0"), with("100%"));
        let cost = |report: &Value| number(&report["plan"]["cost"]);
        let flips = |report: &Value| number(&report["plan"]["effect"]["flips"]);
        assert_eq!(flips(&strict), 0);
        let trials = loose["trials"].as_array().unwrap();
        assert_eq!(trials.len(), 1, "everything at once is allowed");
        assert!(flips(&loose) > 0, "the images do not tell precisions apart");
        let float32 = number(&strict["cost_in_float32"]);
        assert!(cost(&strict) > cost(&loose) && cost(&strict) < float32);

        let before = top1(model.as_ref(), &data);
        let mut blocks = strict["blocks"].as_array().unwrap().clone();
        blocks.sort_by_key(|block| number(&block["rank"]));
        assert!(
            number(&blocks[0]["lowered"][0]["effect"]["flips"]) > 0,
            "{}",
            blocks[0]
        );
        for block in &blocks[..4] {
            let plan = format!(
                "schema = \"incept.precision-plan/1\"\nnetwork = \"{}\"\nvariant = \"{}\"\n[blocks]\n{} = \"int8\"\n",
                entry.name, entry.variant, block["block"]
            );
            std::fs::write(at("one.toml"), plan).unwrap();
            let plan = at("one.toml");
            write_model(
                entry,
                &weights,
                &at("one.onnx"),
                &["--precision-plan", &plan],
            );
            let after = top1(at("one.onnx").as_ref(), &data);
            let flips = before
                .iter()
                .zip(&after)
                .filter(|(before, after)| before != after)
                .count();
            assert_eq!(
                number(&block["lowered"][0]["effect"]["flips"]),
                flips as u64,
                "{block}"
            );
        }
    }
}

#[test]
fn planned_files_pass_onnxs_checker_and_the_text_tells_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    for (shift, network) in NETWORKS.into_iter().enumerate() {
        let net = small(network);
        let precisions = ["fp16", "bf16", "int8", "fp32"];
        let blocks = net.blocks().into_iter().enumerate();
        let lines: String = blocks
            .map(|(place, block)| {
                format!("\"{block}\" = \"{}\"\n", precisions[(place + shift) % 4])
            })
            .collect();
        let plan = format!(
            "schema = \"incept.precision-plan/1\"\nnetwork = \"{network}\"\nvariant = \"paper\"\n[blocks]\n{lines}"
        );
        std::fs::write(at("plan.toml"), plan).unwrap();
        let mut command = incept();
        command.args([
            "export",
            network,
            "--precision-plan",
            &at("plan.toml"),
            "-o",
            &at("m.onnx"),
        ]);
        let said: Said = command.args(SMALL).output().unwrap().into();
        let said = said.code(0);
        assert!(
            said.stderr.contains("fp16, bf16, int8: "),
            "{}",
            said.stderr
        );
        let check = "import onnx, sys; onnx.checker.check_model(sys.argv[1], full_check=True)";
        let checked = python()
            .args(["-c", check])
            .arg(at("m.onnx"))
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{network}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        if cfg!(feature = "torch") {
            run(["check", &at("m.onnx"), "--runtime", "ort", "--no-noise"]).code(0);
        }
    }
    let mut command = incept();
    command
        .args(["check", &at("m.onnx"), "--sensitivity", "--images"])
        .arg(&data);
    command.args([
        "--count",
        "3",
        "--lower-to",
        "fp16",
        "--cost",
        "arithmetic",
        "--crops",
        "10",
    ]);
    let said: Said = command.output().unwrap().into();
    let said = said.code(0);
    for expected in [
        "fp16 flips",
        "plan: ",
        "of 3 images change their most probable class",
        "looked at 3 of the ",
    ] {
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains(expected), "`{expected}` in {all}");
    }
}

#[test]
fn bad_plans_and_bad_options_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let head =
        "schema = \"incept.precision-plan/1\"\nnetwork = \"inception_v4\"\nvariant = \"paper\"\n";
    for (text, expected) in [
        (
            head.replace("plan/1", "plan/9"),
            "expected schema incept.precision-plan/1",
        ),
        (
            head.replace("v4", "v3"),
            "expected one for inception_v4 (paper), found one for inception_v3 (paper)",
        ),
        (
            format!("{head}[blocks]\n\"stem.9\" = \"fp16\"\n"),
            "no block `stem.9`",
        ),
        (
            format!("{head}[blocks]\nlogits = \"fp8\"\n"),
            "is not a precision plan",
        ),
        (format!("{head}[bloks]\n"), "is not a precision plan"),
        ("\u{0}".into(), "is not a precision plan"),
    ] {
        std::fs::write(at("plan.toml"), &text).unwrap();
        let mut command = incept();
        command.args([
            "export",
            "inception_v4",
            "--precision-plan",
            &at("plan.toml"),
            "-o",
            &at("m.onnx"),
        ]);
        let said: Said = command.args(SMALL).output().unwrap().into();
        said.could_not_run(&[expected]);
        assert!(!Path::new(&at("m.onnx")).exists(), "{text}");
    }
    let model = support::export_small(folder.path(), "inception_v4", &[]);
    let model = model.to_str().unwrap();
    let image = at("image.png");
    run(["check", model, "--sensitivity"]).could_not_run(&["--images"]);
    run(["check", model, "--sensitivity", "--images", &image]).could_not_run(&["image.png"]);
    std::fs::write(&image, "no image").unwrap();
    run(["check", model, "--sensitivity", "--images", &image])
        .could_not_run(&["not a JPEG or PNG"]);
    for (arguments, expected) in [
        (["--max-flips", "101"], "0 to 100"),
        (["--lower-to", "fp32"], "expected fp16, bf16 or int8"),
        (["--lower-to", "fp8"], "fp8"),
        (["--cost", "time"], "bytes or arithmetic"),
        (["--count", "0"], "1 or more"),
        (["--runtime", "nobody"], "nobody"),
    ] {
        let mut command = incept();
        command
            .args(["check", model, "--sensitivity", "--images", &image])
            .args(arguments);
        let said: Said = command.output().unwrap().into();
        said.could_not_run(&[expected]);
    }
}

/// Killed in the middle and run again: what was measured is not measured again, and the plan is the same.
#[test]
fn an_interrupted_measurement_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let (model, weights) = export(folder.path(), &data, &REGISTRY[0]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let command = |plan: &str| {
        let mut command = measure(&model, &weights, &data);
        command.args(["--plan", plan]);
        command
    };
    let (whole, parts) = (at("whole.toml"), at("parts.toml"));
    let said: Said = command(&whole).output().unwrap().into();
    assert!(!said.code(0).stderr.contains("went on"));

    let journal = format!("{parts}.journal");
    let mut child = command(&parts)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let lines = || std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    while lines() < 6 {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "nothing was measured"
        );
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it was interrupted"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!Path::new(&parts).exists());
    let said: Said = command(&parts).output().unwrap().into();
    let said = said.code(0);
    assert!(
        said.stderr.contains("went on where it was interrupted"),
        "{}",
        said.stderr
    );
    assert_eq!(
        std::fs::read(&whole).unwrap(),
        std::fs::read(&parts).unwrap()
    );
    assert!(!Path::new(&journal).exists());
}
