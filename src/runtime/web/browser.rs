//! The browser: found, started once for the whole program, asked one thing at a time.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::{RuntimeError, in_the_checkout};
use super::NAME;

/// The script, from the checkout.
const SCRIPT: &str = "scripts/web/run.mjs";

/// Where `scripts/setup.sh --web` puts the package, from the checkout.
const PACKAGE: &str = ".runtime/web/node_modules/onnxruntime-web/package.json";

/// The variable that names the browser.
const BROWSER_VARIABLE: &str = "CHROMIUM";

/// The names Chromium has, in the order they are tried.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// How long one answer may take: networks of full size are slow on one thread.
const PATIENCE: Duration = Duration::from_secs(600);

/// What it needs, all of it there.
#[derive(Clone)]
pub(super) struct Installed {
    node: PathBuf,
    chromium: PathBuf,
    script: PathBuf,
    /// The folder of the package.
    package: PathBuf,
    /// The package's version.
    pub(super) version: String,
}

impl Installed {
    /// Looks for Node.js, Chromium, the script and the package.
    ///
    /// # Errors
    /// [`RuntimeError::Missing`] with the way to get what is missing.
    pub(super) fn find() -> Result<Self, RuntimeError> {
        let missing = |what: &str, hint: &str| RuntimeError::Missing {
            runtime: NAME,
            reason: format!("{what} was not found"),
            hint: hint.into(),
        };
        let programs = "apt-get install nodejs npm chromium, then run ./scripts/setup.sh --web";
        let node = program("node").ok_or_else(|| missing("Node.js (`node`)", programs))?;
        let chromium = chromium().ok_or_else(|| missing("Chromium (`chromium`)", programs))?;
        let script = in_the_checkout(SCRIPT);
        let checkout = "run incept from a checkout of its sources";
        let script = script.ok_or_else(|| missing(&format!("`{SCRIPT}`"), checkout))?;
        let package = in_the_checkout(PACKAGE);
        let setup = "run ./scripts/setup.sh --web";
        let package = package.ok_or_else(|| missing(&format!("`{PACKAGE}`"), setup))?;
        #[derive(Deserialize)]
        struct Package {
            version: String,
        }
        let text = std::fs::read(&package).unwrap_or_default();
        let Package { version } = serde_json::from_slice(&text)
            .map_err(|_| missing(&format!("a version in `{}`", package.display()), setup))?;
        Ok(Self {
            node,
            chromium,
            script,
            package: package.parent().map(Path::to_path_buf).unwrap_or_default(),
            version,
        })
    }
}

/// The browser: the program that the variable `CHROMIUM` names, or Chromium on the search path.
pub fn chromium() -> Option<PathBuf> {
    match env::var_os(BROWSER_VARIABLE) {
        Some(path) => Some(PathBuf::from(path)).filter(|path| path.is_file()),
        None => BROWSERS.iter().find_map(|name| program(name)),
    }
}

/// The program of that name on the search path.
fn program(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut files = env::split_paths(&folders).map(|folder| folder.join(name));
    files.find(|path| path.is_file())
}

/// The script's process with its browser, which ends when this is dropped, or the program.
pub(super) struct Browser {
    process: Child,
    /// Closed to end the process.
    jobs: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Where models and tensors lie; the script removes it when it ends.
    folder: PathBuf,
    last: u64,
}

static BROWSER: Mutex<Option<Browser>> = Mutex::new(None);

impl Browser {
    /// Starts the browser unless it runs, and asks it something.
    pub(super) fn with<T>(
        installed: &Installed,
        ask: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut running = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
        let browser = match &mut *running {
            Some(browser) => browser,
            none => none.insert(Self::start(installed)?),
        };
        let answer = ask(browser);
        // One that has ended is started anew for the next.
        if browser.jobs.is_none() {
            *running = None;
        }
        answer
    }

    /// Asks the browser something if it runs.
    pub(super) fn with_running<T>(
        ask: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut running = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *running {
            Some(browser) => ask(browser),
            None => Err("no browser runs".into()),
        }
    }

    fn start(installed: &Installed) -> Result<Self, String> {
        let mut process = Command::new(&installed.node)
            .arg(&installed.script)
            .arg(&installed.package)
            .arg(&installed.chromium)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start `{}`: {error}", installed.node.display()))?;
        let (sender, answers) = channel();
        if let Some(lines) = process.stdout.take() {
            std::thread::spawn(move || {
                let lines = BufReader::new(lines).lines();
                lines
                    .map_while(Result::ok)
                    .try_for_each(|line| sender.send(line))
            });
        }
        let mut browser = Self {
            jobs: process.stdin.take(),
            process,
            answers,
            folder: PathBuf::new(),
            last: 0,
        };
        #[derive(Deserialize)]
        struct Started {
            folder: PathBuf,
        }
        browser.folder = browser.answer::<Started>(0)?.folder;
        Ok(browser)
    }

    /// Sends a job and waits for its answer.
    ///
    /// # Errors
    /// The answer's own, and a browser that has ended or does not answer.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, mut job: Value) -> Result<T, String> {
        self.last += 1;
        job["id"] = json!(self.last);
        let jobs = self.jobs.as_mut().ok_or("the browser has ended")?;
        let sent = writeln!(jobs, "{job}").and_then(|()| jobs.flush());
        if let Err(error) = sent {
            self.jobs = None;
            return Err(format!("the browser has ended: {error}"));
        }
        self.answer(self.last)
    }

    fn answer<T: DeserializeOwned>(&mut self, id: u64) -> Result<T, String> {
        let line = self.answers.recv_timeout(PATIENCE).map_err(|error| {
            self.jobs = None;
            format!("the browser does not answer: {error}")
        })?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.into());
        }
        if answer["id"] != json!(id) {
            self.jobs = None;
            return Err(format!("expected the answer to job {id}, found `{line}`"));
        }
        serde_json::from_value(answer).map_err(|error| error.to_string())
    }

    /// Writes a file that the page can ask for.
    pub(super) fn write(&self, file: &str, bytes: &[u8]) -> Result<(), String> {
        std::fs::write(self.folder.join(file), bytes).map_err(|error| error.to_string())
    }

    /// Reads a file that the page has written, and removes it.
    pub(super) fn take(&self, file: &str) -> Result<Vec<u8>, String> {
        let bytes = std::fs::read(self.folder.join(file));
        self.remove(file);
        bytes.map_err(|error| format!("`{file}`: {error}"))
    }

    pub(super) fn remove(&self, file: &str) {
        // What is left behind goes with the folder.
        let _ = std::fs::remove_file(self.folder.join(file));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The script ends its browser when nobody can give it jobs any more.
        self.jobs = None;
        let _ = self.process.wait();
    }
}
