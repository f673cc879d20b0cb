//! A file that goes to the disk while it is being written, so that syncing it at the end has little left to wait for.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Bytes written between two requests to sync; smaller files never start the thread.
const INTERVAL: u64 = 8 << 20;

/// A file whose data a second thread syncs while more is written.
#[derive(Debug)]
pub struct SyncedAhead<'a> {
    file: &'a mut File,
    since_request: u64,
    syncing: Option<Syncing>,
}

#[derive(Debug)]
struct Syncing {
    requests: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl<'a> SyncedAhead<'a> {
    pub(super) fn new(file: &'a mut File) -> Self {
        Self {
            file,
            since_request: 0,
            syncing: None,
        }
    }

    /// Waits for everything to be on the disk.
    ///
    /// # Errors
    /// What the system said of any sync: it tells each failure once, so one seen by the thread is handed on here.
    pub(super) fn finish(self) -> io::Result<()> {
        if let Some(Syncing { requests, thread }) = self.syncing {
            drop(requests);
            let outcome = thread.join();
            outcome.map_err(|_| io::Error::other("the thread that syncs ended early"))??;
        }
        self.file.sync_all()
    }

    fn request(&mut self) -> io::Result<()> {
        let syncing = match &self.syncing {
            Some(syncing) => syncing,
            None => self.syncing.insert(start(self.file.try_clone()?)?),
        };
        match syncing.requests.try_send(()) {
            // Still at the last request: what was written since goes with the next.
            Ok(()) | Err(TrySendError::Full(())) => {}
            // The thread ended with an error, which `finish` hands on.
            Err(TrySendError::Disconnected(())) => {}
        }
        Ok(())
    }
}

fn start(file: File) -> io::Result<Syncing> {
    let (requests, received) = sync_channel(1);
    let sync = move || received.iter().try_for_each(|()| file.sync_data());
    let thread = std::thread::Builder::new()
        .name("sync".into())
        .spawn(sync)?;
    Ok(Syncing { requests, thread })
}

impl Write for SyncedAhead<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since_request += written as u64;
        if self.since_request >= INTERVAL {
            self.since_request = 0;
            self.request()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
