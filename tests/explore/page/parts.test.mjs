import assert from "node:assert/strict";
import { test } from "node:test";
import { REGION_COLOURS, colourTable, nextColour, pixel } from "../../../rsciio_xfm/explore/page/colours.js";
import { placeLabels } from "../../../rsciio_xfm/explore/page/labels.js";
import { latest, recent } from "../../../rsciio_xfm/explore/page/latest.js";
import { imageLabel, lineLabel, parseElements, parseLine, shown } from "../../../rsciio_xfm/explore/page/names.js";
import { histogramOf, limitsOf, meansOf, paintOne, ratioOf, sortedSample } from "../../../rsciio_xfm/explore/page/paint.js";
import { patient } from "../../../rsciio_xfm/explore/page/patient.js";
import { areaText, lengthText, roundLength, scaleBar } from "../../../rsciio_xfm/explore/page/scale_bar.js";

test("one question under way, the newest kept", async () => {
  const asked = [];
  let wanted = 0;
  let done = null;
  let release = null;
  const poke = latest(() => (wanted === done ? null : wanted), async (question) => {
    asked.push(question);
    await new Promise((free) => { release = free; });
    done = question;
  });
  wanted = 1;
  const running = poke();
  for (wanted = 2; wanted < 50; wanted++) poke();
  release();
  await new Promise(setImmediate);
  release();
  await running;
  assert.deepEqual(asked, [1, 50]);
});

test("what was used longest ago is forgotten", () => {
  const kept = recent(2);
  kept.set("a", 1);
  kept.set("b", 2);
  kept.get("a");
  kept.set("c", 3);
  assert.deepEqual([kept.get("a"), kept.get("b"), kept.get("c")], [1, undefined, 3]);
});

test("a server that is gone or busy is asked again; an error is told in its words", async () => {
  const told = [];
  const answers = [new TypeError("gone"), { status: 429 }, { status: 200, json: 5 }];
  const api = patient({
    async get() {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  }, (what) => told.push(what));
  assert.equal((await api.get("a")).json, 5);
  assert.deepEqual(told, [{ gone: true }, { gone: false }]);
  answers.push({ status: 409, json: { error: "It was replaced.", hint: "Open it again." } });
  await assert.rejects(api.get("a"), { message: "It was replaced.", hint: "Open it again.", status: 409 });
  assert.deepEqual(told.at(-1), { changed: true });
});

test("labels do not cover each other; the heavier ones stay", () => {
  const labels = Array.from({ length: 30 }, (_, k) => ({ x: 200 + 3 * k, width: 40, weight: 30 - k, k }));
  const placed = placeLabels(labels, { left: 0, right: 400, rows: 3, gap: 4 });
  assert.ok(placed.length >= 6 && placed.length < 30);
  assert.equal(placed[0].k, 0);
  for (const a of placed) {
    assert.ok(a.left >= 0 && a.left + a.width <= 400 && Math.abs(a.left + 20 - a.x) <= 40.001);
    for (const b of placed.filter((other) => other !== a && other.row === a.row)) {
      assert.ok(a.left + a.width + 4 <= b.left + 1e-9 || b.left + b.width + 4 <= a.left + 1e-9);
    }
  }
  const [one] = placeLabels([{ x: 1, width: 40, weight: 1 }], { left: 0, right: 400, rows: 1 });
  assert.equal(one.left, 0);
});

test("names as people write them", () => {
  assert.deepEqual(["Fe_Ka", "Sr_Kb1", "Pb_La", "Au_Ma", "Fe_K"].map(lineLabel),
    ["Fe Kα", "Sr Kβ1", "Pb Lα", "Au Mα", "Fe K"]);
  for (const text of ["Fe_Ka", "fe ka", "FeKa", "Fe Kα", " fe-ka1 "]) assert.equal(parseLine(text), "Fe_Ka");
  assert.equal(parseLine("Pb Lb2"), "Pb_Lb2");
  assert.equal(parseLine("6.4 keV"), null);
  assert.deepEqual(parseElements("fe, CA;xx ti Fe"), { found: ["Fe", "Ca", "Ti"], unknown: ["xx"] });
  assert.equal(imageLabel("w:100:120", (c) => c * 0.01), "1.00 to 1.20 keV");
  assert.equal(imageLabel("w:100:120"), "Channels 100 to 119");
  assert.equal(imageLabel("fit:Fe_K"), "Fe K, fitted");
  assert.deepEqual([12345, 0.012345, 2.5e9, 4321.5, NaN, 0].map((v) => shown(v)),
    ["12\u202f345", "0.01235", "2.50e+9", "4\u202f322", "none", "0"]);
});

test("scale bars are of round length and fit", () => {
  assert.deepEqual([7, 19.99, 0.3, 1000].map(roundLength), [5, 10, 0.2, 1000]);
  const bar = scaleBar({ size_x: 0.03, size_y: 0.03, units: "mm" }, 4, 150);
  assert.equal(bar.text, "1 mm");
  assert.ok(Math.abs(bar.pixels - (1000 / 30) * 4) < 1e-9);
  assert.deepEqual(scaleBar(null, 3, 100), { pixels: 60, text: "20 pixels" });
  assert.deepEqual([0.05, 20, 5000, 20000].map(lengthText), ["50 nm", "20 µm", "5 mm", "2 cm"]);
  assert.equal(areaText(10, { size_x: 2, size_y: 3, units: "µm" }), "60 µm²");
  assert.equal(areaText(10, { size_x: 1, size_y: 1, units: "mm" }), "10 mm²");
  assert.equal(areaText(10, { size_x: 1, size_y: 1, units: "deg" }), null);
});

test("contrast by percentiles, gamma, pixels without a number", () => {
  const image = Float32Array.from({ length: 101 }, (_, k) => k);
  const sorted = sortedSample(image);
  assert.deepEqual(limitsOf(sorted, { low: 10, high: 90 }), [10, 90]);
  assert.deepEqual(limitsOf(Float64Array.of(5, 5), { low: 0, high: 99 }), [4.5, 5.5]);
  assert.deepEqual(limitsOf(Float64Array.of(0, 0), { low: 0, high: 99 }), [0, 0.5]); // dark
  assert.deepEqual(limitsOf(Float64Array.of(0, 0, 0, 9), { low: 0, high: 50 }), [0, 9]);
  const grey = colourTable("grey");
  const level = (pixels) => pixels.map((p) => p & 255);
  assert.deepEqual([...level(paintOne(Float32Array.of(0, 5, 10, 99, -1), [0, 10], 1, grey))], [0, 128, 255, 255, 0]);
  assert.equal(level(paintOne(Float32Array.of(2.5), [0, 10], 2, grey))[0], 128);
  assert.equal(paintOne(Float32Array.of(NaN), [0, 1], 1, grey)[0], pixel(128, 128, 128));
  assert.deepEqual([...ratioOf([1, 4], [2, 0])], [0.5, NaN]);
  assert.deepEqual([...histogramOf([0, 1, 1, 2, 5], [0, 2], 2)], [1, 3]);
});

test("a coarse image has means of its pixels, at its borders of fewer", () => {
  assert.deepEqual([...meansOf([4, 2, 6, 5], [3, 3], 2)], [1, 1, 3, 5]);
});

test("colour maps are matplotlib's", () => {
  const ends = { viridis: ["440154", "fde725"], cividis: ["00224e", "fee838"], magma: ["000004", "fcfdbf"] };
  for (const [name, colours] of Object.entries(ends)) {
    const table = colourTable(name);
    const hex = (p) => [p & 255, (p >> 8) & 255, (p >> 16) & 255].map((v) => v.toString(16).padStart(2, "0")).join("");
    assert.deepEqual([hex(table[0]), hex(table[255])], colours);
    const light = (p) => 0.3 * (p & 255) + 0.59 * ((p >> 8) & 255) + 0.11 * ((p >> 16) & 255);
    for (let i = 8; i < 256; i++) assert.ok(light(table[i]) >= light(table[i - 8]) - 1, `${name} ${i}`);
  }
  assert.equal(nextColour([]), REGION_COLOURS[0]);
  assert.equal(nextColour([{ colour: REGION_COLOURS[0] }]), REGION_COLOURS[1]);
});
