import assert from "node:assert/strict";
import { test } from "node:test";
import { readAnswer } from "../../../rsciio_xfm/explore/page/answer.js";
import { decode } from "../../../rsciio_xfm/explore/page/binary.js";

/** As Python's struct and numpy write it; not by the code that is tested. */
function encode(header, parts) {
  let text = JSON.stringify(header);
  while ((4 + Buffer.byteLength(text)) % 8) text += " ";
  const head = Buffer.alloc(4);
  head.writeUInt32LE(Buffer.byteLength(text));
  const padded = parts.map((part) => Buffer.concat([part, Buffer.alloc((8 - (part.length % 8)) % 8)]));
  return Buffer.concat([head, Buffer.from(text), ...padded]);
}
const arrays = [
  { name: "image", dtype: "uint16", shape: [1, 3] },
  { name: "sum", dtype: "float64", shape: [2] },
];
const numbers = [Buffer.from(new Uint16Array([1, 500, 65535]).buffer),
  Buffer.from(new Float64Array([0.5, 2 ** 52 + 1]).buffer)];

test("arrays and header", () => {
  const bytes = encode({ arrays, unit: "µm", max: 65535 }, numbers);
  const { header, arrays: found } = decode(new Uint8Array(bytes).buffer);
  assert.equal(header.unit, "µm");
  assert.deepEqual([...found.image], [1, 500, 65535]);
  assert.deepEqual([...found.sum], [0.5, 2 ** 52 + 1]);
});

test("a view that begins at an odd byte, as in notebooks", () => {
  const bytes = encode({ arrays }, numbers);
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  const { arrays: found } = decode(new DataView(shifted.buffer, 3));
  assert.deepEqual([...found.sum], [0.5, 2 ** 52 + 1]);
});

test("an unknown kind of numbers is an error", () => {
  const bytes = encode({ arrays: [{ name: "image", dtype: "int8", shape: [0] }] }, []);
  assert.throws(() => decode(new Uint8Array(bytes).buffer), /unknown kind: int8/);
});

test("answers by their media type", () => {
  const json = new TextEncoder().encode('{"error": "No."}').buffer;
  assert.deepEqual(readAnswer(404, "application/json", json).json, { error: "No." });
  const text = new TextEncoder().encode("import numpy").buffer;
  assert.equal(readAnswer(200, "text/x-python", text).text, "import numpy");
  const bytes = new Uint8Array(encode({ arrays }, numbers)).buffer;
  assert.equal(readAnswer(200, "application/octet-stream", bytes).arrays.image[2], 65535);
});
