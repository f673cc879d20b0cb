#![allow(clippy::unwrap_used)]
use super::*;
use crate::evaluate::Evaluation;
use crate::parity::{Comparison, Verdict};
use paper::{PaperTable, TABLE_2, TABLE_3, TABLE_4, TABLE_5};

/// A page's text as a reader sees it.
fn seen(html: &str) -> String {
    // A place where a name may be broken is none that is seen.
    let body = html[html.find("<body>").unwrap()..].replace("<wbr>", "");
    let mut text = String::new();
    let mut within_tag = false;
    for letter in body.chars() {
        match letter {
            '<' => within_tag = true,
            '>' => {
                within_tag = false;
                text.push(' ');
            }
            letter if !within_tag => text.push(letter),
            _ => {}
        }
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text
        .replace("&#x2f;", "/")
        .replace("&#x27;", "'")
        .replace("&quot;", "\"");
    text.replace("&amp;", "&")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Both pages of a report, each as its reader sees it.
fn both(report: &Report) -> [String; 2] {
    [seen(&html(report).unwrap()), markdown(report).unwrap()]
}

/// With `INCEPT_REPORT_EXAMPLE` set to a folder, the example's pages stay there to be looked at.
#[test]
fn a_report_is_written_read_back_and_makes_the_same_bytes() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("INCEPT_REPORT_EXAMPLE")
        .map_or_else(|| temporary.path().join("new"), std::path::PathBuf::from);
    let report = example::report();
    report.write(&folder).unwrap();
    let again = Report::read(&folder.join("report.json")).unwrap();
    assert!(again == report, "the JSON loses something");
    let written = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(html(&again).unwrap() == written("report.html"));
    assert!(markdown(&again).unwrap() == written("report.md"));
}

#[test]
fn other_json_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.json");
    for (text, expected) in [
        (
            "{\"schema\": \"incept.check/1\"}",
            "expected schema `incept.report/1`, found `incept.check/1`",
        ),
        ("[]", "found `none`"),
        (
            "{\"schema\": \"incept.report/1\"}",
            "cannot read the report",
        ),
        ("nothing", "cannot read the report"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Report::read(&path).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("other.json") && error.hint().is_some());
    }
    assert!(matches!(
        Report::read(&folder.path().join("none")),
        Err(ReportError::File(_))
    ));
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = html(&example::report()).unwrap();
    for never in [
        "http:", "https:", "<script", "<link", "@import", "url(", "<iframe", "xmlns",
    ] {
        assert!(!page.contains(never), "{never}");
    }
    let sources: Vec<&str> = page.split(" src=\"").skip(1).collect();
    assert_eq!(sources.len(), 1);
    assert!(sources[0].starts_with("data:image/jpeg;base64,/9j/"));
    assert!(page.contains("alt=\"One training image of each class.\""));
    assert_eq!(
        page.matches("role=\"img\" aria-label=").count(),
        2,
        "plots are described"
    );
    for scheme in ["prefers-color-scheme: dark", "color-scheme: light dark"] {
        assert!(page.contains(scheme));
    }
    // Every opened element is closed.
    for tag in [
        "section", "table", "div", "figure", "tr", "td", "th", "svg", "p", "details",
    ] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn every_number_stands_on_both_pages() {
    let report = example::report();
    for page in both(&report) {
        let has = |text: &str| assert!(page.contains(text), "{text} is missing");
        has("84 of 84 comparisons of outputs hold");
        for network in &report.networks {
            has(&format::count(network.parameters));
            has(&format::thousands(network.multiply_adds));
            has(&format::duration(network.training.seconds));
            network.training.recipe.iter().for_each(|line| has(line));
            for point in &network.curve {
                has(&format::percent(point.top1_percent));
                has(&format::percent(point.top5_percent));
            }
            for comparison in network.parity.runtimes.iter().flat_map(|r| &r.comparisons) {
                let metrics = comparison.metrics.unwrap();
                has(&comparison.value);
                has(&format::scientific(metrics.max_absolute_error));
                has(&format::scientific(metrics.relative_error));
                has(&format::scientific(1.0 - metrics.cosine));
            }
        }
        for evaluation in &report.evaluations {
            let alone = evaluation.models.iter().map(|model| model.errors);
            for errors in alone.chain(evaluation.ensemble) {
                has(&format::percent(errors.top1_percent));
                has(&format::percent(errors.top5_percent));
                has(&format::interval(errors.top1_interval));
                has(&format::interval(errors.top5_interval));
            }
            has(&evaluation.crops.note);
            has(&evaluation.crops.sha256[0]);
            has(&evaluation.data.sha256);
            has(&format::thousands(evaluation.crops.computed));
            has(&format::count(
                evaluation.crops.per_image * evaluation.data.images,
            ));
        }
        for table in [TABLE_2, TABLE_3, TABLE_4, TABLE_5] {
            has(&format!("Table {} of the paper", table.number));
            has(table.subset);
            for row in table.rows {
                has(row.network);
                has(&format::percent(row.top5_percent));
            }
        }
        has("The data differ");
        has("ours are synthetic images of 20 classes");
        has("ours are an interpretation");
        has("ResNet-151 is so printed");
        has("test set");
        has("incept demo --out demo");
        has("demo/inception_resnet_v2/inception_resnet_v2.onnx");
        has("rten 0.27.0, CPU");
        has("3,200");
        has("1602");
    }
}

/// FACTS: the numbers as the paper prints them, row by row.
#[test]
fn the_papers_numbers_are_the_papers() {
    let text = |table: &PaperTable| {
        let rows = table.rows.iter().map(|row| {
            let top1 = row.top1_percent.map_or_else(|| "-".into(), format::percent);
            format!(
                "{} {} {} {top1} {}",
                row.network,
                row.models,
                row.crops,
                format::percent(row.top5_percent)
            )
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(
        (
            TABLE_2.images,
            TABLE_3.images,
            TABLE_4.images,
            TABLE_5.images
        ),
        (48_238, 50_000, 50_000, 50_000)
    );
    assert_eq!(paper::ALL_IMAGES - 1_762, paper::IMAGES_NOT_BLACKLISTED);
    assert_eq!(
        text(&TABLE_2),
        [
            "BN-Inception 1 1 25.2 7.8",
            "Inception-v3 1 1 21.2 5.6",
            "Inception-ResNet-v1 1 1 21.3 5.5",
            "Inception-v4 1 1 20.0 5.0",
            "Inception-ResNet-v2 1 1 19.9 4.9",
        ]
    );
    assert_eq!(
        text(&TABLE_3),
        [
            "ResNet-151 1 10 21.4 5.7",
            "Inception-v3 1 12 19.8 4.6",
            "Inception-ResNet-v1 1 12 19.8 4.6",
            "Inception-v4 1 12 18.7 4.2",
            "Inception-ResNet-v2 1 12 18.7 4.1",
        ]
    );
    assert_eq!(
        text(&TABLE_4),
        [
            "ResNet-151 1 dense 19.4 4.5",
            "Inception-v3 1 144 18.9 4.3",
            "Inception-ResNet-v1 1 144 18.8 4.3",
            "Inception-v4 1 144 17.7 3.8",
            "Inception-ResNet-v2 1 144 17.8 3.7",
        ]
    );
    assert_eq!(
        text(&TABLE_5),
        [
            "ResNet-151 6 dense - 3.6",
            "Inception-v3 4 144 17.3 3.6",
            "Inception-v4 + 3 × Inception-ResNet-v2 4 144 16.5 3.1",
        ]
    );
    assert_eq!(paper::TEST_SET_TOP5_PERCENT, 3.08);
    let names =
        [TABLE_2, TABLE_3, TABLE_4].map(|table| table.rows.iter().filter_map(|r| r.name).count());
    assert_eq!(names, [4, 4, 4]);
}

/// The cells of the Markdown row that starts with `first`, in the table under the heading.
fn row_of(page: &str, heading: &str, first: &str) -> Vec<String> {
    let section = &page[page.find(heading).unwrap()..];
    let row = section
        .lines()
        .find(|line| line.starts_with(&format!("| {first} |")))
        .unwrap();
    let cells = row.trim_matches('|').split('|');
    cells.map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn our_errors_stand_in_the_papers_rows() {
    let page = markdown(&example::report()).unwrap();
    let row = |table: u8, first| row_of(&page, &format!("Table {table} of the paper"), first);
    assert_eq!(
        row(2, "Inception-v4"),
        [
            "Inception-v4",
            "20.0",
            "5.0",
            "21.4 (18.7–24.3)",
            "3.9 (2.7–5.4)"
        ]
    );
    assert_eq!(
        row(2, "BN-Inception"),
        ["BN-Inception", "25.2", "7.8", "–", "–"]
    );
    let networks = [
        "Inception-ResNet-v1",
        "12",
        "19.8",
        "4.6",
        "12",
        "17.1 (14.7–19.9)",
        "2.4 (1.5–3.7)",
    ];
    assert_eq!(row(3, "Inception-ResNet-v1"), networks);
    let networks = ["ResNet-151", "dense", "19.4", "4.5", "–", "–", "–"];
    assert_eq!(row(4, "ResNet-151"), networks);
    let ours = row(5, "Ours, all together");
    assert_eq!(
        ours[1..],
        [
            "–",
            "–",
            "–",
            "–",
            "3",
            "1",
            "12.2 (10.2–14.7)",
            "1.1 (0.6–2.1)"
        ]
    );
    assert!(page.contains("| – | – | – | – | 3 | 144 | 10.1 (8.2–12.4) | 0.8 (0.3–1.6) |"));
    assert!(page.contains("Paper, ImageNet, 48,238 non-blacklisted images: Top-1 %"));
    assert!(page.contains("Paper, ImageNet, all 50,000 images: Top-1 %"));
    assert_eq!(
        row_of(&page, "# ", "By chance")[1..],
        ["95.0", "75.0", "95.0", "75.0", "95.0", "75.0"]
    );
}

#[test]
fn plans_that_were_not_run_and_plans_of_ones_own_are_shown_as_such() {
    let mut report = example::report();
    report.evaluations.retain(|e| e.crops.plan != "144");
    report.evaluations[0].data.undecodable = vec!["ring/000007.jpg".into()];
    let mut own: Evaluation = report.evaluations[1].clone();
    own.crops.plan = "corners".into();
    report.evaluations.push(own);
    let page = markdown(&report).unwrap();
    assert!(page.contains("Ours, not evaluated in this run: Top-1 %"));
    assert!(page.contains("Not in the paper: 12 crops (plan corners)"));
    assert!(page.contains("| – | – | – | – | 3 | 12 | 11.1 (9.1–13.5) |"));
    assert!(page.contains("Left out because they could not be decoded, 1 image: ring/000007.jpg."));
    assert!(page.contains("Ours, 799 synthetic images"));
    // A network that the paper does not have gets a row of its own.
    report.networks[0].name = "inception_v4_wide".into();
    report.networks[0].title = "Inception-v4, wide".into();
    report
        .evaluations
        .iter_mut()
        .for_each(|e| e.models[0].network = Some("inception_v4_wide".into()));
    let page = markdown(&report).unwrap();
    assert_eq!(row_of(&page, "Table 2 of", "Inception-v4")[3..], ["–", "–"]);
    assert_eq!(
        row_of(&page, "Table 2 of", "Inception-v4, wide")[1..3],
        ["–", "–"]
    );
    assert!(row_of(&page, "Table 2 of", "Inception-v4, wide")[3].starts_with("21.4"));
}

#[test]
fn evaluations_of_other_models_are_refused() {
    let mut report = example::report();
    report.evaluations[1].models.swap(0, 1);
    let error = html(&report).unwrap_err();
    assert!(
        matches!(&error, ReportError::Models { plan, .. } if plan == "12"),
        "{error}"
    );
    report.evaluations[1].models.pop();
    assert!(
        markdown(&report)
            .unwrap_err()
            .to_string()
            .contains("inception_resnet_v2")
    );
    // A file that does not name its network is taken by its place.
    let mut report = example::report();
    report.evaluations[0].models[0].network = None;
    html(&report).unwrap();
}

#[test]
fn hostile_names_are_only_text() {
    let hostile = "<script>alert(1)</script>|\"'&`a`*b*\n[x](y)";
    let mut report = example::report();
    report.title = hostile.into();
    report.data.folder = hostile.into();
    report.data.kind = hostile.into();
    report.data.classes[0] = hostile.into();
    report.provenance.command.push(hostile.into());
    report
        .provenance
        .inputs
        .insert(hostile.into(), hostile.into());
    report.samples.as_mut().unwrap().caption = hostile.into();
    report.evaluations[0].crops.note = hostile.into();
    report.evaluations[0].data.undecodable = vec![hostile.into()];
    let network = &mut report.networks[0];
    network.title = hostile.into();
    network.training.recipe.push(hostile.into());
    network.parity.runtimes[0].comparisons[0].value = hostile.into();
    let page = html(&report).unwrap();
    assert!(!page.contains("<script") && !page.contains("|\"'&`"));
    assert!(seen(&page).contains("<script>alert(1)</script>|\"'&`a`*b*"));
    let page = markdown(&report).unwrap();
    assert!(!page.contains('<'), "{page}");
    assert!(page.contains(r"&lt;script&gt;alert(1)&lt;/script&gt;\|"));
    well_formed(&page);
}

/// Every table has as many cells in each row, and a rule under its heading.
fn well_formed(page: &str) -> usize {
    let cells = |line: &str| line.replace("\\|", "").matches('|').count() - 1;
    let lines: Vec<&str> = page.lines().collect();
    let mut tables = 0;
    for (at, pair) in lines.windows(2).enumerate() {
        if !pair[1].starts_with('|') || pair[0].starts_with('|') {
            continue;
        }
        tables += 1;
        assert_eq!(
            pair[0], "",
            "a table needs an empty line before it: {}",
            pair[1]
        );
        let table: Vec<&str> = lines[at + 1..]
            .iter()
            .copied()
            .take_while(|l| l.starts_with('|'))
            .collect();
        assert!(
            table[1]
                .trim_matches('|')
                .split('|')
                .all(|rule| ["---", "---:"].contains(&rule)),
            "{}",
            table[1]
        );
        for line in &table {
            assert_eq!(cells(line), cells(table[0]), "{line}");
            assert!(line.ends_with('|'), "{line}");
        }
    }
    tables
}

#[test]
fn markdown_tables_are_well_formed() {
    let page = markdown(&example::report()).unwrap();
    // Glance, networks, points, parity, Tables 2 to 5, plans, data, two of provenance, three of parity.
    assert_eq!(well_formed(&page), 15);
    assert!(!page.contains("\n\n\n"), "empty lines pile up");
    assert!(page.starts_with("# Inception-v4 and Inception-ResNet"));
}

#[test]
fn failures_are_said_first_and_with_their_reason() {
    let mut report = example::report();
    let parity = &mut report.networks[1].parity;
    parity.holds = false;
    parity
        .notes
        .push("the model was exported from other weights".into());
    let failed = &mut parity.runtimes[1].comparisons[3];
    failed.verdict = Verdict::Fails {
        reason: "2 of 20 values are NaN or infinite".into(),
    };
    let metrics = failed.metrics.as_mut().unwrap();
    metrics.max_absolute_error = f64::NAN;
    metrics.relative_error = f64::NAN;
    metrics.cosine = f64::NAN;
    parity.runtimes[0]
        .comparisons
        .push(Comparison::missing("logits", 3, &[3, 20]));
    for page in both(&report) {
        let place = |text: &str| {
            page.find(text)
                .unwrap_or_else(|| panic!("{text} is missing"))
        };
        assert!(
            place("Parity FAILS for 1 of 3 networks: Inception-ResNet-v1")
                < place("Validation error")
        );
        place("FAILS: 2 of 20 values are NaN or infinite");
        place("FAILS: the runtime did not put out this value");
        place("83 of 85 comparisons");
        place("Inception-ResNet-v1: the model was exported from other weights");
        place("NaN");
        // The failed comparison is its run's worst.
        let summary = &page[place("Each row is the value")..];
        assert!(!summary.is_empty());
        assert!(page.matches("FAILS: 2 of 20").count() >= 2);
    }
    assert!(html(&report).unwrap().contains("class=\"verdict fails\""));
    report.networks[0].parity.runtimes.clear();
    report.networks[0].parity.holds = false;
    assert!(both(&report)[0].contains("Parity FAILS for 2 of 3 networks"));
}

#[test]
fn networks_that_learned_nothing_are_named_so() {
    let mut report = example::report();
    assert!(both(&report)[1].contains("where chance gives 95.0 %: each under half of that"));
    report.evaluations[0].models[2].errors = example::errors(760, 600);
    assert!(both(&report)[1].contains("NOT every network is under half of that"));
}

#[test]
fn curves_without_points_with_one_and_with_nan_are_drawn_or_left_out() {
    let mut report = example::report();
    let paths = |report: &Report| html(report).unwrap().matches("<polyline").count();
    let all = paths(&report);
    report.networks[0].curve.clear();
    report.networks[1].curve.truncate(1);
    report.networks[2].curve[4].top1_percent = f64::NAN;
    report.networks[2].losses[7].loss = f64::INFINITY;
    assert!(paths(&report) < all);
    let [page, _] = both(&report);
    assert_eq!(
        page.matches("Inception-ResNet-v2: left out because not finite, 1 point.")
            .count(),
        2
    );
    assert!(page.contains("not a number"));
    // NaN goes through JSON.
    let json = serde_json::to_string(&report.networks[2].curve).unwrap();
    let again: Vec<CurvePoint> = serde_json::from_str(&json).unwrap();
    assert!(again[4].top1_percent.is_nan() && again[3] == report.networks[2].curve[3]);

    for network in &mut report.networks {
        network
            .curve
            .iter_mut()
            .for_each(|point| point.epoch = f64::NAN);
        network.losses.clear();
    }
    let [page, _] = both(&report);
    assert!(
        page.contains("No validation error was recorded") && page.contains("No loss was recorded")
    );
    for network in &mut report.networks {
        // A point at 0, the same loss always.
        network.curve = vec![CurvePoint {
            epoch: 0.0,
            top1_percent: 95.0,
            top5_percent: 75.0,
        }];
        network.losses = vec![LossPoint { step: 0, loss: 0.0 }; 3];
    }
    let page = html(&report).unwrap();
    assert!(page.contains("<circle") && !page.contains("NaN") && !page.contains("No loss"));
}

#[test]
fn an_empty_report_is_a_page_that_says_so() {
    let mut report = example::report();
    report.networks.clear();
    report.evaluations.clear();
    report.samples = None;
    report.data.classes.clear();
    report.quick = true;
    for page in both(&report) {
        assert!(page.contains("Nothing was checked"), "{page}");
        assert!(page.contains("A quick run"));
        assert!(page.contains("No ensemble was evaluated"));
    }
    assert!(html(&report).unwrap().contains("class=\"verdict fails\""));
    well_formed(&markdown(&report).unwrap());
}

#[test]
fn a_picture_without_pixels_is_an_error() {
    let empty = crate::images::RgbImage::filled(0, 0, [0; 3]);
    assert!(matches!(
        Samples::new(&empty, "none"),
        Err(ReportError::Samples(_))
    ));
}
