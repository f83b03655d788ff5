/** Answers with arrays: length of the header (4 bytes), header (JSON), arrays, each padded to 8 bytes. */

const TYPES = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** The bytes as an ArrayBuffer that begins with them: views of a notebook may be shifted. */
function whole(bytes) {
  if (bytes instanceof ArrayBuffer) return bytes;
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/** Decode an answer to {header, arrays: {name: typed array}}. */
export function decode(bytes) {
  const buffer = whole(bytes);
  const size = new DataView(buffer).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4, size));
  const header = JSON.parse(text);
  const arrays = {};
  let at = 4 + size;
  for (const { name, dtype, shape } of header.arrays) {
    const type = TYPES[dtype];
    if (!type) throw new Error(`The answer has numbers of an unknown kind: ${dtype}.`);
    const length = shape.reduce((a, b) => a * b, 1);
    arrays[name] = new type(buffer, at, length);
    at += Math.ceil((length * type.BYTES_PER_ELEMENT) / 8) * 8;
  }
  return { header, arrays };
}
