//! Progress bars, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar with a count, a rate and the time left; silent where standard error is no terminal.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// An empty bar that counts `unit`.
    pub(super) fn new(unit: &str) -> Self {
        let bar = ProgressBar::new(0);
        let template =
            format!("{{bar:32}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left  {{msg}}");
        // The template is ours and correct; with the default style nothing is lost either.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// So many of so many are done.
    pub(super) fn set(&self, done: u64, total: u64, message: &str) {
        self.bar.set_length(total);
        self.bar.set_message(message.to_string());
        self.bar.set_position(done);
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
