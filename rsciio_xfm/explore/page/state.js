/** What is seen: one plain object, which is the address behind `#`, a session and a step of undo. */
import { parseRegion } from "./regions.js";

const CONTRAST = { low: 0, high: 99.8, gamma: 1 };

export const DEFAULT = Object.freeze({
  v: 1,
  map: null,
  energy: null, // [offset, scale] of one's own
  window: null, // [first, stop] in channels
  image: "counts",
  rgb: null, // three images, or null
  ratio: null, // two images, or null
  contrast: CONTRAST,
  rgbContrast: [CONTRAST, CONTRAST, CONTRAST],
  cmap: "viridis",
  regions: [], // {id, name, colour, on, region}
  active: null, // id of a region
  elements: [],
  spectrum: { y: "log", x: null, per: "sum", whole: true, max: false },
  scatter: null, // {x, y}: two images
  fit: null, // elements that were fitted, [] found by the fit; it is done again for a link
  excitation: null, // as users say it, such as "Rh 50 kV"; as the file says, if null
  classes: null, // {n, method} of the classes that were made
  view: { x: null, y: null, zoom: null }, // all of the map, if null
  dark: null, // as the system has it, if null
});
const LASTING = ["view", "dark", "map", "fit", "classes"];

const isNumber = (v) => typeof v === "number" && Number.isFinite(v);
const isText = (v) => typeof v === "string" && v.length > 0 && v.length <= 200;
const isPair = (v) => Array.isArray(v) && v.length === 2 && v.every(isNumber);
const isElements = (v) =>
  Array.isArray(v) && v.length <= 100 && v.every((e) => /^[A-Z][a-z]?$/.test(e));
const isTexts = (n) => (v) => Array.isArray(v) && v.length === n && v.every(isText);
const orNull = (check) => (v) => v === null || check(v);
const isContrast = (v) =>
  isNumber(v?.low) && isNumber(v.high) && isNumber(v.gamma) &&
  v.low >= 0 && v.low < v.high && v.high <= 100 && v.gamma >= 0.1 && v.gamma <= 10;

function isRegion(v) {
  if (!isText(v?.id) || !isText(v.name) || !/^#[0-9a-fA-F]{6}$/.test(v.colour)) return false;
  try {
    return typeof v.on === "boolean" && parseRegion(v.region).length > 0;
  } catch {
    return false;
  }
}

const CHECKS = {
  v: (v) => v === 1,
  map: orNull(isText),
  energy: orNull((v) => isPair(v) && v[1] > 0),
  window: orNull((v) => isPair(v) && v[0] >= 0 && v[0] < v[1]),
  image: isText,
  rgb: orNull(isTexts(3)),
  ratio: orNull(isTexts(2)),
  contrast: isContrast,
  rgbContrast: (v) => Array.isArray(v) && v.length === 3 && v.every(isContrast),
  cmap: (v) => ["viridis", "cividis", "magma", "grey"].includes(v),
  regions: (v) => Array.isArray(v) && v.length <= 64 && v.every(isRegion),
  active: orNull(isText),
  elements: isElements,
  fit: orNull(isElements),
  excitation: orNull((v) => isText(v) && v.length <= 40),
  classes: orNull((v) => isNumber(v?.n) && v.n >= 2 && v.n <= 20 && isText(v.method)),
  spectrum: (v) =>
    ["lin", "sqrt", "log"].includes(v?.y) && ["sum", "pixel", "s"].includes(v.per) &&
    (v.x === null || (isPair(v.x) && v.x[0] < v.x[1])),
  scatter: orNull((v) => isText(v?.x) && isText(v.y)),
  view: (v) => v !== null && typeof v === "object" &&
    [v.x, v.y, v.zoom].every((n) => n === null || isNumber(n)),
  dark: orNull((v) => typeof v === "boolean"),
};

/** A whole state of what somebody sent: parts that are wrong are left out. */
export function checked(given) {
  const state = { ...DEFAULT };
  if (given === null || typeof given !== "object") return state;
  for (const [key, check] of Object.entries(CHECKS)) {
    if (!(key in given)) continue;
    const value = key === "spectrum" ? { ...DEFAULT.spectrum, ...given.spectrum } : given[key];
    if (check(value)) state[key] = value;
  }
  return state;
}

/** The part of the address: only what differs from the beginning. */
export function toHash(state) {
  const part = {};
  for (const key of Object.keys(DEFAULT)) {
    if (JSON.stringify(state[key]) !== JSON.stringify(DEFAULT[key])) part[key] = state[key];
  }
  if (!Object.keys(part).length) return "";
  return "#" + encodeURIComponent(JSON.stringify(part)).replace(/%(2C|3A|3B|40|7C)/g, unquoted);
}

const unquoted = (code) => decodeURIComponent(code);

export function fromHash(hash) {
  try {
    return checked(JSON.parse(decodeURIComponent(hash.replace(/^#/, "")) || "{}"));
  } catch {
    return checked({});
  }
}

/**
 * Holds the state, tells of changes, goes back and forth. set(part): one step of undo;
 * {live: true}: while something is dragged, one step with the next set; {step: false}: no step;
 * {merge: "nudge"}: one step with the one before of that name.
 */
export function createStore(initial) {
  let state = initial;
  let past = [];
  let future = [];
  let before = null; // the state before something was dragged
  let merged = null;
  const listeners = [];

  function change(next, live = false) {
    const last = state;
    state = next;
    const keys = Object.keys(next).filter((key) => next[key] !== last[key]);
    const has = (...names) => names.some((name) => keys.includes(name));
    if (keys.length || !live) listeners.forEach((tell) => tell(state, has, live));
  }
  function move(from, to) {
    if (!from.length) return false;
    to.push(state);
    const next = { ...from.pop() };
    for (const key of LASTING) next[key] = state[key];
    before = merged = null;
    change(next);
    return true;
  }
  return {
    get: () => state,
    on: (tell) => listeners.push(tell),
    set(part, { live = false, step = true, merge = null } = {}) {
      if (live) before ??= state;
      else if (step) {
        if (!(merge && merge === merged)) past = [...past.slice(-199), before ?? state];
        before = null;
        future = [];
        merged = merge;
      }
      change({ ...state, ...part }, live);
    },
    cancel() {
      if (before) change(before);
      before = null;
    },
    undo: () => move(past, future),
    redo: () => move(future, past),
    canUndo: () => past.length > 0,
    canRedo: () => future.length > 0,
  };
}
