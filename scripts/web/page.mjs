// In the browser: asks the server (run.mjs) for the next job, does it with ONNX Runtime Web, and answers.
import * as ort from "./ort/ort.wasm.min.mjs";

// One thread: more need headers that isolate the page, and change nothing about the numbers.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

const sessions = new Map();
const arrays = { float32: Float32Array, float16: Uint16Array, uint8: Uint8Array, int64: BigInt64Array };

async function bytesOf(file) {
  const answer = await fetch(`file?path=${encodeURIComponent(file)}`);
  if (!answer.ok) throw new Error(`the server has no ${file}`);
  return answer.arrayBuffer();
}

async function load({ session, model, optimization }) {
  const loaded = await ort.InferenceSession.create(new Uint8Array(await bytesOf(model)), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: optimization,
  });
  sessions.set(session, loaded);
  const inputs = loaded.inputMetadata.map(({ name, type }) => ({ name, type }));
  return { inputs };
}

async function run({ id, session, inputs }) {
  const loaded = sessions.get(session);
  const feeds = {};
  for (const { name, type, shape, file } of inputs) {
    const values = new arrays[type](await bytesOf(file));
    feeds[name] = new ort.Tensor(type, values, shape);
  }
  const found = await loaded.run(feeds);
  const outputs = [];
  for (const name of loaded.outputNames) {
    const { type, dims, data } = found[name];
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const file = `${id}.${outputs.length}`;
    await fetch(`output?file=${file}`, { method: "POST", body: bytes });
    outputs.push({ name, type, shape: dims.map(Number), file });
    found[name].dispose();
  }
  return { outputs };
}

async function release({ session }) {
  await sessions.get(session)?.release();
  sessions.delete(session);
  return {};
}

const jobs = { load, run, release };
for (;;) {
  const job = await (await fetch("job")).json();
  let answer;
  try {
    answer = await jobs[job.do](job);
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  await fetch("answer", { method: "POST", body: JSON.stringify({ id: job.id, ...answer }) });
}
