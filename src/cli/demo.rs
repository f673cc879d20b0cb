//! `incept demo`

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome};

/// All of it on synthetic images: data, training, export, check, evaluation, one report
///
/// About 6 minutes on 2 cores; a quarter of a minute with --quick. Interrupted, it goes on where it was when it is run again.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder for everything it makes [default: demo, or demo-quick with --quick]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Less data, smaller networks, a few steps: shows that everything runs, not that it learns
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    fn folder(&self) -> PathBuf {
        let default = if self.quick { "demo-quick" } else { "demo" };
        self.out.clone().unwrap_or_else(|| default.into())
    }
}

#[cfg(not(feature = "torch"))]
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    Err(Failure::without_torch(&format!(
        "the demonstration in `{}`",
        arguments.folder().display()
    )))
}

#[cfg(feature = "torch")]
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    use super::output::{message, print};
    use crate::demo::{Settings, run};

    let settings = if arguments.quick {
        Settings::quick()
    } else {
        Settings::full()
    };
    let mut screen = screen::Screen::new();
    let files = run(&arguments.folder(), &settings, &mut |event| {
        screen.show(&event)
    })?;
    print(&format!(
        "{}\n{}\n",
        files.html.display(),
        files.markdown.display()
    ))?;
    if files.parity_holds {
        return Ok(Outcome::Done);
    }
    message("parity FAILS for at least one network: see the report");
    Ok(Outcome::CheckFailed)
}

#[cfg(feature = "torch")]
mod screen {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use indicatif::MultiProgress;

    use super::super::output::message;
    use super::super::progress::Bar;
    use crate::demo::DemoEvent;
    use crate::torch::Event;
    use crate::training::Progress;

    /// Says which part runs, draws its bars, says what came out.
    pub(super) struct Screen {
        begun: Instant,
        bar: Option<Bar>,
        group: MultiProgress,
        training: BTreeMap<String, Progress>,
    }

    impl Screen {
        pub(super) fn new() -> Self {
            Self {
                begun: Instant::now(),
                bar: None,
                group: MultiProgress::new(),
                training: BTreeMap::new(),
            }
        }

        pub(super) fn show(&mut self, event: &DemoEvent<'_>) {
            match event {
                DemoEvent::Part { number, of, title } => {
                    message(&format!("[{number}/{of}] {title}"))
                }
                DemoEvent::Drawing(done, total) => self.count("images", *done, *total, ""),
                DemoEvent::Evaluating(p) => {
                    self.count("images", p.images, p.total, &format!("{} crops", p.crops))
                }
                DemoEvent::Training(network, event) => self.train(network, event),
                DemoEvent::Checking(_) => {}
                DemoEvent::Result(text) => {
                    self.clear();
                    message(&format!(
                        "       {text} ({:.0} s)",
                        self.begun.elapsed().as_secs_f64()
                    ));
                }
            }
        }

        fn count(&mut self, unit: &str, done: usize, total: usize, message: &str) {
            self.bar
                .get_or_insert_with(|| Bar::new(unit))
                .set(done as u64, total as u64, message);
        }

        fn train(&mut self, network: &str, event: &Event) {
            match event {
                Event::Started { step, steps, .. } => {
                    let name = format!("{network:<19}");
                    let bar = Progress::beside(&self.group, &name, *step, *steps);
                    self.training.insert(network.into(), bar);
                }
                Event::Step { record, left } => {
                    self.training
                        .get_mut(network)
                        .into_iter()
                        .for_each(|bar| bar.step(record, *left));
                }
                Event::Validated(record) => {
                    self.training
                        .get_mut(network)
                        .into_iter()
                        .for_each(|bar| bar.validation(record));
                }
                Event::Checkpoint(_) => {}
            }
        }

        fn clear(&mut self) {
            self.bar.take().iter().for_each(Bar::finish);
            // Dropping a bar takes it off the screen.
            self.training.clear();
        }
    }
}
