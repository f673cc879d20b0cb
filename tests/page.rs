//! The page of `incept check --report` as a browser lays it out: at the width of a desktop and of a phone the verdict stands
//! first, nothing reaches beyond the side, and every layer has its box, red where it fails.
//!
//! Where there is no Chromium the tests say so and are skipped.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "torch")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use incept::runtime::chromium;
use serde_json::Value;
use support::{change_values, export_small, run, spoil};

/// The browser; says where there is none.
fn browser() -> Option<PathBuf> {
    let found = chromium();
    if found.is_none() {
        println!("skipped: no Chromium was found (apt-get install chromium, or CHROMIUM)");
    }
    found
}

/// Looks at the page in a frame of its own, once it is laid out.
const LOOK: &str = r#"
const page = document.getElementById("page");
page.onload = () => {
  const inside = page.contentDocument, root = inside.documentElement;
  const scrolled = (element) => element.closest(".table, pre") !== null;
  const box = (element) => element.getBoundingClientRect();
  const colour = (element) => page.contentWindow.getComputedStyle(element).backgroundColor;
  const cells = [...inside.querySelectorAll(".cell")];
  const all = [...inside.body.querySelectorAll("*")];
  const beyond = all.filter((e) => !scrolled(e) && box(e).width > 0 && box(e).right > root.clientWidth + 1);
  const verdict = inside.querySelector(".verdict");
  const result = {
    width: root.clientWidth,
    scrollWidth: root.scrollWidth,
    beyond: beyond.map((e) => e.tagName + "." + e.className),
    verdict: { class: verdict.className, top: box(verdict).top, text: verdict.innerText },
    above: [...inside.querySelectorAll("table, .strip, svg")].filter((e) => box(e).top < box(verdict).bottom).length,
    cells: cells.length,
    visible: cells.filter((cell) => [...cell.children].every((e) => box(e).width >= 6 && box(e).height >= 10)).length,
    failing: cells.filter((cell) => cell.classList.contains("fails")).map((cell) => cell.title),
    colours: [...new Set(cells.flatMap((cell) => [...cell.children].map(colour)))],
    failingColours: cells.filter((cell) => cell.classList.contains("fails")).map((cell) => colour(cell.children[0])),
    histograms: [...inside.querySelectorAll(".histograms svg")].map((e) => box(e).width),
    links: all.filter((e) => e.src || e.href || e.tagName === "SCRIPT").length,
  };
  const text = document.createElement("pre");
  text.id = "result";
  text.textContent = JSON.stringify(result);
  document.body.append(text);
};
"#;

/// What a browser makes of a page in a window of this width.
fn look(browser: &Path, folder: &Path, page: &Path, width: u32) -> Value {
    let text = std::fs::read_to_string(page).unwrap();
    let escaped = text.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<!doctype html><body><iframe id=\"page\" width=\"{width}\" height=\"900\" style=\"border:0\"></iframe>\
         <script>{LOOK}\npage.srcdoc = document.getElementById('text').dataset.page;</script>"
    );
    // The page stands before the script that takes it.
    let frame = frame.replace(
        "<script>",
        &format!("<i id=\"text\" data-page=\"{escaped}\"></i><script>"),
    );
    let place = folder.join(format!("frame-{width}.html"));
    std::fs::write(&place, frame).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1400,1000",
    ]);
    command.args(["--virtual-time-budget=5000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = command
        .arg(format!("file://{}", place.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    let start = dom
        .find("<pre id=\"result\">")
        .unwrap_or_else(|| panic!("no result: {} characters", dom.len()));
    let result = &dom[start + "<pre id=\"result\">".len()..];
    let result = &result[..result.find("</pre>").unwrap()];
    let plain = result
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&plain).unwrap()
}

/// Whether a colour, `rgb(r, g, b)`, is red more than green.
fn is_red(colour: &Value) -> bool {
    let text = colour.as_str().unwrap();
    let numbers = text
        .trim_start_matches("rgb(")
        .trim_end_matches(')')
        .split(", ");
    let [red, green, _] = numbers.map(|n| n.parse().unwrap()).collect::<Vec<u8>>()[..] else {
        panic!("no colour: {text}")
    };
    red > green
}

#[test]
fn the_page_shows_every_layer_at_the_width_of_a_desktop_and_of_a_phone() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let good = export_small(folder.path(), "inception_v4", &[]);
    let bad = spoil(&good, |model| {
        change_values(model, "inception_b.2/branch_1/conv_1x7/weight", |values| {
            values
                .iter_mut()
                .skip(3)
                .step_by(7)
                .for_each(|value| *value += 0.3);
        });
    });
    for (model, code, class) in [(&good, 0, "holds"), (&bad, 1, "fails")] {
        let pages = folder.path().join(class);
        let arguments = [
            "--runtime",
            "ort",
            "--batch",
            "1",
            "--report",
            pages.to_str().unwrap(),
        ];
        run([["check", model.to_str().unwrap()].as_slice(), &arguments].concat()).code(code);
        let report: Value =
            serde_json::from_slice(&std::fs::read(pages.join("check.json")).unwrap()).unwrap();
        let layers = report["runtimes"][0]["layers"].as_array().unwrap().len();
        for width in [1280, 390] {
            let seen = look(&browser, folder.path(), &pages.join("check.html"), width);
            let what = format!("{class} at {width}: {seen:#}");
            // The frame's scroll bar takes some of it.
            let inner = seen["width"].as_u64().unwrap();
            assert!(
                (u64::from(width) - 20..=u64::from(width)).contains(&inner),
                "{what}"
            );
            assert_eq!(seen["scrollWidth"], inner, "{what}");
            assert_eq!(seen["beyond"], serde_json::json!([]), "{what}");
            let verdict = &seen["verdict"];
            assert!(verdict["class"].as_str().unwrap().contains(class), "{what}");
            assert!(
                verdict["top"].as_f64().unwrap() < 300.0 && seen["above"] == 0,
                "{what}"
            );
            assert!(
                !verdict["text"].as_str().unwrap().trim().is_empty(),
                "{what}"
            );
            assert_eq!(
                (&seen["cells"], &seen["visible"]),
                (&layers.into(), &layers.into()),
                "{what}"
            );
            let list = |name: &str| seen[name].as_array().unwrap().clone();
            assert!(
                list("colours").len() > 1 && list("histograms").len() > 1,
                "{what}"
            );
            assert!(
                list("histograms")
                    .iter()
                    .all(|width| width.as_f64() > Some(200.0)),
                "{what}"
            );
            assert_eq!(seen["links"], 0, "the page stands alone: {what}");
            match class {
                "holds" => {
                    assert_eq!(list("failing").len(), 0, "{what}");
                    assert!(!list("colours").iter().any(is_red), "{what}");
                }
                _ => {
                    let failing = list("failing");
                    let named = |title: &Value| {
                        title
                            .as_str()
                            .unwrap()
                            .contains("inception_b.2/branch_1/conv_1x7")
                    };
                    let colours = list("failingColours");
                    assert!(!colours.is_empty() && colours.iter().all(is_red), "{what}");
                    assert!(!failing.is_empty() && failing.iter().any(named), "{what}");
                    assert!(
                        verdict["text"]
                            .as_str()
                            .unwrap()
                            .contains("inception_b.2/branch_1/conv_1x7"),
                        "{what}"
                    );
                }
            }
        }
    }
}
