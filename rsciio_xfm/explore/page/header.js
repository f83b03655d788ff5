/** The line at the top, the tools beside the map and the tabs. */
import { createExportMenu } from "./export_menu.js";
import { fill, h, iconButton, space } from "./dom.js";
import { showHelp } from "./help.js";

export function createHeader(app) {
  const name = h("h1", "");
  const size = h("span.muted");
  const undo = iconButton("undo", "Undo (Ctrl Z)", () => app.undo());
  const redo = iconButton("redo", "Redo (Ctrl Y)", () => app.redo());
  const element = h("header.header",
    app.goHome ? h("button", { onclick: app.goHome, title: "All maps of the folder" }, "Maps") : null,
    name, size, space(), undo, redo, createExportMenu(app),
    iconButton("dark", "Dark or light (D)", () => app.toggleDark()),
    iconButton("help", "Help and keys (?)", () => showHelp(app)));
  const draw = () => {
    undo.disabled = !app.store.canUndo();
    redo.disabled = !app.store.canRedo();
    if (!app.info) return;
    const [h_, w, n] = app.info.shape;
    name.textContent = app.info.name;
    size.textContent = `${w} × ${h_} pixels, ${n} channels`;
    name.title = `${app.info.name}, ${size.textContent}`;
  };
  app.store.on(draw);
  app.on("info", draw);
  draw();
  return element;
}

const TOOLS = [
  ["move", "Move (V): take hold of a region, or of the map"], ["rectangle", "Rectangle (R)"],
  ["ellipse", "Ellipse (E)"], ["polygon", "Polygon (P): click corners, double click ends"],
  ["lasso", "Lasso (L)"],
];
const MODES = [
  ["new", "New", "What is drawn is a region of its own"],
  ["add", "∪", "What is drawn is added to the chosen region (Shift)"],
  ["take", "−", "What is drawn is taken away from the chosen region (Alt)"],
];

export function createTools(app) {
  const element = h("div.tools", { role: "toolbar", "aria-orientation": "vertical",
    label: "Tools of the map" });
  const draw = () => fill(element,
    TOOLS.map(([tool, label]) => iconButton(tool, label, () => app.setTool(tool),
      { pressed: app.tool === tool, key: tool })),
    h("hr"),
    MODES.map(([mode, text, label]) => h("button", { title: label, label,
      pressed: app.mode === mode, key: mode, onclick: () => app.setMode(mode) }, text)),
    h("hr"),
    iconButton("plus", "Enlarge (+)", () => app.map.zoomAt(1.5), { key: "in" }),
    iconButton("minus", "Make smaller (−)", () => app.map.zoomAt(1 / 1.5), { key: "out" }),
    iconButton("fit", "Show all of the map (0)", () => app.map.showAll(), { key: "all" }));
  app.on("tool", draw);
  draw();
  return element;
}

/** Panels of which one is seen: {name: [text, {element, draw}]}. */
export function createTabs(app, panels) {
  const list = h("div.tabs", { role: "tablist", label: "Panels" });
  const names = Object.keys(panels);
  const select = (chosen, focus = false) => {
    fill(list, names.map((name) => h("button", {
      role: "tab", id: `xfm-tab-${name}`, "aria-selected": String(name === chosen),
      tabindex: name === chosen ? 0 : -1, key: name, onclick: () => select(name),
    }, panels[name][0])));
    for (const name of names) panels[name][1].element.hidden = name !== chosen;
    panels[chosen][1].draw();
    if (focus) list.querySelector(`#xfm-tab-${chosen}`).focus();
    app.tab = chosen;
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    select(names[(names.indexOf(app.tab) + step + names.length) % names.length], true);
  });
  for (const name of names) {
    const { element } = panels[name][1];
    element.setAttribute("role", "tabpanel");
    element.setAttribute("aria-labelledby", `xfm-tab-${name}`);
  }
  return {
    element: h("section.side", { label: "Regions, elements, scatter, classes" },
      list, names.map((name) => panels[name][1].element)),
    select,
  };
}
