/** An answer of the server or the kernel: {status, media_type, bytes} and what is in them. */
import { decode } from "./binary.js";

export function readAnswer(status, type, bytes) {
  const answer = { status, media_type: type, bytes };
  if (type.includes("json")) answer.json = JSON.parse(new TextDecoder().decode(bytes));
  else if (type.includes("octet-stream") && status < 400) Object.assign(answer, decode(bytes));
  else if (type.startsWith("text/")) answer.text = new TextDecoder().decode(bytes);
  return answer;
}
