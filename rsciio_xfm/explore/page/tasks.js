/** What takes long: told in the line at the bottom, with Stop. */
import { wishOf } from "./wish.js";

const KINDS = {
  fit: "Fitting every pixel",
  elements: "Looking for elements",
  classify: "Comparing the spectra of the pixels",
};

/** app.runTask(kind, wish, use), app.tasks that run; tells "task" of each change. */
export function createTasks(app) {
  const running = app.tasks = new Map(); // of a kind: {key, text, progress, stop, done}

  /** Run it, or join it where it runs; the promise of its result. `use` has it before all others. */
  app.runTask = (kind, wish = wishOf(kind, app.state), use = () => {}) => {
    const query = app.data.own(`task/${kind}`, wish);
    const key = JSON.stringify([query, app.versions.file]);
    const before = running.get(kind);
    if (before?.key === key) return before.done;
    before?.stop();
    const task = { key, text: KINDS[kind], progress: null };
    task.stop = () => {
      task.isStopped = true;
      task.wake?.();
    };
    running.set(kind, task);
    task.done = follow(task, kind, query).then((result) => {
      use(result);
      app.notes[kind] = result.notes ?? [];
      if (kind === "fit") app.setFitted(result.maps);
      if (kind === "classify") app.setClasses(result);
      return result;
    }).finally(() => {
      if (running.get(kind) === task) running.delete(kind);
      const isLost = !running.size && app.root?.ownerDocument.activeElement?.dataset.key === "stop";
      app.emit("task");
      if (isLost) app.root.querySelector(`[data-key="run ${kind}"]`)?.focus(); // what began it
    });
    task.done.catch(app.tell);
    app.emit("task");
    return task.done;
  };

  /** Ask until it is done; a stop is asked in place of the next look. */
  async function follow(task, kind, query) {
    for (let delay = 200; ; delay = Math.min(1000, delay * 1.4)) {
      const { json } = await app.data.plain(`task/${kind}`, task.isStopped ? { ...query, stop: 1 } : query);
      if (task.isStopped || json.state === "stopped") {
        throw Object.assign(new Error(`${KINDS[kind]}: stopped.`), { isStop: true });
      }
      if (json.state === "done") return json.result;
      if (json.state === "failed") throw new Error(json.error ?? "It failed.");
      const doing = json.doing || (json.state === "waiting" ? "waiting for its turn" : "");
      task.text = doing ? doing[0].toUpperCase() + doing.slice(1) : KINDS[kind];
      task.progress = json.progress ?? null;
      app.emit("task");
      await new Promise((done) => {
        task.wake = done;
        setTimeout(done, delay);
      });
    }
  }
}
