/** The list of regions: name, colour, size; chosen, shown, joined, taken away. */
import { REGION_COLOURS } from "./colours.js";
import { choice, coloured, fill, h, iconButton, onceAFrame } from "./dom.js";
import { countOf, statistics } from "./masks.js";
import { shown } from "./names.js";
import { activeOf, remove, withChanged, withRegion } from "./region_edit.js";
import { sizeText } from "./scale_bar.js";

export function createRegionsPanel(app) {
  const { store } = app;
  const counts = new WeakMap(); // of a mask: how many pixels
  const list = h("div");
  const values = h("div");
  const element = h("div.panel", list, values);

  const change = (region, part) => store.set(withChanged(app.state, region.id, () => part));

  function nextColour(region) {
    const at = REGION_COLOURS.indexOf(region.colour);
    return REGION_COLOURS[(at + 1) % REGION_COLOURS.length];
  }

  /** Another region is added to this one, or taken away from it. */
  function combine(region, value) {
    const [act, id] = value.split(" ");
    const other = app.state.regions.find((r) => r.id === id);
    if (!other) return;
    const added = act === "take" ? without(other) : other.region;
    if (added) change(region, { region: `${region.region}|${added}` });
  }
  /** What takes a region away from another; null, and said so, if it has such parts itself. */
  function without({ name, region }) {
    const terms = region.split("|");
    if (!terms.some((t) => t.startsWith("-"))) return terms.map((t) => `-${t}`).join("|");
    app.say(`${name} has parts taken away itself: what is left of it cannot be taken away.`);
    return null;
  }

  function sizeOf(region) {
    const mask = app.maskOf(region.region);
    if (!mask) return "...";
    if (!counts.has(mask)) counts.set(mask, countOf(mask));
    return sizeText(counts.get(mask), app.info.pixel);
  }

  function row(region, state) {
    const others = state.regions.filter((r) => r.id !== region.id);
    const isActive = region.id === state.active;
    const choose = () => region.id !== app.state.active &&
      store.set({ active: region.id }, { step: false });
    return h(`li.${isActive ? "active" : ""}`, { "data-id": region.id, onclick: choose },
      h("input", { type: "checkbox", checked: region.on, key: `on ${region.id}`,
        label: `Show ${region.name}`, title: "Show or hide",
        onchange: (e) => change(region, { on: e.target.checked }) }),
      coloured(h(`button.swatch.${region.region.startsWith("c:") ? "round" : ""}`, {
        key: `colour ${region.id}`,
        label: `Colour of ${region.name}: another one`, title: "Another colour",
        onclick: () => change(region, { colour: nextColour(region) }) }), region.colour),
      h("input.name", { value: region.name, maxlength: 60, key: `name ${region.id}`,
        label: `Name of ${region.name}`, onfocus: choose,
        onchange: (e) => change(region, { name: e.target.value.trim() || region.name }) }),
      h("span.size", sizeOf(region)),
      others.length ? choice("Join with another region", [["", "Join"],
        ...others.map((o) => [`add ${o.id}`, `add ${o.name}`]),
        ...others.map((o) => [`take ${o.id}`, `take away ${o.name}`])], "",
      (value) => combine(region, value), { class: "xfm-small", key: `join ${region.id}` }) : null,
      iconButton("remove", `Remove ${region.name}`, () => remove(app, region.id),
        { key: `remove ${region.id}` }));
  }

  const HINT = "No region yet. Choose a shape at the left of the map and drag on the map: " +
    "its spectrum follows the mouse. Or drag in the histogram below the map to take all pixels " +
    "between two values.";

  /** What the image shown is in each region. */
  function table(state) {
    const shownOne = ["one", "ratio"].includes(app.shown?.kind) && !(app.shown.step > 1);
    const regions = state.regions.filter((r) => r.on && app.maskOf(r.region));
    if (!shownOne || !regions.length) return null;
    const image = app.map.imageShown();
    const label = app.shown.specs.map(app.labelOf).join(" / ");
    const head = [label, "Sum", "Mean", "Deviation", "Least", "Most"];
    return h("table", h("thead", h("tr", head.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", regions.map((region) => {
        const { n, sum, mean, deviation, min, max } = statistics(image, app.maskOf(region.region));
        const numbers = n ? [sum, mean, deviation, min, max] : [0, null, null, null, null];
        return h("tr", h("th", { scope: "row" }, region.name),
          numbers.map((v) => h("td", shown(v))));
      })));
  }

  function rest() {
    const chosen = activeOf(app.state);
    const taken = chosen && without(chosen);
    const [height, width] = app.info.shape;
    if (taken) store.set(withRegion(app.state, `r:0,0,${height},${width}|${taken}`, { name: `All but ${chosen.name}` }));
  }

  function draw() {
    const state = app.state;
    fill(list,
      state.regions.length
        ? h("ul.regions", { label: "Regions" }, state.regions.map((r) => row(r, state)))
        : h("p.muted", HINT),
      state.regions.length ? h("div.row",
        h("button", { key: "rest", onclick: rest,
          title: "A region of all pixels that are not in the chosen one" }, "All but the chosen one"),
        h("span.muted",
          "Move (V): arrow keys move it, with Alt they change its size.")) : null);
    drawValues();
  }
  const drawValues = () => fill(values, table(app.state));
  /** Another region is chosen: no row is made anew, as somebody may be typing in it. */
  function mark() {
    const { active } = app.state;
    for (const item of list.querySelectorAll("li")) {
      item.classList.toggle("xfm-active", item.dataset.id === active);
    }
  }
  /** While a region is dragged, only its size and the values follow. */
  const drawSizes = onceAFrame(() => {
    const { regions } = app.state;
    const items = [...list.querySelectorAll("li")];
    if (items.length !== regions.length) return draw();
    drawValues();
    return regions.forEach((region, k) => {
      items[k].querySelector(".xfm-size").textContent = sizeOf(region);
    });
  });
  store.on((_, has, live) => {
    if (has("regions") && live) drawSizes();
    else if (has("regions")) draw();
    else if (has("active")) mark();
  });
  app.on("images", () => (list.textContent.includes("...") ? draw() : drawValues()));
  app.on("shown", drawValues);
  app.on("opened reopened", draw);
  return { element, draw };
}
