import assert from "node:assert/strict";
import { test } from "node:test";
import { createData } from "../../../rsciio_xfm/explore/page/data.js";
import { patient } from "../../../rsciio_xfm/explore/page/patient.js";
import { checked, createStore, fromHash, toHash } from "../../../rsciio_xfm/explore/page/state.js";
import { createTasks } from "../../../rsciio_xfm/explore/page/tasks.js";
import { namedWishes, wishOf } from "../../../rsciio_xfm/explore/page/wish.js";

const state = { fit: ["Fe", "Ca"], excitation: "Rh 50 kV", classes: { n: 4, method: "kmeans" } };
const fit = { elements: "Fe,Ca", excitation: "Rh 50 kV" };

test("a question says which fit and which classes it means, and only then", () => {
  assert.deepEqual(namedWishes({ of: "counts" }, state), {});
  assert.deepEqual(namedWishes({ of: "fit:Fe_K" }, state), fit);
  assert.deepEqual(namedWishes({ of: ["counts", "fit:Fe_K"], region: "c:2" }, state),
    { ...fit, n: 4, method: "kmeans" });
  for (const region of ["c:0", "r:0,0,2,2|-c:1", "t:class@1,2", "b:counts@0,1@class@1,2"]) {
    assert.deepEqual(namedWishes({ region }, state), { n: 4, method: "kmeans" }, region);
  }
  assert.deepEqual(namedWishes({ region: "t:fit:Fe_K@1,2" }, state), fit);
  assert.deepEqual(namedWishes({ x: "e:Fe_Ka", y: "fit:Ca_K", name: "c:1 class" }, state), fit);
  assert.deepEqual(wishOf("fit", { fit: [], excitation: null }), { elements: "auto" });
  assert.deepEqual(wishOf("elements", state), { excitation: "Rh 50 kV" });
});

test("the excitation is part of the address, and a step of undo", () => {
  const store = createStore(checked({}));
  store.set({ excitation: "17.44 keV" });
  assert.equal(fromHash(toHash(store.get())).excitation, "17.44 keV");
  store.undo();
  assert.equal(store.get().excitation, null);
  assert.equal(checked({ excitation: "x".repeat(41) }).excitation, null);
});

/** An app without a page, that asks a server of answers. */
function appOf(answer, given = state) {
  const store = createStore(checked({ map: "m", ...given }));
  const [asked, told] = [[], []];
  const app = {
    store, told, asked, state: store.get(), versions: { file: 0 }, emit() {}, isMade: () => true,
    info: { overview: { rows: 1, rows_done: 1 }, shape: [1, 1, 1] },
    notes: {},
    tell: (error) => error.isPending || told.push(error.message),
    setFitted(names) { app.fitted = names; },
    setClasses() {},
  };
  app.api = patient({
    async get(path, query) {
      asked.push([path.split("/").slice(3).join("/"), query]);
      return answer(path, query);
    },
  }, () => {});
  app.data = createData(app);
  createTasks(app);
  return app;
}
const done = { status: 200, json: { state: "done", result: { maps: ["Fe_K"] } } };
const gone = { status: 404, json: { error: "It was forgotten.", hint: "", again: "fit" } };
const image = { status: 200, header: { step: 1 }, arrays: { image: [1] } };

test("what the server has no more is made once more, and asked again", async () => {
  let isThere = false;
  const app = appOf((path) => {
    if (path.includes("task")) isThere = true;
    return path.includes("task") ? done : isThere ? image : gone;
  });
  const error = await app.data.image("fit:Fe_K").catch((thrown) => thrown);
  assert.equal(error.isPending, true);
  await error.made;
  assert.deepEqual((await app.data.image("fit:Fe_K")).image, [1]);
  assert.deepEqual(app.asked, [["image", { ...fit, of: "fit:Fe_K" }], ["task/fit", fit],
    ["image", { ...fit, of: "fit:Fe_K" }]]);
  assert.deepEqual([app.fitted, app.told], [["Fe_K"], []]);
});

test("what is asked twice while it is made is no error", async () => {
  let [release, isThere] = [null, false];
  const app = appOf(async (path) => {
    if (!path.includes("task")) return isThere ? image : gone;
    await new Promise((free) => { release = free; });
    isThere = true;
    return done;
  });
  const ask = () => app.data.question("image", { of: "fit:Fe_K" }).catch((error) => error);
  const [first, second] = [await ask(), await ask()];
  assert.deepEqual([first.isPending, second.isPending], [true, true]);
  release();
  await Promise.all([first.made, second.made]);
  assert.deepEqual((await ask()).arrays, image.arrays);
  assert.deepEqual([app.asked.filter(([path]) => path === "task/fit").length, app.told], [1, []]);
});

test("what is still not there then is an error; what is asked to be saved waits for it", async () => {
  const app = appOf((path) => (path.includes("task") ? done : gone));
  await assert.rejects(app.data.ask("export/image.tif", { of: "fit:Fe_K" }), { message: "It was forgotten." });
  assert.deepEqual(app.asked.map(([path]) => path), ["export/image.tif", "task/fit", "export/image.tif"]);
});

test("equal tasks are one; a stop is asked once, in place of the next look", async () => {
  const running = { status: 200, json: { state: "running", doing: "reading", progress: 0.5 } };
  const app = appOf(() => running);
  const first = app.runTask("classify");
  assert.equal(app.runTask("classify"), first);
  await new Promise(setImmediate);
  assert.deepEqual([app.tasks.get("classify").text, app.tasks.get("classify").progress], ["Reading", 0.5]);
  app.tasks.get("classify").stop();
  await assert.rejects(first, { isStop: true });
  assert.deepEqual(app.asked.map(([, query]) => query), [{ n: 4, method: "kmeans" },
    { n: 4, method: "kmeans", stop: 1 }]);
  assert.equal(app.tasks.size, 0);
});
