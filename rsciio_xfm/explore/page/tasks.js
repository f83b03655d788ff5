/** What takes long: fits, finding elements, classes. Told in the line at the bottom, with Stop. */
import { wishOf } from "./wish.js";

const KINDS = {
  fit: "Fitting every pixel",
  elements: "Looking for elements",
  classify: "Comparing the spectra of the pixels",
};
const PATIENCE = [200, 1000]; // milliseconds between two looks, at first and at most

/** app.runTask(kind, wish, use), app.taskOf(kind); tells "task" of each change. */
export function createTasks(app) {
  const running = new Map(); // of a kind: {kind, key, text, progress, stop, done}

  app.taskOf = (kind) => running.get(kind) ?? null;
  app.tasks = () => [...running.values()];

  /** Run it, or join it where it runs; the promise of its result. `use` has it before all others. */
  app.runTask = (kind, wish = wishOf(kind, app.state), use = () => {}) => {
    const query = app.data.own(`task/${kind}`, wish);
    const key = JSON.stringify([query, app.versions.file]);
    const before = running.get(kind);
    if (before?.key === key) return before.done;
    before?.stop();
    const task = { kind, key, text: KINDS[kind], progress: null };
    task.stop = () => {
      task.isStopped = true;
      task.wake?.();
    };
    running.set(kind, task);
    task.done = follow(task, query).then((result) => {
      use(result);
      if (kind === "fit") app.setFitted(result.maps, result.notes);
      if (kind === "classify") app.setClasses(result);
      return result;
    }).finally(() => {
      if (running.get(kind) === task) running.delete(kind);
      app.emit("task");
    });
    task.done.catch(app.tell);
    app.emit("task");
    return task.done;
  };

  /** Ask until it is done; a stop is asked in place of the next look. */
  async function follow(task, query) {
    let [delay, longest] = PATIENCE;
    for (;;) {
      const { json } = await app.data.plain(`task/${task.kind}`, task.isStopped ? { ...query, stop: 1 } : query);
      if (task.isStopped || json.state === "stopped") {
        throw Object.assign(new Error(`${KINDS[task.kind]}: stopped.`), { isStop: true });
      }
      if (json.state === "done") return json.result;
      if (json.state === "failed") throw new Error(json.error ?? "It failed.");
      task.text = json.state === "waiting" ? `${KINDS[task.kind]}: waits for its turn` : doing(task, json);
      task.progress = json.progress ?? null;
      app.emit("task");
      await new Promise((done) => {
        task.wake = done;
        setTimeout(done, delay);
      });
      delay = Math.min(longest, delay * 1.4);
    }
  }
  const doing = ({ kind }, { doing: text }) => (text ? text[0].toUpperCase() + text.slice(1) : KINDS[kind]);
}
