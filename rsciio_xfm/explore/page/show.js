/** Which images and spectra are wanted by the state, asked one after the other. */
import { pixelRatio } from "./dom.js";
import { trying } from "./latest.js";
import { imagesOf, maskOf } from "./masks.js";
import { parseRegion } from "./regions.js";

const COARSE = 205_000; // pixels of an image while a window is dragged

export const wantedImages = (state) => state.rgb ?? state.ratio ?? [state.image];

/** Keeps app.shown = {kind, specs, answers, step}; tells "seen" and, where it is not coarse, "shown". */
export function createShow(app) {
  const { data } = app;
  let live = false;

  /** While a window is dragged, it is shown no finer than the screen is. */
  function stepOf(spec) {
    if (!live || !spec.startsWith("w:")) return 1;
    const [height, width] = app.info.shape;
    const seen = 1 / (app.map.geometry().zoom * pixelRatio());
    return Math.min(64, Math.ceil(Math.max(seen, Math.sqrt((height * width) / COARSE))));
  }

  function needed() {
    const state = app.state;
    const regions = state.regions.filter((r) => r.on)
      .flatMap((r) => imagesOf(parseRegion(r.region)));
    const scatter = state.scatter ? [state.scatter.x, state.scatter.y] : [];
    return [...wantedImages(state), ...regions, ...scatter].filter(app.isMade);
  }
  function next(isFine) {
    if (!app.info) return null;
    const questions = needed().map((spec) => ({ spec, step: stepOf(spec) }));
    return questions.find((q) => !data.isHere(q.spec) && !data.isHere(q.spec, q.step) && isFine(q));
  }
  async function ask({ spec, step }) {
    const answer = await data.image(spec, step);
    show(answer);
    if (!(answer.header.step > 1)) app.emit("images");
  }
  /** What came last is shown while a window is dragged. */
  function show(answer) {
    const state = app.state;
    const specs = wantedImages(state);
    const answers = specs.map((spec) => data.kept(spec));
    const isWindow = specs.length === 1 && /^w:/.test(specs[0]) && /^w:/.test(answer?.spec ?? "");
    if (answers.every(Boolean)) {
      const kind = state.rgb ? "rgb" : state.ratio ? "ratio" : specs[0] === "class" ? "class" : "one";
      put({ kind, specs, answers });
    } else if (isWindow) put({ kind: "one", specs: [answer.spec], answers: [answer], step: answer.header.step });
  }
  function put(found) {
    const last = app.shown;
    app.shown = found;
    if (last?.kind === found.kind && `${last.specs}` === `${found.specs}` &&
      found.answers.every((answer, k) => answer === last.answers[k])) return;
    app.emit("seen");
    if (!(found.step > 1)) app.emit("shown");
  }
  const { poke, retry } = trying(app, next, ask, ({ spec }) => `${spec} ${data.wishesOf(spec)}`);
  return {
    changed(isLive) {
      live = isLive;
      show(null);
      poke();
    },
    retry,
  };
}

/** Keeps app.spectra, a Map of {id, region, exact, values, header}; tells "spectra". */
export function createSpectra(app) {
  const { data } = app;
  let live = false;

  const keyOf = (region) => `${region} ${data.wishesOf(region)}`;

  function wanted() {
    const { regions, active, spectrum } = app.state;
    const on = regions.filter((r) => r.on && imagesOf(parseRegion(r.region)).every(app.isMade))
      .map(({ id, region }) => ({ id, region }));
    on.sort((a, b) => (b.id === active) - (a.id === active));
    if (spectrum.whole || !on.length) on.push({ id: "whole", region: "" });
    if (spectrum.max) on.push({ id: "max", region: "max" });
    return on.map((w) => ({ ...w, key: keyOf(w.region) }));
  }
  function isHere({ id, key }) {
    const kept = app.spectra.get(id);
    if (kept?.key !== key) return false;
    const isPart = kept.header.rows_done < kept.header.rows;
    const more = isPart && kept.rows < app.info.overview.rows_done;
    return !more && (kept.exact || live);
  }
  const next = (isFine) => app.info && wanted().find((w) => !isHere(w) && isFine(w));
  async function ask({ id, region, key }) {
    const rows = app.info.overview.rows_done;
    const exact = !live;
    const { header, arrays } = await data.question("spectrum", exact ? { region, exact: 1 } : { region });
    const values = Float64Array.from(arrays.spectrum);
    app.spectra.set(id, { id, region, key, exact, isExact: header.exact, values, header, rows });
    app.emit("spectra");
  }
  const { poke, retry } = trying(app, next, ask, ({ key }) => key);
  return {
    changed(isLive) {
      live = isLive;
      const ids = new Set(wanted().map((w) => w.id));
      for (const id of app.spectra.keys()) if (!ids.has(id)) app.spectra.delete(id);
      app.emit("spectra");
      poke();
    },
    retry,
  };
}

/** The pixels of regions, computed once for each text of a region. */
export function createMasks(app) {
  let kept = new Map();
  return function mask(region) {
    if (!app.info) return null;
    const { shape: [h, w] } = app.info;
    const images = imagesOf(parseRegion(region)).map((spec) => app.data.kept(spec));
    const last = kept.get(region);
    if (last?.size === `${h} ${w}` && last.images.every((image, i) => image === images[i])) {
      return last.mask;
    }
    const found = maskOf(parseRegion(region), h, w, app.data.pixelsOf);
    if (kept.size > 24) kept = new Map();
    kept.set(region, { mask: found, images, size: `${h} ${w}` });
    return found;
  };
}
