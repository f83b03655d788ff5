/** In a page: questions by fetch, the state in the address. */
import { readAnswer } from "./answer.js";
import { startApp } from "./app.js";
import { h } from "./dom.js";
import { showMaps } from "./maps.js";
import { patient } from "./patient.js";
import { addressOf } from "./query.js";
import { createStore, fromHash, toHash } from "./state.js";

const root = document.getElementById("xfm");

const api = {
  async get(path, query) {
    const response = await fetch(addressOf(path, query), { credentials: "same-origin" });
    return readAnswer(response.status, response.headers.get("content-type") ?? "",
      await response.arrayBuffer());
  },
};

async function start() {
  const waiting = patient(api, ({ gone }) => {
    const line = root.querySelector(".xfm-empty");
    if (!line) return;
    line.textContent = gone
      ? "The server does not answer. It is asked again until it does." : "The map is being opened ...";
  });
  const maps = (await waiting.get("api/maps")).json;
  const state = fromHash(location.hash);
  const isThere = maps.some((map) => map.id === state.map);
  if (maps.length === 1) state.map = maps[0].id;
  else if (!isThere) return showMaps(root, maps, waiting);
  const store = createStore(state);
  const app = startApp(root, api, store, {
    keys: document,
    canLink: true,
    goHome: maps.length > 1 ? () => go("#") : null,
    systemIsDark: () => matchMedia("(prefers-color-scheme: dark)").matches,
  });
  app.selectTab(state.scatter ? "scatter" : "regions");
  keepAddress(app);
  return app;
}

function go(hash) {
  history.pushState(null, "", hash || "#");
  location.reload();
}

/** The address follows the state, not more often than browsers allow; and the other way round. */
function keepAddress(app) {
  const { store } = app;
  let timer = null;
  let written = location.hash;
  const write = () => {
    timer = null;
    written = toHash(store.get()) || "#";
    history.replaceState(null, "", written);
    document.title = app.info ? `${app.info.name} - explorer` : "explorer";
  };
  store.on((_, __, live) => {
    if (!live) timer ??= setTimeout(write, 250);
  });
  app.on("info", () => { timer ??= setTimeout(write, 250); });
  window.addEventListener("hashchange", () => {
    if (location.hash === written) return;
    const next = fromHash(location.hash);
    if (next.map !== store.get().map) location.reload();
    else store.set(next);
  });
}

start().catch((error) => {
  root.replaceChildren(h("p.banner", { role: "alert" },
    [error.message, error.hint].filter(Boolean).join(" ")));
});
