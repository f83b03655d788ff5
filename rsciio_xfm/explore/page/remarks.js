/** What is to be known about a fit, elements or classes, in words; what warns is told apart. */
import { h } from "./dom.js";

/** Of the tasks of these kinds, to be put into `place`: the worst, and others that can be unfolded. */
export function remarks(app, place, ...kinds) {
  const notes = kinds.flatMap((kind) => app.notes[kind] ?? []);
  if (!notes.length) return null;
  const isOpen = place.querySelector(".xfm-notes")?.open ?? false;
  const warns = ({ kind }) => kind === "warning";
  const worst = notes.find(({ text }) => text.includes("may be wrong")) ?? notes.find(warns) ?? notes[0];
  const more = notes.filter((note) => note !== worst);
  return [
    warns(worst) ? h("p.error", `⚠ ${worst.text}`) : h("p", worst.text),
    more.length ? h("details.notes", { open: isOpen }, h("summary", { key: "notes" }, `${more.length} more`),
      h("ul", more.map((note) => h("li", warns(note) ? h("strong", note.text) : note.text)))) : null,
  ];
}
