/** The line at the bottom: value under the mouse, what is being done, what went wrong. */
import { createBanner } from "./banner.js";
import { fill, h, iconButton } from "./dom.js";
import { countOf } from "./masks.js";
import { shown } from "./names.js";
import { activeOf } from "./region_edit.js";
import { boundsOfAll, isDrawn, parseRegion } from "./regions.js";

export function createStatus(app) {
  const value = h("span.value", { "aria-live": "polite" });
  const work = h("span.work");
  const message = h("span.message", { role: "status", "aria-live": "polite" });
  const element = h("footer.status", value, message, work);
  const banner = createBanner(app);
  let timer = null;
  let place = null; // pixel under mouse or cross
  let hint = "";
  let told = ""; // what is wrong with the file
  let region = ""; // what is said of one that keys have moved

  function valuesAt({ x, y }) {
    const { step = 1 } = app.shown ?? {};
    const at = Math.floor(y / step) * Math.ceil(app.info.shape[1] / step) + Math.floor(x / step);
    const values = app.shown?.kind === "ratio" ? [["", app.map.imageShown()[at]]]
      : (app.shown?.answers ?? []).map(({ spec, image }) => [`${app.labelOf(spec)} `, image[at]]);
    return `x ${x}, y ${y}: ${values.map(([label, v]) => `${label}${shown(v)}`).join(" · ")}`;
  }
  function drawValue() {
    const text = [region || (place && app.info ? valuesAt(place) : ""), hint].filter(Boolean).join(" · ");
    if (value.textContent !== text) value.textContent = value.title = text;
  }
  app.on("hover", (found) => {
    [place, region] = [found, ""];
    drawValue();
  });
  app.on("hint", (text) => {
    hint = text;
    drawValue();
  });
  app.on("shown", drawValue);
  /** Where the chosen region is and how large, after it was moved or chosen by keys. */
  app.tellRegion = () => {
    const active = activeOf(app.state);
    const mask = active && app.maskOf(active.region);
    const terms = active ? parseRegion(active.region) : [];
    const [y0, x0, y1, x1] = isDrawn(terms) ? boundsOfAll(terms).map(Math.round) : [];
    region = active ? [`${active.name}: `, isDrawn(terms) ? `x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1}, ` : "",
      mask ? `${shown(countOf(mask))} pixels` : ""].join("") : "No region is chosen";
    drawValue();
  };

  const put = (text, ...more) => {
    clearTimeout(timer);
    fill(message, h("span", { title: text }, text), ...more);
  };
  app.say = (text) => {
    put(text);
    message.classList.remove("xfm-error");
    timer = setTimeout(() => fill(message), 12000);
  };
  /** An error, in the words of the server; it stays until it is put away. */
  app.tell = (error) => {
    if (error.isPending) return;
    if (error.isStop) return app.say(error.message);
    put([error.message, error.hint].filter(Boolean).join(" "), iconButton("remove", "Put away", () => fill(message)));
    message.classList.add("xfm-error");
  };

  app.onServer = ({ gone, changed, locked }) => {
    if (changed) {
      if (!app.info?.file_gone) banner.show("changed");
      app.watchNow?.(); // whether it is there at all
    } else if (locked) banner.show("locked");
    else if (gone) banner.show("gone");
    else if (gone === false) {
      banner.hide("gone", "locked", "kernel");
      app.say("The server is there again.");
    }
  };
  app.on("reopened", () => {
    banner.hide("changed", "missing");
    fill(message); // that the file was changed
  });
  app.on("info", () => {
    const { file_changed: changed, file_gone: gone, error } = app.info;
    if (gone) banner.show("missing");
    else if (changed) banner.show("changed");
    else banner.hide("missing", "changed");
    const wrong = [error, ...(app.info.warnings ?? [])].filter(Boolean).join(" ");
    if (wrong && wrong !== told) app.tell(new Error(told = wrong));
    drawWork();
  });
  app.on("task", drawWork);

  /** A task with its Stop; else how far the first pass or the cache is. */
  function drawWork() {
    const [task] = app.tasks.values();
    const { done, rows_done: row, rows } = app.info?.overview ?? {};
    const { state, why, progress: part } = app.info?.cache ?? {};
    if (task) {
      progress(`${task.text} ...`, task.progress, h("button", { key: "stop", onclick: task.stop }, "Stop"));
    } else if (!done && !row) progress("The map is being opened ...", null);
    else if (!done) progress(`Reading: row ${row} of ${rows}`, row / rows);
    else if (state === "making") progress("Making the cache, which makes all faster", part);
    else fill(work, state === "off" && why ? h("span", { title: why }, why) : null);
  }
  drawWork();
  function progress(text, part, more = null) {
    fill(work, h("span", { title: text }, text), h("progress", { max: 1, value: part, label: text }), more);
  }
  return { element, banner: banner.element };
}
