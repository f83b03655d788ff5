/** What was asked about the map, kept for as long as there is room. */
import { recent } from "./latest.js";
import { enlarged } from "./paint.js";

export function createData(app) {
  const images = recent(40);
  const asked = new Map();
  let last = Promise.resolve(); // images are asked one after the other, as the server wants it

  const place = (name) => `api/map/${encodeURIComponent(app.store.get().map)}/${name}`;

  /** A calibration of one's own goes with each question; of candidates `energy` is the peak's. */
  function own(name, query) {
    const { energy } = app.store.get();
    if (!energy) return query;
    return { ...query, [name === "candidates" ? "calibration" : "energy"]: energy.join(",") };
  }
  /** The same image has other pixels after another calibration or fit, or in another file. */
  function keyOf(spec, step = 1) {
    const { energy } = app.store.get();
    const version = /^(fit|class)/.test(spec) ? app.versions[spec.split(":")[0]] ?? 0 : 0;
    return `${spec} ${energy ?? ""} ${version} ${step} ${app.versions.file}`;
  }
  function isFresh(kept) {
    const { overview } = app.info;
    return kept.header.rows_done === undefined || kept.header.rows_done === null ||
      kept.header.rows_done >= overview.rows || kept.rows >= overview.rows_done;
  }

  async function ask(name, query) {
    return app.api.get(place(name), own(name, query));
  }

  /** With a step, sums of so many by so many pixels are asked: enough while a window is dragged. */
  async function image(spec, step = 1) {
    const key = keyOf(spec, step);
    const kept = images.get(key);
    if (kept && isFresh(kept)) return kept;
    if (!asked.has(key)) {
      const rows = app.info.overview.rows_done;
      const query = step > 1 ? { of: spec, step } : { of: spec };
      const answered = last.then(() => ask("image", query));
      last = answered.catch(() => {});
      asked.set(key, answered
        .then(({ header, arrays }) => {
          const isCoarse = header.step > 1;
          const pixels = isCoarse ? enlarged(arrays.image, app.info.shape, header.step) : arrays.image;
          const answer = { spec, header, image: pixels, rows };
          images.set(key, answer);
          return answer;
        })
        .finally(() => asked.delete(key)));
    }
    return asked.get(key);
  }

  return {
    ask,
    image,
    /** The image if it is here, even if more of it could be read by now. */
    kept: (spec) => images.get(keyOf(spec)) ?? null,
    isHere(spec, step = 1) {
      const kept = images.get(keyOf(spec, step));
      return Boolean(kept && isFresh(kept));
    },
    pixelsOf: (spec) => images.get(keyOf(spec))?.image ?? null,
    spectrum: (region, exact) => ask("spectrum", exact ? { region, exact: 1 } : { region }),
    /** Ask until the task is done; `progress(answer)` each time. */
    async task(name, query, progress) {
      for (let delay = 200; ; delay = Math.min(1000, delay * 1.4)) {
        const { json } = await ask(`task/${name}`, query);
        progress(json);
        if (json.state === "done") return json.result;
        if (json.state === "failed") throw new Error(json.error ?? "It failed.");
        await new Promise((done) => setTimeout(done, delay));
      }
    },
    forget: () => images.clear(),
  };
}
