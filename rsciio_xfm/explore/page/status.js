/** The line at the bottom: value under the mouse, what is being done, what went wrong. */
import { fill, h, iconButton } from "./dom.js";
import { shown } from "./names.js";

export function createStatus(app) {
  const value = h("span", { class: "xfm-value", "aria-live": "polite" });
  const work = h("span", { class: "xfm-work" });
  const message = h("span", { class: "xfm-message", role: "status", "aria-live": "polite" });
  const element = h("footer", { class: "xfm-status" }, value, message, work);
  const banner = h("div", { class: "xfm-banner", role: "alert", hidden: true });
  let timer = null;

  app.on("hover", (place) => {
    if (!place) return fill(value);
    const { x, y } = place;
    const at = y * app.info.shape[1] + x;
    const values = app.shown?.kind === "ratio" ? [["", app.map.imageShown()[at]]]
      : (app.shown?.answers ?? []).map(({ spec, image }) => [`${app.labelOf(spec)} `, image[at]]);
    const texts = values.map(([label, v]) => `${label}${shown(v)}`);
    value.textContent = `x ${x}, y ${y}: ${texts.join(" · ")}`;
    return null;
  });

  app.say = (text) => {
    clearTimeout(timer);
    fill(message, document.createTextNode(text));
    message.classList.remove("xfm-error");
    timer = setTimeout(() => fill(message), 12000);
  };
  /** An error, in the words of the server; it stays until it is put away. */
  app.tell = (error) => {
    clearTimeout(timer);
    const text = [error.message, error.hint].filter(Boolean).join(" ");
    fill(message, document.createTextNode(text), iconButton("remove", "Put away", () => fill(message)));
    message.classList.add("xfm-error");
  };

  const changed = () => {
    fill(banner, "The file has been replaced or changed since it was opened. ",
      h("button", { type: "button", onclick: () => app.reopen() }, "Open it anew"));
    banner.hidden = false;
  };
  app.onServer = ({ gone, changed: isChanged, locked }) => {
    if (isChanged) changed();
    else if (locked) {
      fill(banner, document.createTextNode("The explorer was started anew: open the address that it printed, " +
        `then put behind it what is behind # here, and you go on where you were.`));
      banner.hidden = false;
    }
    else if (gone) {
      fill(banner, document.createTextNode("The server does not answer. It is asked again until it does; nothing is lost."));
      banner.hidden = false;
    } else if (gone === false) {
      banner.hidden = true;
      app.say("The server is there again.");
    }
  };

  app.on("reopened", () => {
    banner.hidden = true;
    fill(message); // that the file was changed
  });
  app.on("info", () => {
    const { overview, cache, file_changed: isChanged, error } = app.info;
    if (isChanged) changed();
    if (error) app.tell(new Error(error));
    if (!overview.done) progress(`Reading: row ${overview.rows_done} of ${overview.rows}`,
      overview.rows_done / overview.rows);
    else if (cache?.state === "making") progress("Making the cache, which makes all faster", cache.progress);
    else if (cache?.state === "off" && cache.why) fill(work, document.createTextNode(`No cache. ${cache.why}`));
    else fill(work);
  });
  function progress(text, part) {
    fill(work, document.createTextNode(`${text} `), h("progress", { max: 1, value: part, "aria-label": text }));
  }
  return { element, banner };
}
