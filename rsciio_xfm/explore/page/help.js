/** A short help with the keys. */
import { closer, h, showDialog } from "./dom.js";

const KEYS = [
  ["Anywhere", [
    ["?", "this help"], ["Ctrl Z, Ctrl Y", "undo, redo"],
    ["V R E P L", "tool: move, rectangle, ellipse, polygon, lasso"],
    ["N, Shift N", "next region, the one before"], ["Delete", "remove the chosen region"],
    ["Y", "linear, square root, logarithmic axis"], ["D", "dark or light"],
    ["M, S", "go to the map, to the spectrum"], ["Esc", "leave what was begun"],
  ]],
  ["On the map", [
    ["Drag", "draw with the tool; with Move: the region, its corners, or the map"],
    ["Shift or Alt and drag", "add to the chosen region, take away from it"],
    ["Wheel, + −", "zoom; 0 shows all"],
    ["Arrows", "Move: the chosen region (Alt: its size; Shift: ten pixels); else the cross"],
    ["Enter, Enter", "begin and end a rectangle or ellipse at the cross"],
    ["Enter ... C", "corners of a polygon, close it"],
  ]],
  ["On the spectrum", [
    ["Drag", "window: its image is shown"], ["Click, Enter", "which line is it?"],
    ["[ and ]", "window begins, ends at the cross"],
    ["Arrows", "move the cross (Shift: ten channels)"],
    ["Wheel, + −, Shift and drag", "zoom; 0 or double click shows all"],
    ["Alt and drag, Page Up and Down", "move along"],
  ]],
];

export function showHelp(app) {
  if (app.root.querySelector("dialog[open]")) return;
  const part = ([title, keys]) => h("section", h("h3", title),
    h("dl", keys.flatMap(([key, text]) => [h("dt", h("kbd", key)), h("dd", text)])));
  showDialog(app.root, "Help",
    h("h2", "How to look at a map"),
    h("p", "Draw on the map: the spectrum of these pixels follows. Drag in the spectrum: the image of " +
      "these energies follows. Click a peak to learn which element it may be. Everything can be undone, and " +
      "the address of the page keeps all that you see."),
    h("div.columns", KEYS.map(part)), closer());
}
