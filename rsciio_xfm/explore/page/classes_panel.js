/** Classes of pixels that have like spectra; each may become a region. */
import { CLASS_COLOURS } from "./colours.js";
import { coloured, choice, fill, h, numberInput } from "./dom.js";
import { shown } from "./names.js";
import { withRegion } from "./region_edit.js";
import { areaText } from "./scale_bar.js";

const METHODS = [["kmeans", "k-means"], ["hdbscan", "HDBSCAN"]];

export function createClassesPanel(app) {
  const { store } = app;
  const element = h("div", { class: "xfm-panel" });
  let [n, method] = [5, "kmeans"];

  function run() {
    const classes = { n, method };
    app.runTask("classify", classes, () =>
      store.set({ classes, image: "class", rgb: null, ratio: null })).catch(() => {});
  }
  const colourOf = (label) => CLASS_COLOURS[label % CLASS_COLOURS.length];
  const regionOf = (state, label) => withRegion(state, `c:${label}`, {
    name: `Class ${label}`, colour: colourOf(label),
  });

  /** Every class that is no region yet becomes one, in one step. */
  function addAll() {
    let state = store.get();
    app.classes.forEach(({ label }) => {
      const isThere = state.regions.some((r) => r.region === `c:${label}`);
      if (!isThere) state = { ...state, ...regionOf(state, label) };
    });
    store.set({ regions: state.regions, active: state.active });
  }

  function row({ label, pixels }) {
    const area = areaText(pixels, app.info.pixel);
    return h("li", {},
      coloured(h("span", { class: "xfm-swatch xfm-round", "aria-hidden": "true" }), colourOf(label)),
      h("span", { class: "xfm-name" }, `Class ${label}`),
      h("span", { class: "xfm-size" }, `${shown(pixels)} px${area ? ` · ${area}` : ""}`),
      h("button", { type: "button", "data-key": `class ${label}`, title: `Make a region of class ${label}`,
        onclick: () => store.set(regionOf(store.get(), label)) }, "Region"));
  }

  function draw() {
    const busy = app.taskOf("classify") !== null;
    const noClasses = app.info && !app.info.classify;
    fill(element,
      h("div", { class: "xfm-bar" },
        h("label", {}, "Classes ", numberInput("How many classes", n, (v) => { n = Math.round(v); },
          { min: 2, max: 20, step: 1, "data-key": "n", disabled: method === "hdbscan" })),
        choice("Method", METHODS, method, (v) => {
          method = v;
          draw();
        }, { "data-key": "method" }),
        h("button", { type: "button", disabled: busy || noClasses, onclick: run, "data-key": "run" },
          "Find classes")),
      app.classes ? [
        h("ul", { class: "xfm-regions", "aria-label": "Classes" }, app.classes.map(row)),
        h("button", { type: "button", onclick: addAll, "data-key": "all" }, "All as regions"),
      ] : h("p", { class: "xfm-muted" }, noClasses
        ? "Classes are not installed where the map is read: pip install \"rsciio_xfm[learning]\"."
        : "Pixels with like spectra are put together: minerals of a rock, pigments of a painting."));
  }
  /** A link or a session has classes: they are found again, or the server still has them. */
  const again = () => {
    const { classes } = store.get();
    if (!classes) return;
    ({ n, method } = classes);
    app.runTask("classify").catch(() => {});
  };
  for (const event of ["opened", "reopened", "session"]) app.on(event, again);
  for (const event of ["choices", "info", "task"]) app.on(event, draw);
  return { element, draw };
}
