// The proof inside a report: base64 in the one element that `tally report` writes for it. The rest of the
// report is never read: it is a drawing of the proof, not evidence.

import { decodeText, fromBase64 } from "./bytes.js";
import { TallyError } from "./errors.js";

const ELEMENT = /<script type="application\/vnd\.tallystick\.proof" id="proof">\s*([A-Za-z0-9+/=\s]*)<\/script>/g;

export function isHtml(bytes) {
  const start = decodeText(bytes.slice(0, 64).filter((byte) => byte < 0x80));
  return /^\s*<(!doctype|html|!--)/i.test(start ?? "");
}

// The proof file in a report's bytes.
export function proofInReport(bytes) {
  const text = decodeText(bytes);
  const found = text === null ? [] : [...text.matchAll(ELEMENT)];
  // stops a report that shows one proof and has another checked
  if (found.length !== 1) {
    throw new TallyError("report.proof", "an HTML file with no proof, or more than one, inside");
  }
  return fromBase64(found[0][1].replace(/\s+/g, ""), "report.proof");
}
