/** Keys that hold wherever the keyboard is, but not while somebody types. */
import { showHelp } from "./help.js";
import { chooseNext, remove } from "./region_edit.js";

const TOOLS = { v: "move", r: "rectangle", e: "ellipse", p: "polygon", l: "lasso" };
const TYPED = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const SCALES = ["lin", "sqrt", "log"];

export function addKeys(app, target) {
  target.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.target.closest?.("dialog")) return;
    const act = event.ctrlKey || event.metaKey ? withControl(event) : alone(event);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });

  function withControl(event) {
    if (event.target.matches?.(TYPED)) return null;
    const key = event.key.toLowerCase();
    if (key === "z") return event.shiftKey ? app.redo : app.undo;
    return key === "y" ? app.redo : null;
  }

  function alone(event) {
    if (event.key === "Escape") return app.map.cancel() ? () => {} : () => app.setCalibrating(false);
    if (event.target.matches?.(TYPED) || event.altKey) return null;
    const key = event.key.toLowerCase();
    if (key in TOOLS) return () => app.setTool(TOOLS[key]);
    const { spectrum, active } = app.state;
    return {
      "?": () => showHelp(app),
      n: () => chooseNext(app, event.shiftKey ? -1 : 1),
      delete: () => remove(app, active),
      y: () => app.setSpectrum({ y: SCALES[(SCALES.indexOf(spectrum.y) + 1) % 3] }),
      d: app.toggleDark,
      m: () => app.map.canvas.focus(),
      s: () => app.chart.focusable.focus(),
    }[key] ?? null;
  }
}
