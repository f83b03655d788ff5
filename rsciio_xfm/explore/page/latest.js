/**
 * One question under way, the newest kept: `ask` asks what `next()` wants now, if anything. What
 * was wanted in between is never asked. Returns what is called whenever something has changed.
 */
export function latest(next, ask) {
  let running = false;
  return async function changed() {
    if (running) return;
    running = true;
    try {
      for (let question = next(); question !== null; question = next()) await ask(question);
    } finally {
      running = false;
    }
  };
}

/**
 * As latest; what has failed is told, and not asked again until retry(). `wanted(isFine)` returns
 * a question that is fine, or nothing; `keyOf` tells questions apart.
 */
export function trying(app, wanted, ask, keyOf = (question) => question) {
  const failed = new Set();
  const poke = latest(
    () => wanted((question) => !failed.has(keyOf(question))) || null,
    async (question) => {
      try {
        await ask(question);
      } catch (error) {
        failed.add(keyOf(question));
        app.tell(error);
      }
    },
  );
  const retry = () => {
    failed.clear();
    return poke();
  };
  return { poke, retry };
}

/** A map that forgets what was used longest ago. */
export function recent(limit) {
  const kept = new Map();
  return {
    get(key) {
      const value = kept.get(key);
      if (value !== undefined) {
        kept.delete(key);
        kept.set(key, value);
      }
      return value;
    },
    set(key, value) {
      kept.delete(key);
      kept.set(key, value);
      while (kept.size > limit) kept.delete(kept.keys().next().value);
    },
    clear: () => kept.clear(),
  };
}
