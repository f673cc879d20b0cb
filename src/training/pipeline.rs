//! Work done ahead of its use, in threads, and handed over in order.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, bounded};

/// Items `start..end`, made by worker threads ahead of being asked for, given out in order. Item i is made by worker
/// `i mod workers`, so neither the number of workers nor their speed changes what comes out.
pub(super) struct Pipeline<T> {
    next: u64,
    end: u64,
    receivers: Vec<Receiver<T>>,
    threads: Vec<JoinHandle<()>>,
}

/// Items a worker may have ready beyond the one it is making.
const AHEAD: usize = 2;

impl<T: Send + 'static> Pipeline<T> {
    /// Starts the workers. `state` makes what each worker keeps from item to item.
    pub(super) fn start<S: 'static>(
        items: std::ops::Range<u64>,
        workers: usize,
        state: impl Fn() -> S + Send + Sync + 'static,
        make: impl Fn(&mut S, u64) -> T + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (start, end) = (items.start, items.end);
        let workers = workers.max(1);
        let shared = Arc::new((state, make));
        let mut receivers = vec![];
        let mut threads = vec![];
        for worker in 0..workers as u64 {
            let (sender, receiver) = bounded(AHEAD);
            receivers.push(receiver);
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("images {worker}"))
                .spawn(move || {
                    let (state, make) = &*shared;
                    let mut state = state();
                    for item in (start + worker..end).step_by(workers) {
                        // The other end is gone where the run has stopped.
                        if sender.send(make(&mut state, item)).is_err() {
                            return;
                        }
                    }
                })?;
            threads.push(thread);
        }
        // Item `start` comes from worker 0.
        Ok(Self {
            next: 0,
            end: end.saturating_sub(start),
            receivers,
            threads,
        })
    }

    /// The next item; none after the last.
    ///
    /// # Panics
    /// Where a worker has panicked, with its panic: the end of the items it is not.
    pub(super) fn next(&mut self) -> Option<T> {
        if self.next >= self.end {
            return None;
        }
        let worker = (self.next % self.receivers.len() as u64) as usize;
        self.next += 1;
        if let Ok(item) = self.receivers[worker].recv() {
            return Some(item);
        }
        self.receivers.clear();
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        None
    }
}

impl<T> Drop for Pipeline<T> {
    fn drop(&mut self) {
        // Without receivers the workers end at their next item.
        self.receivers.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn items_come_in_order_whatever_the_number_of_workers() {
        for workers in [1, 2, 3, 8] {
            let mut pipeline = Pipeline::start(5..25, workers, || 0, |_, i| i * i).unwrap();
            let found: Vec<u64> = std::iter::from_fn(|| pipeline.next()).collect();
            assert_eq!(found, (5..25).map(|i| i * i).collect::<Vec<u64>>());
        }
    }

    #[test]
    #[should_panic(expected = "at the third item")]
    fn a_worker_that_panics_is_not_the_end_of_the_items() {
        let work = |(): &mut (), i: u64| assert!(i < 2, "at the third item");
        let mut pipeline = Pipeline::start(0..5, 2, || (), work).unwrap();
        while pipeline.next().is_some() {}
    }

    #[test]
    fn workers_stop_when_nobody_takes_their_items() {
        let mut pipeline = Pipeline::start(0..u64::MAX, 3, || (), |(), i| i).unwrap();
        assert_eq!(pipeline.next(), Some(0));
        drop(pipeline);
    }
}
