// Keccak-256 as the EVM has it (FIPS 202 before its padding was changed). Browsers have no other way to it, and a
// proof behind a bridge needs it twice.

const MASK = 2n ** 64n - 1n;
const RATE = 136; // bytes
const ROTATIONS = [
  [0, 36, 3, 41, 18],
  [1, 44, 10, 45, 2],
  [62, 6, 43, 15, 61],
  [28, 55, 25, 21, 56],
  [27, 20, 39, 8, 14],
];
const ROUNDS = roundConstants();

export function keccak256(data) {
  const padded = new Uint8Array((Math.floor(data.length / RATE) + 1) * RATE);
  padded.set(data);
  padded[data.length] ^= 0x01;
  padded[padded.length - 1] ^= 0x80;
  const state = Array.from({ length: 5 }, () => Array(5).fill(0n)); // state[x][y]
  for (let start = 0; start < padded.length; start += RATE) {
    for (let lane = 0; lane < RATE / 8; lane++) {
      let value = 0n;
      for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(padded[start + lane * 8 + i]);
      state[lane % 5][Math.floor(lane / 5)] ^= value;
    }
    permute(state);
  }
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) {
    const lane = Math.floor(i / 8);
    out[i] = Number((state[lane % 5][Math.floor(lane / 5)] >> BigInt(8 * (i % 8))) & 255n);
  }
  return out;
}

function permute(a) {
  for (const constant of ROUNDS) {
    const c = a.map((column) => column.reduce((x, y) => x ^ y, 0n));
    for (let x = 0; x < 5; x++) {
      const d = c[(x + 4) % 5] ^ rotated(c[(x + 1) % 5], 1);
      for (let y = 0; y < 5; y++) a[x][y] ^= d;
    }
    const b = Array.from({ length: 5 }, () => Array(5));
    for (let x = 0; x < 5; x++) {
      for (let y = 0; y < 5; y++) b[y][(2 * x + 3 * y) % 5] = rotated(a[x][y], ROTATIONS[x][y]);
    }
    for (let x = 0; x < 5; x++) {
      for (let y = 0; y < 5; y++) {
        a[x][y] = b[x][y] ^ (~b[(x + 1) % 5][y] & MASK & b[(x + 2) % 5][y]);
      }
    }
    a[0][0] ^= constant;
  }
}

function rotated(value, by) {
  return ((value << BigInt(by)) | (value >> BigInt(64 - by))) & MASK;
}

// FIPS 202, 3.2.5: a shift register of eight bits gives the bits at 2^j - 1.
function roundConstants() {
  const out = [];
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) {
      if (register & 1) constant |= 1n << BigInt(2 ** j - 1);
      register <<= 1;
      if (register & 0x100) register ^= 0x171;
    }
    out.push(constant);
  }
  return out;
}
