//! Every command shown in the README and in `docs/` is run, in the order it stands, in an empty folder per file.
//!
//! Blocks marked `toml` that begin with `# NAME.toml` are files, written before the commands. Blocks marked `sh` are commands; each line must begin with `incept` or be one of the scripts that run this very test
//! or what it tests. A block that cannot be run here has `<!-- not run: why -->` on the line above it.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "torch")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Scripts that call this test or are called before it.
const SCRIPTS: &[&str] = &[
    "./scripts/test.sh",
    "./scripts/demo.sh",
    "./scripts/setup.sh",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents that show commands to users.
fn documents() -> Vec<PathBuf> {
    let mut documents = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    documents.sort();
    documents
}

/// The commands of a document, continuation lines joined.
fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = vec![];
    let (mut inside, mut previous) = (false, "");
    let mut unfinished = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            if line == "```sh" && previous.starts_with("<!-- not run: ") {
                println!("{previous}");
            }
            inside = line == "```sh" && !previous.starts_with("<!-- not run: ");
        } else if inside && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            unfinished += line.trim();
            match unfinished.strip_suffix('\\') {
                Some(start) => unfinished = format!("{} ", start.trim_end()),
                None => commands.push(std::mem::take(&mut unfinished)),
            }
        }
        previous = line;
    }
    commands
}

/// The files of a document: name and text.
fn files(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("\n```toml\n# ").skip(1);
    blocks
        .filter_map(|block| {
            let (name, rest) = block.split_once('\n')?;
            Some((name.to_string(), rest.split("\n```").next()?.to_string()))
        })
        .collect()
}

#[test]
fn every_command_shown_runs() {
    let binary = Path::new(env!("CARGO_BIN_EXE_incept")).parent().unwrap();
    let search = format!(
        "{}:{}",
        binary.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut ran = 0;
    for document in documents() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(&document).unwrap();
        for (name, content) in files(&text) {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        for command in commands(&text) {
            if SCRIPTS.iter().any(|script| command.starts_with(script)) {
                continue;
            }
            let name = document.strip_prefix(root()).unwrap().display();
            assert!(
                command.starts_with("incept "),
                "{name}: `{command}` is no incept command: who runs it?"
            );
            println!("{name}: {command}");
            let output = Command::new("sh")
                .args(["-c", &command])
                .env("PATH", &search)
                .current_dir(folder.path())
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{name}: `{command}` failed ({}):\n{errors}",
                output.status
            );
            ran += 1;
        }
    }
    assert!(ran > 0, "no document shows a command");
}

#[test]
fn the_finder_finds_commands() {
    let text = "```sh\nincept a \\\n  b\n# a comment\nincept c\n```\n```text\nincept d\n```\n<!-- not run: why -->\n```sh\nincept e\n```\n";
    assert_eq!(commands(text), ["incept a b", "incept c"]);
}
