//! A progress bar, drawn on standard error where that is a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{StepRecord, ValidationRecord};

/// Shows how far a run is: loss, learning rate, images a second, the last validation and the time left.
pub struct Progress {
    bar: ProgressBar,
    loss: Option<f64>,
    speed: Option<f64>,
    validation: String,
}

impl Progress {
    /// A bar from `done` to `steps`. On anything but a terminal nothing is drawn.
    pub fn new(name: &str, done: u64, steps: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        Self::of(bar, name, done)
    }

    /// A bar as [`Progress::new`] makes it, below the others of a group.
    pub fn beside(group: &MultiProgress, name: &str, done: u64, steps: u64) -> Self {
        Self::of(group.add(ProgressBar::new(steps)), name, done)
    }

    fn of(bar: ProgressBar, name: &str, done: u64) -> Self {
        // The template is fixed and known to be sound; the default style is shown otherwise.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {wide_bar:.cyan/dim} {pos}/{len}  {msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_string());
        bar.set_position(done);
        Self {
            bar,
            loss: None,
            speed: None,
            validation: String::new(),
        }
    }

    /// Takes in a step. Loss and speed are shown as running means, so that they can be read.
    pub fn step(&mut self, record: &StepRecord, left: Duration) {
        let mean =
            |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old + 0.1 * (new - old)));
        self.loss = mean(self.loss, record.loss);
        self.speed = mean(self.speed, record.images_per_second);
        self.bar.set_position(record.step);
        let seconds = left.as_secs();
        let left = match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
            _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        };
        self.bar.set_message(format!(
            "loss {:.3}  rate {:.4}  {:.0} images/s  {left} left{}",
            self.loss.unwrap_or(record.loss),
            record.learning_rate,
            self.speed.unwrap_or(record.images_per_second),
            self.validation
        ));
    }

    /// Takes in a validation.
    pub fn validation(&mut self, record: &ValidationRecord) {
        self.validation = format!("  top-1 error {:.1} %", 100.0 * record.top1_error);
    }

    /// Ends the bar and clears it away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
