/** What was asked about the map, kept for as long as there is room. */
import { recent } from "./latest.js";
import { meansOf } from "./paint.js";
import { namedWishes, wishOf } from "./wish.js";

export function createData(app) {
  const images = recent(40);
  const asked = new Map();
  const repeated = new Set(); // questions whose fit or classes were just made once more
  let last = Promise.resolve(); // images are asked one after the other, as the server wants it

  const place = (name) => `api/map/${encodeURIComponent(app.state.map)}/${name}`;
  /** Answers are of the file that is seen, which another page may have opened anew meanwhile. */
  function plain(name, query) {
    const identity = name !== "info" && app.info?.identity;
    return app.api.get(place(name), identity ? { ...query, identity } : query);
  }

  /** With a calibration of one's own; of candidates `energy` is the peak's. */
  function own(name, query) {
    const { energy } = app.state;
    if (!energy) return query;
    return { ...query, [name === "candidates" ? "calibration" : "energy"]: energy.join(",") };
  }

  /** Ask with all that belongs to it; what the server has no more is made again. */
  async function question(name, query, get = plain) {
    const state = app.state;
    const whole = own(name, { ...namedWishes(query, state), ...query });
    const key = JSON.stringify([name, whole]);
    try {
      const answer = await get(name, whole);
      repeated.delete(key);
      return answer;
    } catch (error) {
      if (!error.again || repeated.delete(key)) throw error;
      const made = app.runTask(error.again, wishOf(error.again, state));
      made.then(() => repeated.add(key), () => {});
      throw Object.assign(error, { isPending: true, made });
    }
  }

  /** As question, but wait where a fit or classes have to be made first. */
  async function ask(name, query) {
    try {
      return await question(name, query);
    } catch (error) {
      if (!error.isPending) throw error;
      await error.made;
      return question(name, query);
    }
  }
  const inTurn = (name, query) => {
    const answered = last.then(() => plain(name, query));
    last = answered.catch(() => {});
    return answered;
  };

  /** What else than its name makes an image or a region: calibration, fit and classes. */
  function wishesOf(text) {
    const state = app.state;
    return JSON.stringify([state.energy, namedWishes({ of: text }, state), app.versions.file]);
  }
  /** The same image has other pixels after another calibration or fit, or in another file. */
  function keyOf(spec, step = 1) {
    return `${spec} ${wishesOf(spec)} ${step}`;
  }
  function isFresh(kept) {
    const { overview } = app.info;
    return kept.header.rows_done === undefined || kept.header.rows_done === null ||
      kept.header.rows_done >= overview.rows || kept.rows >= overview.rows_done;
  }

  /** With a step, sums of step x step pixels are asked: enough while a window is dragged. */
  async function image(spec, step = 1) {
    const key = keyOf(spec, step);
    const kept = images.get(key);
    if (kept && isFresh(kept)) return kept;
    if (!asked.has(key)) {
      const rows = app.info.overview.rows_done;
      const query = step > 1 ? { of: spec, step } : { of: spec };
      asked.set(key, question("image", query, inTurn)
        .then(({ header, arrays }) => {
          const { image: all } = arrays;
          const answer = { spec, header, rows,
            image: header.step > 1 ? meansOf(all, app.info.shape, header.step) : all };
          images.set(key, answer);
          return answer;
        })
        .finally(() => asked.delete(key)));
    }
    return asked.get(key);
  }

  return {
    ask,
    question,
    plain,
    own,
    wishesOf,
    image,
    /** The image if it is here, even if more of it could be read by now. */
    kept: (spec) => images.get(keyOf(spec)) ?? null,
    isHere(spec, step = 1) {
      const kept = images.get(keyOf(spec, step));
      return Boolean(kept && isFresh(kept));
    },
    pixelsOf: (spec) => images.get(keyOf(spec))?.image ?? null,
    forget: () => images.clear(),
  };
}
