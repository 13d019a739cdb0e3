// Errors of the page: a stable code (docs/format.md, section 15) and words for people. Whatever
// bytes it is given, the verifier throws nothing else.
//
//   TallyError          it could not be checked: malformed, too large, a key that must not be trusted
//   └── EvidenceError   a check ran and failed: somebody changed something

export class TallyError extends Error {
  constructor(code, detail) {
    super(`${code}: ${detail}`);
    this.code = code;
    this.detail = detail;
  }
}

export class EvidenceError extends TallyError {}
