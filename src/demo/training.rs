//! All networks trained at once, each on its share of the cores.

use std::sync::mpsc;
use std::thread;

use crate::torch::{Event, TrainingError, TrainingSummary, train};
use crate::training::TrainingConfig;

/// Trains every network in a thread of its own, or goes on where it was. One network on one core does about twice as
/// many images in a second as on two: its layers are too small to be worth the threads' waiting for each other.
pub(super) fn train_all(
    configs: &[TrainingConfig],
    observer: &mut dyn FnMut(usize, &Event),
) -> Result<Vec<TrainingSummary>, TrainingError> {
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        let mut runs = vec![];
        for (number, config) in configs.iter().enumerate() {
            let send = send.clone();
            // Nobody listening any more is no reason to stop training.
            let mut tell = move |event: &Event| drop(send.send((number, event.clone())));
            runs.push(scope.spawn(move || train(config, true, &mut tell)));
        }
        drop(send);
        for (number, event) in receive {
            observer(number, &event);
        }
        let finished = runs.into_iter().map(|run| {
            run.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        finished.collect()
    })
}

/// Threads of libtorch for each of so many networks.
pub(super) fn threads_each(networks: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores / networks.max(1)).max(1)
}
