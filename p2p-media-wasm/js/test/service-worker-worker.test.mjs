// What the worker answers, what it leaves alone, and what it does when a page fails.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { after, FakeScope, giving } from "./service-worker-support.mjs";

const DIRECTORY = "https://o.example/v/";
const SEGMENT = `${DIRECTORY}1.m4s`;
const served = { directories: [DIRECTORY] };

test("pages without a page half are left alone, and asked once", async () => {
  const scope = new FakeScope();
  const client = scope.client("a");
  assert.equal(await scope.request("a", SEGMENT), undefined);
  assert.equal(await scope.request("a", SEGMENT), undefined);
  await after(5);
  assert.deepEqual(client.asked.map(({ p2pMedia }) => p2pMedia), ["who"]);
});

test("what is no business of ours goes its way", async () => {
  const scope = new FakeScope();
  scope.client("a", { ...served, answer: giving("no") }).hello();
  for (const init of [{ method: "POST" }, { method: "HEAD" }, { mode: "no-cors" }, { destination: "image" }, { headers: { authorization: "x" } }]) {
    assert.equal(await scope.request("a", SEGMENT, init), undefined, JSON.stringify(init));
  }
  assert.equal(await scope.request("a", `${SEGMENT}#p2p-media`), undefined);
  assert.equal(await scope.request("a", "https://o.example/other/1.m4s"), undefined);
});

test("a segment comes from the page, as it has it", async () => {
  const scope = new FakeScope();
  const client = scope.client("a", { ...served, answer: giving("one ", "two") });
  client.hello();
  const response = await scope.request("a", SEGMENT, { headers: { "X-Token": "7", Accept: "*/*" } });
  assert.deepEqual([response.status, response.headers.get("content-type"), await response.text()], [200, "video/mp4", "one two"]);
  const { headers, isOwn, range } = client.asked[0];
  assert.equal(JSON.stringify({ headers, isOwn, range }), '{"headers":[["x-token","7"]],"isOwn":true}');
  assert.equal(scope.fetched.length, 0);
});

test("a range is answered as one", async () => {
  const scope = new FakeScope();
  const client = scope.client("a", { ...served, answer: giving("three") });
  client.hello();
  const response = await scope.request("a", SEGMENT, { headers: { Range: "bytes=10-14" } });
  assert.deepEqual([response.status, response.headers.get("content-range"), response.headers.get("content-length")], [206, "bytes 10-14/*", "5"]);
  assert.equal(JSON.stringify(client.asked[0].range), '{"start":10,"end":14}');
  const open = await scope.request("a", SEGMENT, { headers: { Range: "bytes=10-" } });
  assert.equal(await open.text(), "from the network");
});

describe("Chromium's own HLS player", () => {
  const chromium = { userAgentData: {} };
  const ofElement = { destination: "video", mode: "no-cors", credentials: "include", headers: { Range: "bytes=0-" } };
  // As Chromium has it; Node 20 has not.
  Uint8Array.prototype.toBase64 ??= function () {
    return Buffer.from(this).toString("base64");
  };

  test("gets a segment whole, in an answer that was fetched", async () => {
    const scope = new FakeScope((request) => (typeof request === "string" ? fetch(request) : new Response("from the network")), chromium);
    const client = scope.client("a", { ...served, answer: giving("one ", "two") });
    client.hello();
    const response = await scope.request("a", SEGMENT, ofElement);
    assert.deepEqual([response.headers.get("content-type"), await response.text()], ["video/mp4", "one two"]);
    assert.match(response.url, /^data:/);
    assert.deepEqual([client.asked[0].range, client.asked[0].credentials], [undefined, "same-origin"]);
    const part = await scope.request("a", SEGMENT, { ...ofElement, headers: { Range: "bytes=5-9" } });
    assert.equal(await part.text(), "from the network");
  });

  test("gets a segment that fails from the network", async () => {
    const scope = new FakeScope(undefined, chromium);
    scope.client("a", { ...served, answer: (_, port) => ["accepted", "failed"].forEach((is) => port.postMessage({ is })) }).hello();
    const response = await scope.request("a", SEGMENT, ofElement);
    assert.deepEqual([await response.text(), scope.fetched[0].mode], ["from the network", "no-cors"]);
  });

  test("gets manifests that scripts may read, and the others as ever", async () => {
    let isOffline = true;
    const network = ({ mode, url }) => {
      if (isOffline || (mode === "cors" && url.includes("closed"))) throw new TypeError("no CORS");
      return new Response(mode);
    };
    const scope = new FakeScope(network, chromium);
    scope.client("a", { answer: (_, port) => port.postMessage({ served: { directories: [], manifests: [] } }) }).hello();
    assert.equal(await scope.request("a", "https://open.example/film", ofElement), undefined, "a film in one file");
    const ask = async (url) => (await scope.request("a", url, ofElement)).text();
    await assert.rejects(ask("https://open.example/m.m3u8"));
    isOffline = false;
    scope.fetched.length = 0;
    assert.equal(await ask("https://open.example/m.m3u8"), "cors", "a lost network says nothing of the origin");
    for (let count = 0; count < 2; count++) assert.equal(await ask("https://closed.example/m.m3u8"), "no-cors");
    assert.deepEqual(scope.fetched.map(({ mode }) => mode), ["cors", "cors", "no-cors", "no-cors"], "a closed origin is asked once");
  });

  test("is left alone in other browsers", async () => {
    const scope = new FakeScope();
    scope.client("a", { ...served, answer: giving("no") }).hello();
    assert.equal(await scope.request("a", SEGMENT, ofElement), undefined);
  });
});

test("what the page refuses, or cannot give, comes from the network", async () => {
  for (const answers of [["refused"], ["accepted", "failed"]]) {
    const scope = new FakeScope();
    scope.client("a", { ...served, answer: (_, port) => answers.forEach((is) => port.postMessage({ is })) }).hello();
    const response = await scope.request("a", SEGMENT);
    assert.equal(await response.text(), "from the network");
  }
});

test("a page that does not answer costs no more than the patience", async () => {
  const scope = new FakeScope();
  scope.client("a", served).hello();
  const began = performance.now();
  const response = await scope.request("a", SEGMENT);
  assert.equal(await response.text(), "from the network");
  assert.ok(performance.now() - began < 600);
});

test("after the first bytes the rest comes from the network", async () => {
  const whole = "0123456789";
  const fails = (_, port) => {
    port.postMessage({ is: "accepted", type: "video/mp4" });
    port.postMessage({ is: "chunk", bytes: new TextEncoder().encode("0123").buffer });
    port.postMessage({ is: "failed" });
  };
  const ranges = [];
  const ask = async (network, init) => {
    const scope = new FakeScope((request) => {
      ranges.push(request.headers.get("range"));
      return network;
    });
    scope.client("a", { ...served, answer: fails }).hello();
    return (await scope.request("a", SEGMENT, init)).text();
  };
  assert.equal(await ask(new Response("456789", { status: 206 })), whole);
  assert.equal(await ask(new Response(whole)), whole, "an origin that knows no ranges");
  assert.equal(await ask(new Response("4567", { status: 206 }), { headers: { Range: "bytes=10-17" } }), "01234567");
  assert.deepEqual(ranges, ["bytes=4-", "bytes=4-", "bytes=14-17"]);
  await assert.rejects(ask(new Response("", { status: 404 })));
  await assert.rejects(ask(new Response("4", { status: 206 }), { headers: { Range: "bytes=0-9" } }), "too little");
});

test("a player that wants no more is heard of by the page", async () => {
  const said = [];
  const scope = new FakeScope();
  const answer = (_, port) => {
    port.on("message", (message) => said.push(message));
    port.postMessage({ is: "accepted", type: "video/mp4" });
    port.postMessage({ is: "chunk", bytes: new ArrayBuffer(1) });
  };
  scope.client("a", { ...served, answer }).hello();
  const response = await scope.request("a", SEGMENT);
  await response.body.cancel();
  await after(10);
  assert.deepEqual(said, [{ is: "withdrawn" }]);
});

test("a manifest goes to the player and to the page, and segments wait until it is read", async () => {
  const scope = new FakeScope((request) => new Response(`text of ${request.url}`));
  const answer = (message, port) => {
    if (message.p2pMedia === "segment") return giving("shared")(message, port);
    setTimeout(() => port.postMessage({ served: { directories: [DIRECTORY], manifests: [] } }), 30);
  };
  const client = scope.client("a", { answer });
  client.hello();
  const manifest = await scope.request("a", "https://o.example/m.m3u8?_HLS_msn=2");
  assert.equal(await manifest.text(), "text of https://o.example/m.m3u8?_HLS_msn=2");
  await after(5);
  const segment = await scope.request("a", SEGMENT);
  assert.equal(await segment.text(), "shared");
  assert.equal(new TextDecoder().decode(client.asked[0].text), "text of https://o.example/m.m3u8?_HLS_msn=2");
});

test("a manifest without the usual name is known by its type", async () => {
  const type = { headers: { "Content-Type": "application/dash+xml; charset=utf-8", Date: "Sun, 06 Nov 1994 08:49:37 GMT", Age: "10" } };
  const scope = new FakeScope((request) => new Response("<MPD/>", request.url.endsWith("manifest") ? type : {}));
  const client = scope.client("a", { answer: (_, port) => port.postMessage({ served: { directories: [], manifests: [] } }) });
  client.hello();
  for (const path of ["api/manifest", "api/other"]) await (await scope.request("a", `https://o.example/${path}`)).text();
  await after(5);
  assert.deepEqual(client.asked.map(({ url, sentAt }) => [url, sentAt]), [["https://o.example/api/manifest", 784_111_787]]);
});

test("tabs share one engine, and another takes over when its tab goes", async () => {
  const scope = new FakeScope(() => new Response("#EXTM3U"));
  const page = (id) => {
    let names = [];
    const answer = (message, port) => {
      if (message.p2pMedia === "segment") return names.length > 0 ? giving(id)(message, port) : port.postMessage({ is: "refused" });
      names = [...new Set([...names, message.url])];
      port.postMessage({ served: { directories: [DIRECTORY], manifests: names } });
    };
    const client = scope.client(id, { answer });
    client.hello();
    return client;
  };
  const [first, second, third] = ["a", "b", "c"].map(page);
  const play = async (id) => {
    for (const name of ["master", "media"]) await (await scope.request(id, `https://o.example/${name}.m3u8`)).text();
    await after(20);
    return (await scope.request(id, SEGMENT)).text();
  };
  assert.deepEqual([await play("a"), await play("b"), await play("c")], ["a", "a", "a"]);
  const manifests = (client) => client.asked.filter(({ p2pMedia }) => p2pMedia === "manifest").map(({ url }) => url.slice(18));
  assert.deepEqual([manifests(first).length, manifests(second).length], [6, 0]);

  scope.say(first, { p2pMedia: "bye" });
  await after(20);
  assert.deepEqual(manifests(second), ["master.m3u8", "media.m3u8"]);
  assert.equal(manifests(third).length, 0, "one is enough");
  for (const id of ["b", "c"]) assert.equal(await (await scope.request(id, SEGMENT)).text(), "b");
});

test("a tab that no longer answers is left for one's own", async () => {
  const scope = new FakeScope();
  const frozen = scope.client("a", { directories: [DIRECTORY], manifests: ["https://o.example/m.m3u8"] });
  frozen.hello();
  const second = scope.client("b");
  second.hello();
  for (let count = 0; count < 2; count++) assert.equal(await (await scope.request("b", SEGMENT)).text(), "from the network");
  const began = performance.now();
  assert.equal(await scope.request("b", SEGMENT), undefined, "nobody serves it now");
  assert.ok(performance.now() - began < 100);
});
