// Answers what ECMAScript makes of JSON texts. In: one text a line, in hex. Out: one verdict a line.
//   invalid           JSON.parse refuses it
//   scalar            neither object nor array
//   lossy             a number would change its value, or a member would vanish
//   same <hex>        JSON.stringify(JSON.parse(text)), which says the same in other words
// Whether something is lost is decided here on its own, on the text and with exact integers.
import { createInterface } from "node:readline";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/** Sign, digits without zeros at the ends, and exponent: equal for equal values, minus zero apart from zero. */
function exact(number) {
  const [, sign, whole, fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number);
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return `${sign}0`;
  const significant = digits.replace(/0+$/, "");
  const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}

function countMembers(value) {
  if (value === null || typeof value !== "object") return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce((sum, inner) => sum + countMembers(inner), own);
}

function isLossy(text, value) {
  let named = 0;
  for (const [token, string, colon] of text.matchAll(TOKEN)) {
    if (string !== undefined) {
      named += colon === undefined ? 0 : 1;
    } else if (!Number.isFinite(Number(token)) || exact(token) !== exact(String(Number(token)))) {
      return true;
    }
  }
  return named !== countMembers(value);
}

function verdict(bytes) {
  let text, value;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return "invalid";
  }
  if (value === null || typeof value !== "object") return "scalar";
  if (isLossy(text, value)) return "lossy";
  return `same ${Buffer.from(JSON.stringify(value), "utf8").toString("hex")}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${verdict(Buffer.from(line, "hex"))}\n`);
}
