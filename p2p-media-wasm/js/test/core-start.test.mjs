// How a presentation begins: its first segment comes at once, the engine after it.

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const CORE = join(dirname(fileURLToPath(import.meta.url)), "../src/core/core.ts");

/** The engine's module as the core sees it: it says what it was told, and its segments come from nowhere but itself. */
const FAKE_ENGINE = `
  export default () => Promise.resolve();
  export const streamIdOf = (text) => "id of " + text;
  export class SegmentChanges {
    added = [];
    add(id) { this.added.push(id); }
    remove() {}
  }
  export class Engine {
    told = [];
    constructor() { globalThis.engines.push(this); }
    addStream(secondary, base, id) { this.told.push(["stream", id]); return this.told.length; }
    updateStream(key, { added }) { this.told.push(["segments", key, ...added]); }
    takeFetched(key, id, bytes) { this.told.push(["fetched", key, id, bytes.join()]); }
    setPlayhead(position, rate) { this.told.push(["playhead", position, rate]); }
    requestSegment(key, id) {
      this.told.push(["request", key, id]);
      return { whole: async () => Uint8Array.of(id, id), cancel() {}, free() {} };
    }
    applyOptions() {}
    async shutdown() {}
    free() {}
  }
`;

const fakeEngine = {
  name: "fake-engine",
  setup(build) {
    build.onResolve({ filter: /generated\/engine\.js$/ }, () => ({ path: "engine", namespace: "fake" }));
    build.onLoad({ filter: /.*/, namespace: "fake" }, () => ({ contents: FAKE_ENGINE }));
  },
};
const { outputFiles } = await build({ entryPoints: [CORE], bundle: true, format: "esm", write: false, plugins: [fakeEngine] });
// The engine's wasm is found beside the module.
const code = outputFiles[0].text.replaceAll("import.meta.url", '"http://page.example/core.js"');
const { Core } = await import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);

/** A core with a stream of four segments that is played and one that is not, and an origin that answers with `answer`. */
function presentation(context, answer) {
  globalThis.engines = [];
  const requested = [];
  context.mock.method(globalThis, "fetch", async (request) => {
    requested.push(request.url);
    return answer(request);
  });
  const core = new Core({ httpErrorRetries: 0 });
  core.setManifestResponseUrl("http://origin.example/master.m3u8?token=1");
  for (const runtimeId of ["played", "other"]) {
    core.addStreamIfNoneExists({ runtimeId, type: "main", index: `index of ${runtimeId}` });
    const segments = [0, 1, 2, 3].map((number) => ({
      runtimeId: `${runtimeId} ${number}`,
      externalId: number,
      url: `http://origin.example/${runtimeId}/${number}.ts`,
      startTime: 4 * number,
      endTime: 4 * number + 4,
    }));
    core.updateStream(runtimeId, segments);
  }
  core.updatePlayback(0, 1);
  context.after(() => core.destroy());
  return { core, requested };
}

/** The bytes of a segment, as a player gets them. */
const bytesOf = (core, id) =>
  new Promise((resolve, reject) => core.loadSegment(id, { onSuccess: ({ data }) => resolve([...new Uint8Array(data)]), onError: reject }));

test("the first segment waits for no engine, which shares it once it runs", async (context) => {
  const { core, requested } = presentation(context, () => new Response(Uint8Array.of(7, 8, 9)));
  assert.deepEqual(await bytesOf(core, "played 0"), [7, 8, 9]);
  assert.deepEqual(requested, ["http://origin.example/played/0.ts"]);
  assert.equal(engines.length, 0);

  assert.deepEqual(await bytesOf(core, "played 1"), [1, 1]);
  assert.equal(engines.length, 1);
  assert.deepEqual(engines[0].told, [
    ["playhead", 0, 1],
    ["stream", "index of played"],
    ["segments", 2, 0, 1, 2, 3],
    ["fetched", 2, 0, "7,8,9"],
    ["request", 2, 1],
  ]);
  assert.equal(requested.length, 1);
});

test("a stream is told to the engine when it is played", async (context) => {
  const { core } = presentation(context, () => new Response(Uint8Array.of(7)));
  await bytesOf(core, "played 0");
  await bytesOf(core, "played 1");
  const told = engines[0].told.length;
  core.updateStream("other", [], ["other 0"]);
  assert.equal(engines[0].told.length, told);
  await bytesOf(core, "other 3");
  assert.deepEqual(engines[0].told.slice(told), [
    ["stream", "index of other"],
    ["segments", 6, 1, 2, 3],
    ["request", 6, 3],
  ]);
});

test("a first segment that the origin does not give comes from the engine", async (context) => {
  const { core, requested } = presentation(context, () => new Response("", { status: 503 }));
  assert.deepEqual(await bytesOf(core, "played 2"), [2, 2]);
  assert.equal(requested.length, 1);
});

test("the engine starts while a slow first segment comes, and shares it when it is there", async (context) => {
  let give;
  const { core } = presentation(context, () => new Promise((resolve) => (give = resolve)));
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const bytes = bytesOf(core, "played 0");
  await new Promise(setImmediate);
  context.mock.timers.tick(499);
  await new Promise(setImmediate);
  assert.equal(engines.length, 0);
  context.mock.timers.tick(1);
  for (let turn = 0; turn < 20 && engines.length === 0; turn++) await new Promise(setImmediate);
  assert.equal(engines.length, 1);
  give(new Response(Uint8Array.of(5)));
  assert.deepEqual(await bytes, [5]);
  assert.deepEqual(engines[0].told.at(-1), ["fetched", 2, 0, "5"]);
});

test("the player is left alone with its first segment for a moment", async (context) => {
  const { core } = presentation(context, () => new Response(Uint8Array.of(7)));
  context.mock.timers.enable({ apis: ["setTimeout"] });
  await bytesOf(core, "played 0");
  const second = bytesOf(core, "played 1");
  context.mock.timers.tick(149);
  await new Promise(setImmediate);
  assert.equal(engines.length, 0);
  context.mock.timers.tick(1);
  assert.deepEqual(await second, [1, 1]);
});

test("the first segment in another quality does not wait either, and the last one that came is shared", async (context) => {
  const { core, requested } = presentation(context, () => new Response(Uint8Array.of(requested.length)));
  assert.deepEqual(await bytesOf(core, "played 1"), [1]);
  assert.deepEqual(await bytesOf(core, "other 1"), [2]);
  assert.equal(engines.length, 0);
  assert.deepEqual(await bytesOf(core, "other 2"), [2, 2]);
  assert.deepEqual(engines[0].told, [
    ["playhead", 0, 1],
    ["stream", "index of other"],
    ["segments", 2, 0, 1, 2, 3],
    ["fetched", 2, 1, "2"],
    ["request", 2, 2],
  ]);
});

test("a player that gives up its first segment finds an engine for another", async (context) => {
  const never = ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const { core } = presentation(context, never);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const first = bytesOf(core, "played 0");
  await new Promise(setImmediate);
  core.abortSegmentLoading("played 0");
  await assert.rejects(first, { type: "aborted" });
  assert.deepEqual(await bytesOf(core, "played 3"), [3, 3]);
});

test("an origin that is silent is not waited for without end", async (context) => {
  const { core } = presentation(
    context,
    ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  );
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const bytes = bytesOf(core, "played 0");
  await new Promise(setImmediate);
  context.mock.timers.tick(3000);
  assert.deepEqual(await bytes, [0, 0]);
});

test("an origin that ignores ranges is not read beyond the segment", async (context) => {
  let pulled = 0;
  // Would go on for ever.
  const pull = (controller) => controller.enqueue(Uint8Array.of(pulled++));
  const { core } = presentation(context, () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 })));
  const byteRange = { start: 2, end: 4 };
  core.updateStream("played", [
    { runtimeId: "ranged", externalId: 9, url: "http://origin.example/all.ts", byteRange, startTime: 0, endTime: 4 },
  ]);
  assert.deepEqual(await bytesOf(core, "ranged"), [2, 3, 4]);
  assert.equal(pulled, 5);
});

test("what is left behind by `destroy` does not reach the next presentation", async (context) => {
  const { core } = presentation(context, () => new Response(Uint8Array.of(7)));
  await bytesOf(core, "played 0");
  core.destroy();
  context.mock.timers.enable({ apis: ["setTimeout"] });
  context.mock.timers.tick(1000);
  await new Promise(setImmediate);
  assert.equal(engines.length, 0);
  await assert.rejects(core.loadSegment("played 0", {}), /no stream has the segment/);
});
