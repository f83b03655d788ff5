/** The line above all: the file was replaced or deleted, the server is gone or was started anew. */
import { fill, h } from "./dom.js";

const TEXTS = {
  changed: "The file was replaced or changed since it was opened. What you see is still of the old one.",
  missing: "The file is not there any more: deleted, renamed, or its drive is off. What you see stays as long as " +
    "this page is open. Put the file back, then look again.",
  gone: "The server does not answer. It is asked again until it does; nothing is lost. If it was ended and started " +
    "again, paste its new address, as it was printed there:",
  locked: "The explorer was started anew and does not know this page. Paste its new address, as it was printed " +
    "there; you go on where you were:",
  kernel: "The kernel does not answer: it is busy, or was restarted. If it stays so, run the cell again.",
};

export function createBanner(app) {
  const element = h("div.banner", { role: "alert", hidden: true });
  let kind = null;

  function goOn(event) {
    event.preventDefault();
    const input = event.target.elements.address;
    try {
      const address = new URL(input.value.trim());
      if (!/^https?:$/.test(address.protocol)) throw new TypeError();
      address.hash = location.hash;
      location.assign(address);
    } catch {
      input.setAttribute("aria-invalid", "true");
      input.focus();
    }
  }
  function act() {
    if (kind === "kernel") return null;
    if (kind === "changed") return h("button", { onclick: app.reopen }, "Open it anew");
    if (kind === "missing") return h("button", { onclick: app.reopen }, "Look again");
    return h("form.row", { onsubmit: goOn },
      h("input", { name: "address", size: 34, placeholder: `${location.protocol}//...`,
        label: "The new address of the explorer" }), h("button", { type: "submit" }, "Go on there"));
  }
  function show(next) {
    if (next === "gone" && !app.canLink) next = "kernel";
    if (next === kind) return;
    kind = next;
    element.hidden = !kind;
    if (kind) fill(element, h("span", TEXTS[kind]), act());
  }
  return {
    element,
    show,
    hide: (...kinds) => kinds.includes(kind) && show(null),
  };
}
