/** What is to be known about a fit, elements or classes, in words; what warns is told apart. */
import { h } from "./dom.js";

/** Of the tasks of these kinds, to be put into `place`; null if there is nothing to say. */
export function remarks(app, place, ...kinds) {
  const notes = kinds.flatMap((kind) => app.notes[kind] ?? []);
  if (!notes.length) return null;
  const isOpen = place.querySelector(".xfm-notes")?.open ?? false;
  const warns = notes.some(({ kind }) => kind === "warning");
  return h("details.xfm-notes", { open: isOpen },
    h("summary", { key: "notes" }, `${warns ? "⚠ " : ""}${notes.length} remark${notes.length > 1 ? "s" : ""}`),
    h("ul", {}, notes.map(({ text, kind }) => h("li", {}, kind === "warning" ? h("strong", {}, text) : text))));
}
