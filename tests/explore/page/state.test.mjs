import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT, checked, createStore, fromHash, toHash } from "../../../rsciio_xfm/explore/page/state.js";

const region = { id: "r1", name: "grain | 1 & é #?", colour: "#d55e00", on: true, region: "r:0,0,4,5|-o:1,2,1.5,2" };
const full = checked({
  v: 1, map: "m1", energy: [-0.02, 0.01], window: [10, 20], image: "w:10:20",
  rgb: ["e:Fe_Ka", "counts", "fit:Ca_K"], ratio: ["e:Fe_Ka", "counts"],
  contrast: { low: 1, high: 99, gamma: 0.7 }, cmap: "magma", regions: [region], active: "r1",
  elements: ["Fe", "Ca"], spectrum: { y: "sqrt", x: [1, 9.5], per: "s", whole: false, max: true },
  scatter: { x: "counts", y: "e:Fe_Ka" }, view: { x: 3, y: 4.5, zoom: 8 }, dark: true,
  fit: [], classes: { n: 4, method: "kmeans" },
});

test("the address holds the state, all of it", () => {
  assert.deepEqual(fromHash(toHash(full)), full);
  for (const key of ["map", "rgb", "regions", "classes", "spectrum"]) assert.deepEqual(fromHash(toHash(full))[key], full[key]);
  assert.match(toHash(full), /^#[\x21-\x7e]+$/);
});

test("nothing is written of what is as it was in the beginning", () => {
  assert.equal(toHash(DEFAULT), "");
  assert.deepEqual(fromHash(""), DEFAULT);
  assert.deepEqual(fromHash("#"), DEFAULT);
});

test("what is wrong in an address is left out, the rest is kept", () => {
  const bad = {
    ...full, image: 5, window: [20, 10], cmap: "jet", energy: [0, 0], elements: ["<b>"],
    regions: [{ ...region, region: "r:1,2" }], contrast: { low: 50, high: 2, gamma: 1 },
    rgb: ["counts"], view: null, dark: "yes", spectrum: { y: "cube" }, other: 1,
  };
  const state = checked(bad);
  for (const key of ["image", "window", "cmap", "energy", "elements", "regions", "contrast", "rgb",
    "view", "dark", "spectrum"]) assert.deepEqual(state[key], DEFAULT[key], key);
  assert.equal(state.other, undefined);
  assert.deepEqual(state.ratio, full.ratio);
  for (const hash of ["#%7B", "#nonsense", "#%", "#null", "#[1]"]) assert.deepEqual(fromHash(hash), DEFAULT);
});

test("undo and redo; what is dragged is one step", () => {
  const store = createStore(checked({}));
  for (const low of [1, 2, 3]) store.set({ contrast: { low, high: 90, gamma: 1 } }, { live: true });
  store.set({ contrast: { low: 4, high: 90, gamma: 1 } });
  store.set({ cmap: "grey" });
  assert.equal(store.undo(), true);
  assert.equal(store.get().cmap, "viridis");
  store.undo();
  assert.deepEqual(store.get().contrast, DEFAULT.contrast);
  assert.equal(store.undo(), false);
  store.redo();
  assert.equal(store.get().contrast.low, 4);
  store.set({ image: "max" });
  assert.equal(store.canRedo(), false);
});

test("Escape leaves what was begun to be dragged", () => {
  const store = createStore(checked({}));
  store.set({ image: "max" }, { live: true });
  store.cancel();
  assert.equal(store.get().image, "counts");
  assert.equal(store.canUndo(), false);
});

test("steps of one name are one; the view is none and is kept by undo", () => {
  const store = createStore(checked({}));
  for (const n of [10, 20, 30]) store.set({ window: [0, n] }, { merge: "nudge" });
  store.set({ view: { x: 1, y: 1, zoom: 3 } }, { step: false });
  store.undo();
  assert.equal(store.get().window, null);
  assert.equal(store.get().view.zoom, 3);
});

test("listeners hear what has changed", () => {
  const store = createStore(checked({}));
  const heard = [];
  store.on((_, has, live) => heard.push([["cmap", "image"].filter((key) => has(key)).join(), live]));
  store.set({ cmap: "grey" });
  store.set({ cmap: "magma" }, { live: true });
  assert.deepEqual(heard, [["cmap", false], ["cmap", true]]);
});
