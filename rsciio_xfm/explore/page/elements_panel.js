/** Elements: found, named, fitted; their images side by side. */
import { fill, h, iconButton, onceAFrame } from "./dom.js";
import { colourTable } from "./colours.js";
import { latest } from "./latest.js";
import { imageLabel, parseElements } from "./names.js";
import { limitsOf, paintOne, sortedSample } from "./paint.js";

export function createElementsPanel(app) {
  const { store } = app;
  const bar = h("div", { class: "xfm-bar" });
  const grid = h("div", { class: "xfm-multiples", role: "list", "aria-label": "Images of the elements" });
  const element = h("div", { class: "xfm-panel" }, bar, grid);
  let running = null; // {text, progress} of a task

  function add(event) {
    event.preventDefault();
    const input = event.target.elements.added;
    const { found, unknown } = parseElements(input.value);
    const { elements } = store.get();
    input.value = unknown.join(" "); // what is left can be mended
    input.setAttribute("aria-invalid", String(unknown.length > 0));
    if (unknown.length) app.say(`No element: ${unknown.join(", ")}.`);
    if (found.length) store.set({ elements: [...new Set([...elements, ...found])] });
  }

  async function run(name, text, query, use) {
    if (running) return;
    running = { text, progress: 0 };
    draw();
    try {
      const result = await app.data.task(name, query, ({ progress }) => {
        running.progress = progress ?? 0;
        drawBar();
      });
      use(result);
    } catch (error) {
      app.tell(error);
    }
    running = null;
    draw();
  }
  const find = () => run("elements", "Looking for elements", {}, (result) => {
    const list = (Array.isArray(result) ? result : result.elements ?? [])
      .map((found) => found.element ?? found);
    const names = [...new Set(list)];
    store.set({ elements: names.slice(0, 40) });
    app.say(`${names.length} elements found.`);
  });
  function fit(elements, use) {
    const query = { elements: elements.length ? elements.join(",") : "auto" };
    return run("fit", "Fitting every pixel", query, (result) => {
      app.setFitted(result.maps);
      use(result);
    });
  }
  const fitNow = () => {
    const { elements } = store.get();
    fit(elements, (result) => {
      const now = elements.length ? elements : result.elements;
      const first = result.maps.find((name) => name.startsWith(`${now[0]}_`)) ?? result.maps[0];
      store.set({ elements: now, fit: elements, image: `fit:${first}`, rgb: null, ratio: null });
      if (result.notes?.length) app.say(result.notes.join(" "));
    });
  };
  /** A link or a session has images of a fit: it is done again, or the server still has it. */
  const fitAgain = () => store.get().fit && fit(store.get().fit, () => {});
  app.on("opened", fitAgain);
  app.on("session", fitAgain);
  app.on("reopened", () => {
    failed.clear();
    fitAgain();
  });

  function drawBar() {
    const { elements } = store.get();
    const disabled = Boolean(running) || !app.energyOf;
    const why = app.energyOf ? "" : " (the map has to be calibrated first)";
    fill(bar,
      h("form", { class: "xfm-row", onsubmit: add },
        h("input", { name: "added", type: "text", size: 12, placeholder: "Fe, Ca, Ti", "data-key": "added",
          "aria-label": "Elements to add, such as Fe, Ca" }),
        h("button", { type: "submit", "data-key": "add" }, "Add")),
      h("button", { type: "button", disabled, onclick: find, "data-key": "find",
        title: `Which elements has the spectrum?${why}` }, "Find"),
      app.info?.fit ? h("button", { type: "button", disabled, onclick: fitNow, "data-key": "fit",
        title: `Peaks that overlap are told apart in each pixel${why}` },
      elements.length ? "Fit these" : "Find and fit") : null,
      elements.length ? h("button", { type: "button", "data-key": "clear",
        onclick: () => store.set({ elements: [] }) }, "Clear") : null,
      running ? h("span", { class: "xfm-row", role: "status" }, `${running.text} ...`,
        h("progress", { max: 1, value: running.progress })) : null);
  }

  const pictures = new Map(); // of a spec: canvas
  function specs() {
    const lines = store.get().elements.map((e) => app.lineOf(e)).filter(Boolean);
    return [...app.fitted.map((name) => `fit:${name}`), ...lines.map((line) => `e:${line}`)];
  }

  function tile(spec) {
    const { image, rgb } = store.get();
    const canvas = h("canvas", { "aria-hidden": "true" });
    pictures.set(spec, canvas);
    const label = imageLabel(spec, app.energyOf);
    const isShown = !rgb && image === spec;
    const channel = (k) => h("button", {
      type: "button", class: `xfm-${["red", "green", "blue"][k]}`, "data-key": `${spec} ${k}`,
      "aria-pressed": String(rgb?.[k] === spec), "aria-label": `${label} in ${["red", "green", "blue"][k]}`,
      title: `Show in ${["red", "green", "blue"][k]}`, onclick: () => setRgb(k, spec),
    }, "RGB"[k]);
    const name = spec.startsWith("e:") ? spec.slice(2).split("_")[0] : null;
    return h("div", { class: "xfm-tile", role: "listitem" },
      h("button", { type: "button", class: "xfm-picture", "aria-pressed": String(isShown),
        "aria-label": `Show ${label}`, "data-key": spec, onclick: () => app.showImage(spec) }, canvas,
      h("span", {}, label)),
      h("div", { class: "xfm-row" }, channel(0), channel(1), channel(2),
        name ? iconButton("remove", `Remove ${name}`, () => store.set({
          elements: store.get().elements.filter((e) => e !== name) })) : null));
  }
  function setRgb(k, spec) {
    const { rgb, image } = store.get();
    const others = rgb ?? [image, image, image];
    store.set({ rgb: others.map((old, i) => (i === k ? spec : old)), ratio: null });
  }

  const HINT = "No element yet. Click a peak in the spectrum, type some above, or let them be found.";
  const draw = onceAFrame(() => {
    drawBar();
    pictures.clear();
    const wanted = specs();
    fill(grid, wanted.length ? wanted.map(tile) : h("p", { class: "xfm-muted" }, HINT));
    wanted.forEach(paint);
    poke();
  });

  function paint(spec) {
    const kept = app.data.kept(spec);
    const canvas = pictures.get(spec);
    if (!kept || !canvas) return;
    const [height, width] = app.info.shape;
    [canvas.width, canvas.height] = [width, height];
    const limits = limitsOf(sortedSample(kept.image), { low: 0, high: 99.8 });
    const pixels = paintOne(kept.image, limits, 1, colourTable(store.get().cmap));
    const data = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
    canvas.getContext("2d").putImageData(data, 0, 0);
  }
  const failed = new Set();
  const poke = latest(
    () => (element.hidden ? null : specs().find((s) => !app.data.isHere(s) && !failed.has(s)) ?? null),
    async (spec) => {
      try {
        await app.data.image(spec);
        paint(spec);
      } catch (error) {
        failed.add(spec);
        app.tell(error);
      }
    },
  );
  store.on((_, keys, live) => {
    const wanted = ["elements", "image", "rgb", "ratio", "cmap", "energy"];
    if (!live && wanted.some((key) => keys.has(key))) draw();
  });
  for (const event of ["info", "choices"]) app.on(event, () => running || draw());
  return { element, draw };
}
