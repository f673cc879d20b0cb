//! What a runtime differs from itself: the same layer on the same values, run in ways that should give the same.

use incept_exporters::onnx::Cut;
use ndarray::{ArrayViewD, Axis};

use super::ParityError;
use super::errors::largest_difference;
use super::outcome::Noise;
use super::trace::BRIEF;
use crate::runtime::{InputTensor, LoadOptions, NamedOutput, Optimization, Runtime, Session};

/// What is varied, in the order of [`Differences`].
const VARIED: [&str; 7] = [
    "nothing: the same run again",
    "one thread for all",
    "no optimisation of the graph for all",
    "basic optimisation only",
    "extended optimisation only",
    "TF32 for float32",
    "one image alone for several",
];

/// The levels of optimisation, in the order of [`VARIED`], and the place of the first.
const LEVELS: (usize, [Optimization; 3]) = (
    2,
    [
        Optimization::None,
        Optimization::Basic,
        Optimization::Extended,
    ],
);

/// The differences of all layers so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Differences {
    varied: [Varied; VARIED.len()],
}

#[derive(Debug, Clone, Default)]
struct Varied {
    made: bool,
    layers: usize,
    largest: f64,
    value: Option<String>,
}

/// One layer in one runtime, as it has run.
pub(super) struct Run<'a> {
    pub(super) runtime: &'static dyn Runtime,
    pub(super) value: &'a str,
    pub(super) given: &'a [(&'a str, InputTensor<'a>)],
    /// What it put out.
    pub(super) found: ArrayViewD<'a, f32>,
}

impl Differences {
    /// Runs a layer again in every way and notes the differences; returns the largest, in absolute numbers. `cut` makes
    /// the layer for a number of images; `alone` tells whether it may be run on fewer than it was.
    ///
    /// # Errors
    /// [`ParityError`] where the runtime refuses one of them.
    pub(super) fn add(
        &mut self,
        run: &Run<'_>,
        session: &mut dyn Session,
        cut: &dyn Fn(usize) -> Result<Cut, ParityError>,
        alone: bool,
    ) -> Result<f64, ParityError> {
        let images = run.found.len_of(Axis(0));
        let mut found = [None; VARIED.len()];
        found[0] = Some(difference(run, session.run_named(run.given)?));
        let runtime = run.runtime;
        let again = |options| -> Result<Option<f64>, ParityError> {
            let mut session = runtime.load(&cut(images)?.model, options)?;
            Ok(Some(difference(run, session.run_named(run.given)?)))
        };
        if runtime.honours_threads() {
            found[1] = again(LoadOptions {
                threads: Some(1),
                ..BRIEF
            })?;
        }
        let (first, levels) = LEVELS;
        for (place, optimization) in levels.into_iter().enumerate() {
            if runtime.optimizations().contains(&optimization) {
                found[first + place] = again(LoadOptions {
                    optimization,
                    ..BRIEF
                })?;
            }
        }
        if runtime.honours_tf32() {
            found[VARIED.len() - 2] = again(LoadOptions {
                tf32: true,
                ..BRIEF
            })?;
        }
        if alone && images > 1 {
            let first = run.given.iter();
            let first: Vec<(&str, InputTensor<'_>)> = first
                .map(|(name, given)| (*name, given.first_image()))
                .collect();
            let mut session = runtime.load(&cut(1)?.model, BRIEF)?;
            let outputs = session.run_named(&first)?;
            found[VARIED.len() - 1] = Some(difference(run, outputs));
        }
        let range = run
            .found
            .iter()
            .fold(0.0_f64, |range, &value| range.max(f64::from(value).abs()));
        for (varied, found) in self.varied.iter_mut().zip(found) {
            let Some(found) = found else { continue };
            varied.made = true;
            varied.layers += usize::from(found > 0.0);
            let share = if found > 0.0 { found / range } else { 0.0 };
            if share > varied.largest {
                varied.largest = share;
                varied.value = Some(run.value.into());
            }
        }
        Ok(found.into_iter().flatten().fold(0.0, f64::max))
    }

    pub(super) fn outcome(self) -> Vec<Noise> {
        let made = VARIED
            .into_iter()
            .zip(self.varied)
            .filter(|(_, varied)| varied.made);
        let noise = |(what, varied): (&str, Varied)| Noise {
            varied: what.into(),
            layers: varied.layers,
            largest: varied.largest,
            value: varied.value,
        };
        made.map(noise).collect()
    }
}

/// The largest difference from what the layer put out; for fewer images, from those.
fn difference(run: &Run<'_>, outputs: Vec<NamedOutput>) -> f64 {
    let found = outputs.into_iter().find(|(name, _)| name == run.value);
    let Some((_, found)) = found else {
        return f64::INFINITY;
    };
    let images = found.len_of(Axis(0)).min(run.found.len_of(Axis(0)));
    let same = run.found.slice_axis(Axis(0), (0..images).into());
    largest_difference(same, found.view())
}
