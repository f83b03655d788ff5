/** Above the map: which image, one or three or a ratio, and its colours. */
import { choice, fill, h, segments, space } from "./dom.js";
import { wantedImages } from "./show.js";

/** [spec, text] of all images that can be chosen now; `more` are kept even if unusual. */
export function imageChoices(app, more = []) {
  const state = app.state;
  const specs = ["counts"];
  if (state.window) specs.push(`w:${state.window.join(":")}`);
  for (const element of state.elements) if (app.lineOf(element)) specs.push(`e:${app.lineOf(element)}`);
  specs.push(...app.fitted.map((name) => `fit:${name}`), "max");
  if (app.info?.dead_time) specs.push("dead");
  if (app.classes) specs.push("class");
  return [...new Set([...specs, ...more])].map((spec) => [spec, app.labelOf(spec)]);
}

export function createImageBar(app) {
  const { store } = app;
  const element = h("div.bar");

  function setKind(kind) {
    const now = wantedImages(app.state);
    const others = imageChoices(app).map(([spec]) => spec);
    const isElement = (spec) => /^(fit|e):/.test(spec);
    const better = [...now.filter(isElement), ...others.filter(isElement), ...now, ...others];
    const some = (n) => [...new Set(better)].concat(now, now, now).slice(0, n);
    if (kind === "one") app.showImage(now[0]);
    if (kind === "rgb") store.set({ rgb: some(3), ratio: null });
    if (kind === "ratio") store.set({ ratio: some(2), rgb: null });
  }

  function images(state) {
    const choices = imageChoices(app, wantedImages(state));
    const one = (label, key, i) => choice(label, choices, state[key][i], (spec) => {
      store.set({ [key]: state[key].map((old, k) => (k === i ? spec : old)) });
    }, { key: `${key}${i}` });
    if (state.rgb) {
      return ["Red", "Green", "Blue"].flatMap((name, i) => [
        h(`span.dot.${name.toLowerCase()}`, { "aria-hidden": "true" }, name[0]),
        one(name, "rgb", i),
      ]);
    }
    if (state.ratio) return [one("Divide", "ratio", 0), "/", one("by", "ratio", 1)];
    return [choice("Image", choices, state.image, (spec) => app.showImage(spec),
      { key: "image", class: "xfm-wide" })];
  }

  function draw() {
    const state = app.state;
    const kind = state.rgb ? "rgb" : state.ratio ? "ratio" : "one";
    fill(element,
      segments("What the map shows", [
        ["one", "Image", "One image"],
        ["rgb", "RGB", "Three images in red, green and blue"],
        ["ratio", "Ratio", "One image divided by another"],
      ], kind, setKind),
      images(state),
      space(),
      kind === "rgb" || state.image === "class" ? null : choice("Colours",
        ["viridis", "cividis", "magma", "grey"].map((name) => [name, name]), state.cmap,
        (cmap) => store.set({ cmap }), { key: "cmap" }));
  }
  store.on((_, has) => has("image", "rgb", "ratio", "cmap", "window", "elements", "energy") && draw());
  app.on("info choices", draw);
  draw();
  return element;
}
