/** What a fit and classes are asked with; each question that names one of them says it too. */

/** Keys of task/fit, task/elements or task/classify. */
export function wishOf(kind, { fit, classes, excitation }) {
  if (kind === "classify") return classes ? { n: classes.n, method: classes.method } : {};
  const own = excitation ? { excitation } : {};
  return kind === "fit" ? { elements: fit?.length ? fit.join(",") : "auto", ...own } : own;
}

/** Keys of the fit and the classes that the images and regions of a question need. */
export function namedWishes(query, state) {
  const texts = ["of", "x", "y", "region"].flatMap((key) => query[key] ?? []);
  const isNamed = (pattern) => texts.some((text) => pattern.test(text));
  return {
    ...(isNamed(/\bfit:/) ? wishOf("fit", state) : {}),
    ...(isNamed(/(^|[|-])c:|\bclass\b/) ? wishOf("classify", state) : {}),
  };
}
