/** Elements: found, named, fitted; their images side by side. */
import { fill, h, iconButton, onceAFrame, putPixels, space } from "./dom.js";
import { colourTable } from "./colours.js";
import { trying } from "./latest.js";
import { missing, parseElements } from "./names.js";
import { limitsOf, paintOne, sortedSample } from "./paint.js";
import { remarks } from "./remarks.js";
import { wishOf } from "./wish.js";

export function createElementsPanel(app) {
  const { store } = app;
  const bar = h("div.bar");
  const notes = h("div");
  const grid = h("div.multiples", { role: "list", label: "Images of the elements" });
  const element = h("div.panel", bar, notes, grid);

  function add(event) {
    event.preventDefault();
    const input = event.target.elements.added;
    const { found, unknown } = parseElements(input.value);
    const { elements } = app.state;
    input.value = unknown.join(" "); // what is left can be mended
    input.setAttribute("aria-invalid", unknown.length > 0);
    if (unknown.length) app.say(`No element: ${unknown.join(", ")}.`);
    if (found.length) store.set({ elements: [...new Set([...elements, ...found])] });
  }

  const find = () => app.runTask("elements", undefined, (result) => {
    const names = [...new Set(result.elements.map((found) => found.element))];
    store.set({ elements: names.slice(0, 40) });
    app.say(`${names.length} elements found.`);
  });
  const fit = () => {
    const { elements, excitation } = app.state;
    app.runTask("fit", wishOf("fit", { fit: elements, excitation }), (result) => {
      const now = elements.length ? elements : result.elements;
      const first = result.maps.find((name) => name.startsWith(`${now[0]}_`)) ?? result.maps[0];
      app.showImage(`fit:${first}`, { elements: now, fit: elements });
    });
  };
  /** A link or a session has images of a fit: it is done again, or the server still has it. */
  const fitAgain = () => app.state.fit && app.runTask("fit");
  app.on("opened session reopened", fitAgain);

  /** What somebody typed is taken if the server understands it. */
  async function setExcitation(event) {
    const input = event.target;
    const excitation = input.value.trim() || null;
    try {
      if (excitation) await app.data.ask("info", { excitation });
      input.removeAttribute("aria-invalid");
      if (excitation !== app.state.excitation) store.set({ excitation });
    } catch (error) {
      input.setAttribute("aria-invalid", "true");
      app.tell(error);
    }
  }
  function excitationField() {
    const { text } = app.info?.excitation ?? {};
    const title = "What made the X-rays: a tube (Rh 50 kV), photons (17.44 keV) or electrons (electrons 20 kV). " +
      `Lines that it cannot excite are left out. ${text ? `The file says ${text}.` : "The file does not say it."}`;
    return h("label", "Excitation ", h("input", { title, size: 13, maxlength: 40,
      value: app.state.excitation ?? "", placeholder: text ?? "Rh 50 kV", list: "xfm-excitations",
      key: "excitation", onchange: setExcitation }),
    h("datalist", { id: "xfm-excitations" }, ["Rh 50 kV", "17.44 keV", "electrons 20 kV"].map((value) =>
      h("option", { value }))));
  }

  function drawBar() {
    const { elements } = app.state;
    const isBusy = app.tasks.has("fit") || app.tasks.has("elements");
    const disabled = isBusy || !app.energyOf;
    const why = app.energyOf ? "" : " (the map has to be calibrated first)";
    fill(bar,
      h("form.row", { onsubmit: add },
        h("input", { name: "added", size: 10, placeholder: "Fe, Ca, Ti", key: "added",
          label: "Elements to add, such as Fe, Ca" }),
        h("button", { type: "submit", key: "add" }, "Add")),
      h("button", { disabled, onclick: find, key: "run elements",
        title: `Which elements has the spectrum?${why}` }, "Find"),
      app.info?.fit ? h("button", { disabled, onclick: fit, key: "run fit",
        title: `Peaks that overlap are told apart in each pixel${why}` },
      elements.length ? "Fit these" : "Find and fit") : null,
      elements.length ? h("button", { key: "clear",
        onclick: () => store.set({ elements: [] }) }, "Clear") : null,
      space(), app.info?.fit ? excitationField() : null);
  }

  const pictures = new Map(); // of a spec: canvas
  function specs() {
    const lines = app.state.elements.map((e) => app.lineOf(e)).filter(Boolean);
    return [...app.fitted.map((name) => `fit:${name}`), ...lines.map((line) => `e:${line}`)];
  }

  function tile(spec) {
    const { image, rgb } = app.state;
    const canvas = h("canvas", { "aria-hidden": "true" });
    pictures.set(spec, canvas);
    const label = app.labelOf(spec);
    const isShown = !rgb && image === spec;
    const channels = ["red", "green", "blue"].map((colour, k) => h(`button.${colour}`, {
      key: `${spec} ${k}`, pressed: rgb?.[k] === spec,
      label: `${label} in ${colour}`, title: `Show in ${colour}`, onclick: () => setRgb(k, spec),
    }, "RGB"[k]));
    const name = spec.startsWith("e:") ? spec.slice(2).split("_")[0] : null;
    return h("div.tile", { role: "listitem" },
      h("button.picture", { pressed: isShown,
        label: `Show ${label}`, key: spec, onclick: () => app.showImage(spec) }, canvas,
      h("span", label)),
      h("div.row", channels,
        name ? iconButton("remove", `Remove ${name}`, () => store.set({
          elements: app.state.elements.filter((e) => e !== name) })) : null));
  }
  function setRgb(k, spec) {
    const { rgb, image } = app.state;
    const others = rgb ?? [image, image, image];
    store.set({ rgb: others.map((old, i) => (i === k ? spec : old)), ratio: null });
  }

  const hint = () => (!app.energyOf ? "Elements need energies: press Calibrate above the spectrum first."
    : `No element yet. Click a peak, type some above, or let them be found. ${app.info.fit ? "" : missing("Fits", "fit")}`);
  const draw = onceAFrame(() => {
    drawBar();
    fill(notes, remarks(app, notes, "elements", "fit"));
    pictures.clear();
    const wanted = specs();
    fill(grid, wanted.length ? wanted.map(tile) : h("p.muted", app.info ? hint() : ""));
    wanted.forEach(paint);
    poke();
  });

  function paint(spec) {
    const kept = app.data.kept(spec);
    const canvas = pictures.get(spec);
    if (!kept || !canvas) return;
    const limits = limitsOf(sortedSample(kept.image), { low: 0, high: 99.8 });
    const pixels = paintOne(kept.image, limits, 1, colourTable(app.state.cmap));
    putPixels(canvas, pixels, ...app.info.shape);
  }
  const { poke, retry } = trying(app,
    (isFine) => !element.hidden && app.info && specs().find((s) => !app.data.isHere(s) && isFine(s)),
    async (spec) => {
      await app.data.image(spec);
      paint(spec);
    });
  store.on((_, has, live) => {
    if (!live && has("elements", "image", "window", "rgb", "ratio", "cmap", "energy", "excitation")) draw();
  });
  app.on("choices", retry);
  app.on("info choices lines", draw);
  app.on("task", drawBar);
  return { element, draw };
}
