/* SHA-512 (FIPS 180-4, 6.4), streaming, for messages below 2^61 bytes.
 *
 *     sha512_state hash;
 *     sha512_begin(&hash);
 *     sha512_add(&hash, bytes, size);   // as often as needed
 *     sha512_end(&hash, digest);        // 64 bytes; wipes the state
 */
#ifndef TALLYSTICK_SHA512_H
#define TALLYSTICK_SHA512_H

typedef struct {
    u64 words[8];
    u64 size; /* bytes hashed so far */
    u8 block[128];
} sha512_state;

/* Fractional parts of the cube roots of the first 80 primes (FIPS 180-4, 4.2.3). */
static const u64 sha512_rounds[80] = {
    0x428a2f98d728ae22ull, 0x7137449123ef65cdull, 0xb5c0fbcfec4d3b2full, 0xe9b5dba58189dbbcull,
    0x3956c25bf348b538ull, 0x59f111f1b605d019ull, 0x923f82a4af194f9bull, 0xab1c5ed5da6d8118ull,
    0xd807aa98a3030242ull, 0x12835b0145706fbeull, 0x243185be4ee4b28cull, 0x550c7dc3d5ffb4e2ull,
    0x72be5d74f27b896full, 0x80deb1fe3b1696b1ull, 0x9bdc06a725c71235ull, 0xc19bf174cf692694ull,
    0xe49b69c19ef14ad2ull, 0xefbe4786384f25e3ull, 0x0fc19dc68b8cd5b5ull, 0x240ca1cc77ac9c65ull,
    0x2de92c6f592b0275ull, 0x4a7484aa6ea6e483ull, 0x5cb0a9dcbd41fbd4ull, 0x76f988da831153b5ull,
    0x983e5152ee66dfabull, 0xa831c66d2db43210ull, 0xb00327c898fb213full, 0xbf597fc7beef0ee4ull,
    0xc6e00bf33da88fc2ull, 0xd5a79147930aa725ull, 0x06ca6351e003826full, 0x142929670a0e6e70ull,
    0x27b70a8546d22ffcull, 0x2e1b21385c26c926ull, 0x4d2c6dfc5ac42aedull, 0x53380d139d95b3dfull,
    0x650a73548baf63deull, 0x766a0abb3c77b2a8ull, 0x81c2c92e47edaee6ull, 0x92722c851482353bull,
    0xa2bfe8a14cf10364ull, 0xa81a664bbc423001ull, 0xc24b8b70d0f89791ull, 0xc76c51a30654be30ull,
    0xd192e819d6ef5218ull, 0xd69906245565a910ull, 0xf40e35855771202aull, 0x106aa07032bbd1b8ull,
    0x19a4c116b8d2d0c8ull, 0x1e376c085141ab53ull, 0x2748774cdf8eeb99ull, 0x34b0bcb5e19b48a8ull,
    0x391c0cb3c5c95a63ull, 0x4ed8aa4ae3418acbull, 0x5b9cca4f7763e373ull, 0x682e6ff3d6b2b8a3ull,
    0x748f82ee5defb2fcull, 0x78a5636f43172f60ull, 0x84c87814a1f0ab72ull, 0x8cc702081a6439ecull,
    0x90befffa23631e28ull, 0xa4506cebde82bde9ull, 0xbef9a3f7b2c67915ull, 0xc67178f2e372532bull,
    0xca273eceea26619cull, 0xd186b8c721c0c207ull, 0xeada7dd6cde0eb1eull, 0xf57d4f7fee6ed178ull,
    0x06f067aa72176fbaull, 0x0a637dc5a2c898a6ull, 0x113f9804bef90daeull, 0x1b710b35131c471bull,
    0x28db77f523047d84ull, 0x32caab7b40c72493ull, 0x3c9ebe0a15c9bebcull, 0x431d67c49c100d4cull,
    0x4cc5d4becb3e42b6ull, 0x597f299cfc657e2aull, 0x5fcb6fab3ad6faecull, 0x6c44198c4a475817ull,
};

/* Fractional parts of the square roots of the first 8 primes (5.3.5). */
static const u64 sha512_start[8] = {
    0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
    0x510e527fade682d1ull, 0x9b05688c2b3e6c1full, 0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull,
};

static u64 sha512_load(const u8 bytes[8]) {
    u64 word = 0;
    for (int i = 0; i < 8; i++) {
        word = word << 8 | bytes[i];
    }
    return word;
}

static void sha512_store(u8 bytes[8], u64 word) {
    for (int i = 7; i >= 0; i--) {
        bytes[i] = (u8)word;
        word >>= 8;
    }
}

/* The one place where a block is mixed in; apart, so that it is not copied into its callers. */
__attribute__((noinline)) static void sha512_mix(sha512_state *hash) {
#define ROTATE(x, n) ((x) >> (n) | (x) << (64 - (n)))
    u64 w[16];
    u64 v[8];
    for (int i = 0; i < 16; i++) {
        w[i] = sha512_load(hash->block + 8 * i);
    }
    for (int i = 0; i < 8; i++) {
        v[i] = hash->words[i];
    }
    for (int i = 0; i < 80; i++) {
        if (i >= 16) {
            u64 x = w[(i + 1) & 15];
            u64 y = w[(i + 14) & 15];
            w[i & 15] += (ROTATE(x, 1) ^ ROTATE(x, 8) ^ x >> 7) + w[(i + 9) & 15] +
                         (ROTATE(y, 19) ^ ROTATE(y, 61) ^ y >> 6);
        }
        u64 e = v[4];
        u64 a = v[0];
        u64 t = v[7] + (ROTATE(e, 14) ^ ROTATE(e, 18) ^ ROTATE(e, 41)) +
                ((e & v[5]) ^ (~e & v[6])) + sha512_rounds[i] + w[i & 15];
        u64 u = (ROTATE(a, 28) ^ ROTATE(a, 34) ^ ROTATE(a, 39)) +
                ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        for (int j = 7; j > 0; j--) {
            v[j] = v[j - 1];
        }
        v[4] += t;
        v[0] = t + u;
    }
    for (int i = 0; i < 8; i++) {
        hash->words[i] += v[i];
    }
    WIPE_BUFFER(w);
    WIPE_BUFFER(v);
#undef ROTATE
}

static void sha512_begin(sha512_state *hash) {
    for (int i = 0; i < 8; i++) {
        hash->words[i] = sha512_start[i];
    }
    hash->size = 0;
}

__attribute__((noinline)) static void sha512_add(
    sha512_state *hash, const u8 *bytes, size_t size) {
    while (size--) {
        hash->block[(size_t)hash->size & 127] = *bytes++;
        hash->size++;
        if (((size_t)hash->size & 127) == 0) {
            sha512_mix(hash);
        }
    }
}

__attribute__((noinline)) static void sha512_end(sha512_state *hash, u8 digest[64]) {
    static const u8 one = 0x80;
    static const u8 none = 0;
    u64 bits = hash->size << 3;
    sha512_add(hash, &one, 1);
    while (((size_t)hash->size & 127) != 112) {
        sha512_add(hash, &none, 1);
    }
    for (int i = 0; i < 8; i++) {
        sha512_add(hash, &none, 1);
    }
    sha512_store(hash->block + 120, bits);
    sha512_mix(hash);
    for (int i = 0; i < 8; i++) {
        sha512_store(digest + 8 * i, hash->words[i]);
    }
    crypto_wipe(hash, sizeof *hash);
}

#endif
