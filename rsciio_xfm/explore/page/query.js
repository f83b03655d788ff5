/** Addresses of questions. What is allowed in a query stays as it is: regions are long enough. */
const quoted = (text) => encodeURIComponent(text).replace(/%(2C|3A|3B|40)/g, decodeURIComponent);

/** path?key=value&..., lists as repeated keys. */
export function addressOf(path, query = {}) {
  const pairs = Object.entries(query).flatMap(([key, value]) =>
    [value].flat().map((one) => `${key}=${quoted(one)}`));
  return path + (pairs.length ? `?${pairs.join("&")}` : "");
}
