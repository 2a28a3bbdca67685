// Ids of streams: those that the official library derives from the same properties.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import { coreModule } from "./core-support.mjs";

const { streamText } = await coreModule("stream_id.ts");
const { stream_ids: cases } = JSON.parse(
  readFileSync(new URL("../../../p2p-media-core/tests/fixtures/identity.json", import.meta.url), "utf8"),
);

test("every recorded stream id", () => {
  assert.ok(cases.length > 90, `${cases.length} cases`);
  for (const { note, input, output } of cases) {
    const properties = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
    assert.equal(createHash("sha1").update(streamText(properties)).digest("base64"), output, note);
  }
});
