// Every size, count and depth that an outsider controls (docs/format.md, section 14). Bytes unless
// the name says otherwise.

export const LIMITS = Object.freeze({
  cborDepth: 8, // levels of nesting of anything that is decoded
  payloadDepth: 3, // levels of arrays inside a record's payload
  signed: 16_384, // one signed object, unless a smaller limit below applies
  record: 4_096,
  open: 256,
  seq: 2 ** 40 - 1,
  time: 2 ** 40 - 1, // Unix seconds
  channels: 16,
  readings: 1_024, // in one record, for each channel
  name: 32, // channel names, units, versions
  exponent: 30, // of ten, either sign
  eventArgs: 16,
  forks: 16, // that are kept for each key
  ranges: 4_096, // missing or given-up ranges of one chain
  treeSize: 2n ** 63n - 1n, // leaves
  pathHashes: 63, // of an inclusion path
  consistencyHashes: 126,
  note: 16_384,
  noteSignatures: 32,
  block: 32_768,
  parents: 4,
  ledgerName: 64,
  statement: 4_096,
  reason: 512,
  acceptWithinS: 30 * 86_400,
  credential: 2_048,
  statusLists: 65_535,
  statusEntries: 2 ** 20,
  did: 128,
  proof: 256 * 2 ** 20,
  parts: 1_000_000,
  policy: 2 ** 20,
  report: 512 * 2 ** 20, // a report with its proof in base64
  transaction: 8_192, // part 7: a transaction and a consistency path
  transactionRaw: 512,
  depth: 1_000_000, // blocks that a policy may ask for on top
  missingRanges: 16, // of an acknowledgement
  json: 2 ** 18, // a status list
  jsonDepth: 16,
  receipt: 2 * 32_768 + 8_192,
});
