/** The explorer of one map: puts the parts together and asks what the state wants. */
import { createClassesPanel } from "./classes_panel.js";
import { createData } from "./data.js";
import { h } from "./dom.js";
import { createElementsPanel } from "./elements_panel.js";
import { createHeader, createTabs, createTools } from "./header.js";
import { createHistogram } from "./histogram.js";
import { createImageBar } from "./image_bar.js";
import { addKeys } from "./keys.js";
import { createMap } from "./map.js";
import { addMapKeys } from "./map_keys.js";
import { addPointer } from "./map_pointer.js";
import { imageLabel } from "./names.js";
import { patient } from "./patient.js";
import { createRegionsPanel } from "./regions_panel.js";
import { createScatter } from "./scatter.js";
import { createMasks, createShow, createSpectra } from "./show.js";
import { createSpectrumPanel } from "./spectrum_panel.js";
import { createStatus } from "./status.js";
import { createTasks } from "./tasks.js";

/** Events between the parts: on("shown", f), emit("shown", value). */
function createBus() {
  const listeners = {};
  return {
    on: (names, tell) => names.split(" ").forEach((name) => (listeners[name] ??= []).push(tell)),
    emit: (name, value) => (listeners[name] ?? []).forEach((tell) => tell(value)),
  };
}

/**
 * Show the map that `store` names in `root`. `api` has get(path, query); `options`: goHome,
 * keys (whose keys are listened to), canLink, systemIsDark.
 */
export function startApp(root, api, store, options) {
  const app = {
    ...createBus(), ...options, root, store,
    get state() {
      return store.get();
    },
    /** Of a channel, in keV; null without energies. */
    get energyOf() {
      const energy = energiesOf(app);
      return energy && ((channel) => energy.offset + energy.scale * channel);
    },
    channelOf(value) {
      const { offset, scale } = energiesOf(app);
      return (value - offset) / scale;
    },
    info: null, shown: null, spectra: new Map(), versions: { file: 0 },
    fitted: [], notes: {}, classes: null, lines: {}, chosenLines: {},
    tool: "rectangle", mode: "new", zooming: false, calibrating: false, ended: false,
  };
  app.api = patient(api, (what) => app.onServer(what));
  app.data = createData(app);
  app.maskOf = createMasks(app);
  createTasks(app);
  addActs(app);
  const lines = addLines(app);
  layOut(app);
  const [show, spectra] = [createShow(app), createSpectra(app)];
  store.on((_, has, live) => {
    if (has("dark")) setTheme(app);
    if (has("image", "window", "rgb", "ratio", "regions", "scatter", "energy", "excitation")) {
      show.changed(live && has("window"));
    }
    if (has("regions", "active", "spectrum", "energy", "excitation") || !live) spectra.changed(live && has("regions"));
    if (has("elements", "energy", "excitation")) lines();
    if (has("energy")) app.emit("info");
  });
  app.on("choices", () => {
    show.retry();
    spectra.retry();
  });
  setTheme(app);
  const changed = () => {
    show.changed(false);
    spectra.changed(false);
    lines();
  };
  watch(app, changed);
  /** The file was replaced, maybe by another map: open it again, and ask everything anew. */
  app.reopen = async () => {
    let info;
    try {
      info = (await app.data.ask("info", { fresh: 1 })).json;
    } catch (error) {
      return app.tell(error);
    }
    app.versions.file++;
    app.data.forget();
    app.spectra.clear();
    [app.shown, app.classes, app.notes] = [null, null, {}];
    take(app, info, changed, true);
    app.watchNow?.();
    app.setFitted([]);
    return app.emit("reopened");
  };
  return app;
}

function layOut(app) {
  const { root } = app;
  const status = createStatus(app);
  app.map = createMap(app);
  addPointer(app, app.map);
  addMapKeys(app, app.map);
  const scatter = createScatter(app);
  const tabs = createTabs(app, {
    regions: ["Regions", createRegionsPanel(app)],
    elements: ["Elements", createElementsPanel(app)],
    scatter: ["Scatter", scatter],
    classes: ["Classes", createClassesPanel(app)],
  });
  app.selectTab = tabs.select;
  root.replaceChildren(status.banner, createHeader(app), h("main.main",
    h("section.left", { label: "Map" }, createImageBar(app),
      h("div.map-row", createTools(app), app.map.element),
      createHistogram(app, app.map)),
    h("div.right", createSpectrumPanel(app), tabs.element)), status.element);
  addKeys(app, app.keys ?? root);
  app.hint = () => {
    const { regions } = app.state;
    if (app.map.drawing?.places) return "Click corners (or Enter); double click, or C, closes the polygon.";
    if (app.map.isBegun?.()) return "Arrow keys, then Enter: the region ends there. Esc leaves it.";
    return regions.length || app.tool === "move" ? "" : "Drag on the map: the spectrum of these pixels follows.";
  };
}

function addActs(app) {
  const { store } = app;
  Object.assign(app, {
    undo: () => store.undo() || app.say("There is nothing to undo."),
    redo: () => store.redo() || app.say("There is nothing to redo."),
    showImage: (image, part = {}, options = {}) =>
      store.set({ image, rgb: null, ratio: null, ...part }, options),
    setSpectrum: (part, options) => store.set({ spectrum: { ...store.get().spectrum, ...part } }, options),
    labelOf: (spec) => imageLabel(spec, app.energyOf),
    isDark: () => app.state.dark ?? app.systemIsDark(),
    toggleDark: () => store.set({ dark: !app.isDark() }, { step: false }),
    setTool(tool) {
      app.map.cancel();
      app.tool = tool;
      app.emit("tool");
      app.map.draw();
    },
    setMode(mode) {
      app.mode = mode;
      app.emit("tool");
    },
    setCalibrating(on) {
      if (on === app.calibrating) return;
      app.calibrating = on;
      app.emit("calibrating");
    },
    /** Fits and classes are there only after they were made. */
    isMade(spec) {
      if (spec.startsWith("fit:")) return app.fitted.includes(spec.slice(4));
      return spec !== "class" || app.classes !== null;
    },
    setFitted(names) {
      app.fitted = names;
      app.emit("choices");
    },
    setClasses({ sizes, labels }) {
      app.classes = sizes.map((pixels, k) => ({ pixels, label: labels?.[k] ?? k }));
      app.emit("choices");
    },
    /** Channels [first, stop] of the image that is seen, if it is one of channels. */
    windowShown() {
      const { rgb, ratio, image, window: range } = app.state;
      if (rgb || ratio || !/^[we]:/.test(image)) return null;
      return image[0] === "w" ? range : app.data.kept(image)?.header.channels ?? null;
    },
  });
}

function energiesOf({ state: { energy }, info }) {
  return energy ? { offset: energy[0], scale: energy[1] } : info?.energy ?? null;
}

/** Lines of the elements, for labels and images; returns what asks for them. */
function addLines(app) {
  let asked = "";
  app.lineOf = (element) => {
    const { image } = app.state;
    if (image.startsWith(`e:${element}_`)) return image.slice(2);
    return app.chosenLines[element] ?? bestLine(app.lines[element] ?? [], app);
  };
  return async function lines() {
    const { elements, energy, excitation } = app.state;
    const key = `${elements} ${energy ?? ""} ${excitation}`;
    if (!app.energyOf || key === asked) return;
    asked = key;
    try {
      app.lines = elements.length ? (await app.data.ask("lines", { elements: elements.join(",") })).json : {};
    } catch (error) {
      app.tell(error);
    }
    const all = Object.entries(app.lines);
    // Of the shell that the image is of; others would only cover the beginning of the axis.
    app.chart.marks = all.flatMap(([element, found]) => {
      const shell = app.lineOf(element)?.split("_")[1][0];
      return found.filter(({ line }) => line.split("_")[1][0] === shell);
    });
    app.emit("lines");
    app.emit("choices");
  };
}

/** The Kα line if the spectrum reaches so far, else Lα, else Mα. */
function bestLine(lines, app) {
  if (!app.energyOf) return null;
  const last = app.energyOf(app.info.shape[2] - 1) * 0.98;
  const excitation = app.state.excitation ?? app.info.excitation?.text ?? "";
  const beam = Number(/([\d.]+) *ke?V/.exec(excitation)?.[1] ?? Infinity);
  const most = Math.min(last, beam);
  const inside = lines.filter(({ energy }) => energy < most && energy > 0.1);
  for (const shell of ["Ka", "La", "Ma"]) {
    const found = inside.find(({ line }) => line.split("_")[1].startsWith(shell));
    if (found) return found.line;
  }
  return inside[0]?.line ?? null;
}

function setTheme(app) {
  app.root.dataset.theme = app.isDark() ? "dark" : "light";
  app.emit("dark");
}

/** Ask how far the first pass and the cache are, and whether the file is still the same. */
async function watch(app, changed) {
  while (!app.ended) {
    try {
      take(app, (await app.data.ask("info", {})).json, changed);
    } catch (error) {
      app.tell(error);
    }
    await new Promise((done) => {
      app.watchNow = done;
      setTimeout(done, delayOf(app.info));
    });
  }
}

function take(app, given, changed, isAnew = false) {
  const before = app.info;
  // Another page has opened the new file: what is seen here is of the old one until this page does.
  const isOther = !isAnew && before && before.identity !== given.identity;
  const info = isOther ? { ...before, file_changed: true, file_gone: given.file_gone } : given;
  app.info = info;
  app.root.dataset.ready = Boolean(info.overview.done);
  if (JSON.stringify(info) !== JSON.stringify(before)) app.emit("info");
  if (before?.overview.rows_done !== info.overview.rows_done) changed();
  if (before) return;
  app.emit("opened");
  const elements = (info.elements ?? []).filter((e) => /^[A-Z][a-z]?$/.test(e));
  if (elements.length && !app.state.elements.length) app.store.set({ elements }, { step: false });
}

function delayOf(info) {
  if (!info) return 3000;
  if (!info.overview.done) return 400;
  return info.cache?.state === "making" ? 1000 : 10000;
}
