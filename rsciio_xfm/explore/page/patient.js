/** An api that asks again where the server is busy or gone; what it says is thrown as an Error. */

const BUSY = new Set([429, 499, 503]);

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export function patient(api, tell) {
  let gone = false;

  async function get(path, query = {}) {
    for (let tries = 0; ; tries++) {
      let answer;
      try {
        answer = await api.get(path, query);
      } catch (error) {
        if (error.name === "AbortError") throw error;
        gone = true;
        tell({ gone: true });
        await wait(Math.min(5000, 500 * 2 ** tries));
        continue;
      }
      if (gone) tell({ gone: (gone = false) });
      if (BUSY.has(answer.status) && tries < 100) {
        await wait(Math.min(2000, 150 * 1.3 ** tries));
        continue;
      }
      if (answer.status >= 400) throw failure(answer, tell);
      return answer;
    }
  }
  return { get };
}

function failure({ status, json }, tell) {
  if (status === 409) tell({ changed: true });
  if (status === 403) tell({ locked: true });
  const error = new Error(json?.error ?? `The server answers with ${status}.`);
  return Object.assign(error, { status, hint: json?.hint ?? "", again: json?.again ?? null });
}
