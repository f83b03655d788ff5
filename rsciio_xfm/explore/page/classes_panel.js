/** Classes of pixels that have like spectra; each may become a region. */
import { classColour } from "./colours.js";
import { coloured, choice, fill, h, numberInput } from "./dom.js";
import { missing } from "./names.js";
import { remarks } from "./remarks.js";
import { withRegion } from "./region_edit.js";
import { sizeText } from "./scale_bar.js";

const METHODS = [["kmeans", "k-means"], ["hdbscan", "HDBSCAN"]];

export function createClassesPanel(app) {
  const { store } = app;
  const element = h("div.panel");
  let [n, method] = [5, "kmeans"];

  function run() {
    const classes = { n, method };
    app.runTask("classify", classes, () =>
      app.showImage("class", { classes }));
  }
  const regionOf = (state, label) => withRegion(state, `c:${label}`, {
    name: `Class ${label}`, colour: classColour(label),
  });

  /** Every class that is no region yet becomes one, in one step. */
  function addAll() {
    let state = app.state;
    app.classes.forEach(({ label }) => {
      const isThere = state.regions.some((r) => r.region === `c:${label}`);
      if (!isThere) state = { ...state, ...regionOf(state, label) };
    });
    store.set({ regions: state.regions, active: state.active });
  }

  function row({ label, pixels }) {
    return h("li",
      coloured(h("span.swatch.round", { "aria-hidden": "true" }), classColour(label)),
      h("span.name", `Class ${label}`),
      h("span.size", sizeText(pixels, app.info.pixel)),
      h("button", { key: `class ${label}`, title: `Make a region of class ${label}`,
        onclick: () => store.set(regionOf(app.state, label)) }, "Region"));
  }

  function draw() {
    const busy = app.tasks.has("classify");
    const noClasses = app.info && !app.info.classify;
    fill(element,
      h("div.bar",
        h("label", "Classes ", numberInput("How many classes", n, (v) => { n = Math.round(v); },
          { min: 2, max: 20, step: 1, key: "n", disabled: method === "hdbscan" })),
        choice("Method", METHODS, method, (v) => {
          method = v;
          draw();
        }, { key: "method" }),
        h("button", { disabled: busy || noClasses, onclick: run, key: "run classify" },
          "Find classes")),
      remarks(app, element, "classify"),
      app.classes ? [
        h("ul.regions", { label: "Classes" }, app.classes.map(row)),
        h("button", { onclick: addAll, key: "all" }, "All as regions"),
      ] : h("p.muted", noClasses ? missing("Classes", "learning")
        : "Pixels with like spectra are put together: minerals of a rock, pigments of a painting."));
  }
  /** A link or a session has classes: they are found again, or the server still has them. */
  const again = () => {
    const { classes } = app.state;
    if (!classes) return;
    ({ n, method } = classes);
    app.runTask("classify");
  };
  app.on("opened reopened session", again);
  app.on("choices info task", draw);
  return { element, draw };
}
