// Runs ONNX models in ONNX Runtime Web in a headless Chromium: `incept`'s runtime `web` starts this and talks to it.
//
//     node run.mjs PACKAGE CHROMIUM
//
// PACKAGE is the folder of onnxruntime-web, CHROMIUM the browser. Each line of standard input is a job, each line of standard output its answer, both JSON; an answer with `error` tells why there is none.
//
//     {"id":1,"do":"load","session":1,"model":"m.onnx","optimization":"all"}  -> {"id":1,"inputs":[{"name","type"}]}
//     {"id":2,"do":"run","session":1,"inputs":[{"name","type","shape","file"}]} -> {"id":2,"outputs":[{"name","type","shape","file"}]}
//     {"id":3,"do":"release","session":1}                                     -> {"id":3}
//
// The first line out is {"id":0,"folder":"..."} once the page is there. Files hold raw little-endian numbers and are named within
// that folder, which goes with the script. It ends when standard input does. Needs no package but onnxruntime-web.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [packageFolder, chromium] = process.argv.slice(2);
if (!chromium) {
  console.error("usage: node run.mjs PACKAGE CHROMIUM");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "incept-web-"));
const here = dirname(fileURLToPath(import.meta.url));
// Other users of this machine can reach the port, and not guess this.
const secret = randomBytes(16).toString("hex");
const types = { html: "text/html", mjs: "text/javascript", wasm: "application/wasm" };
// Seconds in which the page must have started.
const PATIENCE = 60;

const jobs = [];
let waiting; // The page's open request for the next job.
let started = false;

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function hand() {
  if (waiting && jobs.length > 0) {
    waiting.end(jobs.shift());
    waiting = undefined;
  }
}

function send(response, path) {
  try {
    const type = types[path.split(".").pop()] ?? "application/octet-stream";
    const bytes = readFileSync(path);
    response.writeHead(200, { "content-type": type }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const [, given, ...rest] = url.pathname.split("/");
  if (given !== secret) return response.writeHead(403).end();
  const name = rest.join("/");
  if (name === "job") {
    if (!started) say({ id: 0, folder });
    started = true;
    waiting = response;
    return hand();
  }
  if (name === "answer") {
    say(JSON.parse((await body(request)).toString()));
    return response.end();
  }
  if (name === "file") return send(response, join(folder, basename(url.searchParams.get("path") ?? "")));
  if (name === "output") {
    writeFileSync(join(folder, basename(url.searchParams.get("file") ?? "")), await body(request));
    return response.end();
  }
  if (rest[0] === "ort") return send(response, join(packageFolder, "dist", basename(name)));
  if (name === "" || name === "page.mjs") return send(response, join(here, name || "page.html"));
  return response.writeHead(404).end();
});

server.listen(0, "127.0.0.1", () => {
  const options = [
    "--headless=new",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    `--user-data-dir=${join(folder, "profile")}`,
    // Chromium does not start as root with its sandbox; the page is our own, from this machine.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    `http://127.0.0.1:${server.address().port}/${secret}/`,
  ];
  // A group of its own: the browser is several processes, and all of them are to end.
  const browser = spawn(chromium, options, { stdio: ["ignore", "ignore", "pipe"], detached: true });
  let complaints = "";
  browser.stderr.on("data", (text) => {
    complaints = (complaints + text).slice(-2000);
  });
  const end = (code) => {
    try {
      process.kill(-browser.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    process.exit(code);
  };
  const fail = (error) => {
    say({ id: 0, error });
    end(1);
  };
  browser.on("error", (error) => fail(`cannot start ${chromium}: ${error.message}`));
  browser.on("exit", (code) => fail(`${chromium} ended (${code}): ${complaints.trim()}`));
  setTimeout(() => started || fail(`the page did not start within ${PATIENCE} s: ${complaints.trim()}`), PATIENCE * 1000);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(1));
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    jobs.push(line);
    hand();
  });
  lines.on("close", () => end(0));
});
