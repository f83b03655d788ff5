/**
 * In a notebook (anywidget): the same page; questions are messages to Python.
 *
 * A question is {id, path, query}, its answer the message {id, status, media_type} with the body
 * as its one buffer. `state` of the model is the state of the page.
 */
import { startApp } from "./app.js";
import { readAnswer } from "./answer.js";
import { checked, createStore } from "./state.js";

const PATIENCE = 60000; // milliseconds; a kernel that is busy answers late

function createApi(model) {
  const waiting = new Map();
  let last = 0;
  const receive = (message, buffers) => {
    const { id, status, media_type: type } = message;
    const answered = waiting.get(id);
    waiting.delete(id);
    answered?.(readAnswer(status, type, buffers[0] ?? new DataView(new ArrayBuffer(0))));
  };
  model.on("msg:custom", receive);
  return {
    get: (path, query) => new Promise((done, fail) => {
      const id = `${Date.now()}-${++last}-${Math.random().toString(36).slice(2)}`;
      const timer = setTimeout(() => {
        waiting.delete(id);
        fail(new Error("The kernel does not answer."));
      }, PATIENCE);
      waiting.set(id, (answer) => {
        clearTimeout(timer);
        done(answer);
      });
      model.send({ id, path, query });
    }),
    close: () => model.off("msg:custom", receive),
  };
}

function notebookIsDark() {
  const theme = document.body.dataset.jpThemeLight;
  return theme ? theme === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "xfm xfm-widget";
  root.tabIndex = -1;
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's own keys stay away
  el.append(root);
  const api = createApi(model);
  let app = null;
  let ended = false;

  async function start() {
    const maps = (await api.get("api/maps", {})).json;
    if (ended) return;
    const state = { ...checked(model.get("state") ?? {}), map: maps[0].id };
    const store = createStore(state);
    app = startApp(root, api, store, {
      keys: root, canLink: false, goHome: null, systemIsDark: notebookIsDark,
    });
    app.selectTab(state.scatter ? "scatter" : "regions");
    store.on((next, _, live) => {
      if (live) return;
      model.set("state", next);
      model.save_changes();
    });
    model.on("change:state", () => {
      const given = model.get("state");
      if (JSON.stringify(given) !== JSON.stringify(store.get())) {
        store.set({ ...checked(given), map: state.map });
      }
    });
  }
  start().catch((error) => {
    root.textContent = error.message;
  });
  return () => {
    ended = true;
    if (app) app.ended = true;
    api.close();
  };
}

export default { render };
