//! Errors as tables: at a glance, and as the paper's Tables 2 to 5 with its numbers beside ours.

use super::Report;
use super::format::{count, counted, interval, list, percent};
use super::paper::{
    PaperRow, PaperTable, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TEST_SET_TOP5_PERCENT,
};
use super::table::{Cell, Table, dash, number, number_with, words};
use crate::evaluate::{ErrorRate, Evaluation};

/// The error in percent of guessing `guesses` of `classes`.
pub(super) fn chance(guesses: usize, classes: usize) -> f64 {
    100.0 * (1.0 - guesses.min(classes) as f64 / classes.max(1) as f64)
}

/// The evaluation with one crop.
pub(super) fn single_crop(evaluations: &[Evaluation]) -> Option<&Evaluation> {
    by_plan(evaluations, &["1", "1-tf-slim"])
}

/// The evaluation with the first of these plans that was run.
fn by_plan<'a>(evaluations: &'a [Evaluation], plans: &[&str]) -> Option<&'a Evaluation> {
    plans
        .iter()
        .find_map(|plan| evaluations.iter().find(|e| e.crops.plan == *plan))
}

/// Images that count in an evaluation.
pub(super) fn images_counted(evaluation: &Evaluation) -> usize {
    let left_out = evaluation.data.undecodable.len();
    evaluation.data.images.saturating_sub(left_out)
}

/// A plan's heading: `12 crops`, or for a plan of another name that too.
pub(super) fn plan_title(evaluation: &Evaluation) -> String {
    let crops = counted(evaluation.crops.per_image, "crop");
    if evaluation.crops.plan == evaluation.crops.per_image.to_string() {
        crops
    } else {
        format!("{crops} (plan {})", evaluation.crops.plan)
    }
}

/// Every network and the ensemble under every crop plan, and chance.
pub(super) fn glance(report: &Report) -> Table {
    let titles: Vec<String> = report.evaluations.iter().map(plan_title).collect();
    let pair: &[(&str, bool)] = &[("Top-1 %", true), ("Top-5 %", true)];
    let mut heading: Vec<(&str, &[(&str, bool)])> = vec![("", &[("Network", false)])];
    heading.extend(titles.iter().map(|title| (title.as_str(), pair)));
    let mut table = Table::new("Validation error at a glance", &heading);
    for (index, network) in report.networks.iter().enumerate() {
        let mut cells = vec![words(&network.title)];
        for evaluation in &report.evaluations {
            cells.extend(plain(
                evaluation.models.get(index).map(|model| &model.errors),
            ));
        }
        table.row(cells);
    }
    if report.evaluations.iter().any(|e| e.ensemble.is_some()) {
        let mut cells = vec![words("All together (ensemble)")];
        for evaluation in &report.evaluations {
            cells.extend(plain(evaluation.ensemble.as_ref()));
        }
        table.row(cells);
    }
    let mut cells = vec![words("By chance")];
    for evaluation in &report.evaluations {
        cells.extend([1, 5].map(|k| number(percent(chance(k, evaluation.data.classes)))));
    }
    table.row(cells);
    table
}

/// Tables 2 to 5, and one for plans that the paper does not have.
pub(super) fn as_the_paper(report: &Report) -> Vec<Table> {
    let evaluations = &report.evaluations;
    let chosen = [
        (&TABLE_2, single_crop(evaluations)),
        (&TABLE_3, by_plan(evaluations, &["12", "10"])),
        (&TABLE_4, by_plan(evaluations, &["144"])),
    ];
    let mut tables: Vec<Table> = chosen
        .iter()
        .map(|(paper, ours)| of_networks(report, paper, *ours))
        .collect();
    tables.push(of_ensembles(report));
    for evaluation in evaluations {
        if !chosen
            .iter()
            .any(|(_, used)| used.is_some_and(|used| std::ptr::eq(used, evaluation)))
        {
            tables.push(of_another_plan(report, evaluation));
        }
    }
    tables
}

fn of_networks(report: &Report, paper: &PaperTable, ours: Option<&Evaluation>) -> Table {
    let groups = [paper_group(paper), our_group(report, ours)];
    // The paper's Table 2 has no column of crops: there is one in every row.
    let first = usize::from(paper.number == 2);
    let columns = &[("Crops", true), ("Top-1 %", true), ("Top-5 %", true)][first..];
    let heading: [(&str, &[(&str, bool)]); 3] = [
        ("", &[("Network", false)]),
        (&groups[0], columns),
        (&groups[1], columns),
    ];
    let title = format!("Table {} of the paper: {}", paper.number, paper.title);
    let mut table = Table::new(title, &heading);
    let place = |row: &PaperRow| {
        report
            .networks
            .iter()
            .position(|n| Some(n.name.as_str()) == row.name)
    };
    let errors = |place: usize| Some((ours?, ours?.models.get(place)?.errors));
    for row in paper.rows {
        let [top1, top5] = printed(row);
        let theirs = [number(row.crops), top1, top5];
        let ours = measured(place(row).and_then(errors));
        let mut cells = vec![words(row.network)];
        cells.extend(theirs.into_iter().skip(first));
        cells.extend(ours.into_iter().skip(first));
        table.row(cells);
    }
    for (index, network) in report.networks.iter().enumerate() {
        if paper.rows.iter().any(|row| place(row) == Some(index)) {
            continue;
        }
        let mut cells = vec![words(&network.title)];
        cells.extend([dash(), dash(), dash()].into_iter().skip(first));
        cells.extend(measured(errors(index)).into_iter().skip(first));
        table.row(cells);
    }
    notes(&mut table, paper, ours);
    table
}

fn of_ensembles(report: &Report) -> Table {
    let ours: Vec<(&Evaluation, ErrorRate)> = report
        .evaluations
        .iter()
        .filter_map(|evaluation| Some((evaluation, evaluation.ensemble?)))
        .collect();
    let last = ours.last().map(|(evaluation, _)| *evaluation);
    let groups = [paper_group(&TABLE_5), our_group(report, last)];
    let columns: &[(&str, bool)] = &[
        ("Models", true),
        ("Crops", true),
        ("Top-1 %", true),
        ("Top-5 %", true),
    ];
    let heading: [(&str, &[(&str, bool)]); 3] = [
        ("", &[("Ensemble", false)]),
        (&groups[0], columns),
        (&groups[1], columns),
    ];
    let title = format!("Table {} of the paper: {}", TABLE_5.number, TABLE_5.title);
    let mut table = Table::new(title, &heading);
    for row in TABLE_5.rows {
        let mut cells = vec![
            words(row.network),
            number(count(row.models)),
            number(row.crops),
        ];
        cells.extend(printed(row));
        cells.extend([dash(), dash(), dash(), dash()]);
        table.row(cells);
    }
    for &(evaluation, errors) in &ours {
        let mut cells = vec![words("Ours, all together")];
        cells.extend([dash(), dash(), dash(), dash()]);
        cells.push(number(count(evaluation.models.len())));
        cells.extend(measured(Some((evaluation, errors))));
        table.row(cells);
    }
    if ours.is_empty() {
        table.note("No ensemble was evaluated in this run.");
    } else {
        let names: Vec<&str> = report.networks.iter().map(|n| n.title.as_str()).collect();
        let names = names.join(" + ");
        table.note(format!(
            "Ours: {names}, softmax averaged over crops and models."
        ));
    }
    table.note(format!(
        "The paper's last ensemble has a top-5 error of {TEST_SET_TOP5_PERCENT} % on the test set."
    ));
    notes(&mut table, &TABLE_5, last);
    table
}

fn of_another_plan(report: &Report, evaluation: &Evaluation) -> Table {
    let group = our_group(report, Some(evaluation));
    let heading: [(&str, &[(&str, bool)]); 2] = [
        ("", &[("Network", false)]),
        (
            &group,
            &[("Crops", true), ("Top-1 %", true), ("Top-5 %", true)],
        ),
    ];
    let title = format!("Not in the paper: {}", plan_title(evaluation));
    let mut table = Table::new(title, &heading);
    let alone = report.networks.iter().zip(&evaluation.models);
    let mut rows: Vec<(&str, ErrorRate)> =
        alone.map(|(n, m)| (n.title.as_str(), m.errors)).collect();
    rows.extend(
        evaluation
            .ensemble
            .map(|errors| ("All together (ensemble)", errors)),
    );
    for (title, errors) in rows {
        let mut cells = vec![words(title)];
        cells.extend(measured(Some((evaluation, errors))));
        table.row(cells);
    }
    undecodable(&mut table, evaluation);
    table
}

fn paper_group(paper: &PaperTable) -> String {
    format!("Paper, ImageNet, {}", paper.subset)
}

fn our_group(report: &Report, ours: Option<&Evaluation>) -> String {
    match ours {
        Some(evaluation) => format!(
            "Ours, {} {} (95 % interval)",
            count(images_counted(evaluation)),
            report.data.kind
        ),
        None => "Ours, not evaluated in this run".into(),
    }
}

fn notes(table: &mut Table, paper: &PaperTable, ours: Option<&Evaluation>) {
    if paper.number == 3 {
        table.note("The paper does not spell out its 12 crops: ours are an interpretation.");
    }
    if paper.rows.iter().any(|row| row.network == "ResNet-151") {
        table.note("ResNet-151 is so printed in the paper; the network it cites is ResNet-152.");
    }
    if let Some(evaluation) = ours {
        undecodable(table, evaluation);
    }
}

fn undecodable(table: &mut Table, evaluation: &Evaluation) {
    let names = &evaluation.data.undecodable;
    if !names.is_empty() {
        table.note(format!(
            "Left out because they could not be decoded, {}: {}.",
            counted(names.len(), "image"),
            list(names)
        ));
    }
}

fn printed(row: &PaperRow) -> [Cell; 2] {
    let top1 = row
        .top1_percent
        .map_or_else(dash, |error| number(percent(error)));
    [top1, number(percent(row.top5_percent))]
}

/// Crops, top-1 and top-5 error with their intervals.
fn measured(ours: Option<(&Evaluation, ErrorRate)>) -> [Cell; 3] {
    let Some((evaluation, errors)) = ours else {
        return [dash(), dash(), dash()];
    };
    [
        number(count(evaluation.crops.per_image)),
        number_with(percent(errors.top1_percent), interval(errors.top1_interval)),
        number_with(percent(errors.top5_percent), interval(errors.top5_interval)),
    ]
}

fn plain(errors: Option<&ErrorRate>) -> [Cell; 2] {
    errors.map_or_else(
        || [dash(), dash()],
        |errors| [errors.top1_percent, errors.top5_percent].map(|error| number(percent(error))),
    )
}
