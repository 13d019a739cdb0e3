/* Ed25519 (RFC 8032, 5.1) as a native module of MicroPython: `_ed25519`.
 *
 * Curve and scalar arithmetic are Monocypher's, fetched when the module is built (tools/native);
 * SHA-512 and the scheme around it are here. Monocypher's own EdDSA hashes with BLAKE2b and checks
 * with the cofactor; neither is Ed25519 as the gateway and every verifier understand it.
 *
 * Rules
 * 1. The key is an expanded one, 128 bytes: seed, clamped scalar, prefix, public key. `expand`
 *    fills it from its seed, so a public key is derived in here and never taken from a caller.
 * 2. No branch and no index in here depends on a secret. (On Xtensa, which has no carry flag, LLVM
 *    makes a branch of each carry: an instruction more or less, 0.01 % of a signature in all.)
 * 3. `verify` is strict: S < L, the key canonical and not of low order, and the equation without
 *    the cofactor, compared as bytes. It accepts what the pure signer accepts, and nothing else.
 * 4. What was secret on the stack is wiped. There is no static memory.
 *
 *     _ed25519.expand(key)              # key: bytearray(128) that begins with the seed
 *     _ed25519.sign(key, message)       # 64 bytes
 *     _ed25519.verify(public, message, signature)
 */
#include "py/dynruntime.h"

#undef MIN
#undef MAX
#include "monocypher_static.c"

#define KEY_SIZE 128
#define SCALAR 32
#define PREFIX 64
#define PUBLIC 96

/* MicroPython's linker has no library to take these from. The volatile pointer keeps the compiler
 * from turning the loop back into a call of the function that it stands in. */
#if !defined(__x86_64__)
void *memset(void *to, int value, size_t size) {
    volatile unsigned char *at = to;
    while (size--) {
        *at++ = (unsigned char)value;
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t size) {
    volatile unsigned char *at = to;
    const unsigned char *source = from;
    while (size--) {
        *at++ = *source++;
    }
    return to;
}
#endif

#if defined(__arm__)
/* The names by which ARM's compilers ask for the same (run-time ABI for the Arm architecture). */
void __aeabi_memclr(void *to, size_t size) { memset(to, 0, size); }
void __aeabi_memclr4(void *to, size_t size) { memset(to, 0, size); }
void __aeabi_memclr8(void *to, size_t size) { memset(to, 0, size); }
void __aeabi_memset(void *to, size_t size, int value) { memset(to, value, size); }
void __aeabi_memcpy(void *to, const void *from, size_t size) { memcpy(to, from, size); }
void __aeabi_memcpy4(void *to, const void *from, size_t size) { memcpy(to, from, size); }
void __aeabi_memcpy8(void *to, const void *from, size_t size) { memcpy(to, from, size); }
#endif

#include "sha512.h"

/* y of the points of order 8 (the other is p - y), and p; little-endian. */
static const u8 low_order[5][32] = {
    {0},
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
};

/* Fill scalar, prefix and public key from the seed (RFC 8032, 5.1.5). */
__attribute__((noinline)) static void expand_key(u8 key[KEY_SIZE]) {
    u8 reduced[32];
    sha512_state hash;
    sha512_begin(&hash);
    sha512_add(&hash, key, 32);
    sha512_end(&hash, key + SCALAR);
    crypto_eddsa_trim_scalar(key + SCALAR, key + SCALAR);
    for (int i = 0; i < 32; i++) {
        reduced[i] = key[SCALAR + i];
    }
    crypto_eddsa_scalarbase(key + PUBLIC, reduced);
    WIPE_BUFFER(reduced);
}

/* R and S for a message (RFC 8032, 5.1.6). */
__attribute__((noinline)) static void sign_message(
    u8 signature[64], const u8 key[KEY_SIZE], const u8 *message, size_t size) {
    u8 digest[64];
    u8 r[32];
    u8 k[32];
    sha512_state hash;
    sha512_begin(&hash);
    sha512_add(&hash, key + PREFIX, 32);
    sha512_add(&hash, message, size);
    sha512_end(&hash, digest);
    crypto_eddsa_reduce(r, digest);
    crypto_eddsa_scalarbase(signature, r);
    sha512_begin(&hash);
    sha512_add(&hash, signature, 32);
    sha512_add(&hash, key + PUBLIC, 32);
    sha512_add(&hash, message, size);
    sha512_end(&hash, digest);
    crypto_eddsa_reduce(k, digest);
    crypto_eddsa_mul_add(signature + 32, k, key + SCALAR, r);
    WIPE_BUFFER(digest);
    WIPE_BUFFER(r);
}

/* Whether a public key's y is below p and not that of a point of low order. No secret: branches. */
__attribute__((noinline)) static int acceptable_key(const u8 key[32]) {
    for (int i = 0; i < 5; i++) {
        int differs = (key[31] & 0x7f) ^ low_order[i][31];
        for (int j = 0; j < 31; j++) {
            differs |= key[j] ^ low_order[i][j];
        }
        if (differs == 0) {
            return 0;
        }
    }
    /* p = 2^255 - 19: y >= p only where all bytes above the first are full */
    if ((key[31] & 0x7f) != 0x7f || key[0] < 0xed) {
        return 1;
    }
    for (int i = 1; i < 31; i++) {
        if (key[i] != 0xff) {
            return 1;
        }
    }
    return 0;
}

/* [k](-A) for a public key's point and a public k, by signed sliding windows. */
__attribute__((noinline)) static void minus_multiple(ge *sum, const ge *minus_a, const u8 k[32]) {
    ge_cached odd[P_W_SIZE]; /* 1, 3, 5 ... times -A */
    ge doubled;
    ge spare;
    ge_double(&doubled, minus_a, &spare);
    ge_cache(&odd[0], minus_a);
    for (int i = 1; i < P_W_SIZE; i++) {
        ge_add(&spare, &doubled, &odd[i - 1]);
        ge_cache(&odd[i], &spare);
    }
    slide_ctx slide;
    slide_init(&slide, k);
    ge_zero(sum);
    for (int i = slide.next_check; i >= 0; i--) {
        ge_double(sum, sum, &spare);
        int digit = slide_step(&slide, P_W_WIDTH, i, k);
        if (digit > 0) {
            ge_add(sum, sum, &odd[digit / 2]);
        } else if (digit < 0) {
            ge_sub(sum, sum, &odd[-digit / 2]);
        }
    }
}

/* Whether R is S*B - k*A, as bytes: so R is canonical, too (RFC 8032, 5.1.7). */
__attribute__((noinline)) static int check_message(
    const u8 key[32], const u8 *message, size_t size, const u8 signature[64]) {
    u32 s[8];
    u8 digest[64];
    u8 k[32];
    ge minus_a;
    ge multiple;
    ge_cached cached;
    sha512_state hash;
    load32_le_buf(s, signature + 32, 8);
    if (is_above_l(s) || !acceptable_key(key) || ge_frombytes_neg_vartime(&minus_a, key)) {
        return 0;
    }
    sha512_begin(&hash);
    sha512_add(&hash, signature, 32);
    sha512_add(&hash, key, 32);
    sha512_add(&hash, message, size);
    sha512_end(&hash, digest);
    crypto_eddsa_reduce(k, digest);
    minus_multiple(&multiple, &minus_a, k);
    ge_cache(&cached, &multiple);
    ge_scalarmult_base(&multiple, signature + 32);
    ge_add(&multiple, &multiple, &cached);
    ge_tobytes(k, &multiple);
    return crypto_verify32(k, signature) == 0;
}

#if defined(MICROPY_ENABLE_DYNRUNTIME)

static void buffer_of(mp_obj_t object, mp_buffer_info_t *buffer, int flags, size_t size) {
    mp_get_buffer_raise(object, buffer, flags);
    if (size != 0 && buffer->len != size) {
        mp_raise_ValueError(MP_ERROR_TEXT("wrong length"));
    }
}

static mp_obj_t expand(mp_obj_t key_in) {
    mp_buffer_info_t key;
    buffer_of(key_in, &key, MP_BUFFER_RW, KEY_SIZE);
    expand_key(key.buf);
    return mp_const_none;
}

static mp_obj_t sign(mp_obj_t key_in, mp_obj_t message_in) {
    mp_buffer_info_t key;
    mp_buffer_info_t message;
    u8 signature[64];
    buffer_of(key_in, &key, MP_BUFFER_READ, KEY_SIZE);
    buffer_of(message_in, &message, MP_BUFFER_READ, 0);
    sign_message(signature, key.buf, message.buf, message.len);
    return mp_obj_new_bytes(signature, sizeof signature);
}

static mp_obj_t verify(mp_obj_t public_in, mp_obj_t message_in, mp_obj_t signature_in) {
    mp_buffer_info_t key;
    mp_buffer_info_t message;
    mp_buffer_info_t signature;
    buffer_of(public_in, &key, MP_BUFFER_READ, 32);
    buffer_of(message_in, &message, MP_BUFFER_READ, 0);
    buffer_of(signature_in, &signature, MP_BUFFER_READ, 64);
    return mp_obj_new_bool(check_message(key.buf, message.buf, message.len, signature.buf));
}

#if defined(TALLYSTICK_REPEAT)
/* Sign the same message n times: what a signature costs without MicroPython around it. */
static mp_obj_t repeat(mp_obj_t key_in, mp_obj_t message_in, mp_obj_t n_in) {
    mp_buffer_info_t key;
    mp_buffer_info_t message;
    u8 signature[64];
    buffer_of(key_in, &key, MP_BUFFER_READ, KEY_SIZE);
    buffer_of(message_in, &message, MP_BUFFER_READ, 0);
    for (mp_int_t n = mp_obj_get_int(n_in); n > 0; n--) {
        sign_message(signature, key.buf, message.buf, message.len);
    }
    return mp_obj_new_bytes(signature, sizeof signature);
}
#endif

/* Xtensa's linker step takes relocations only from this section, and wants `mpy_init` not first. */
#define CONSTANT __attribute__((section(".data.rel.ro")))
CONSTANT static MP_DEFINE_CONST_FUN_OBJ_1(expand_object, expand);
CONSTANT static MP_DEFINE_CONST_FUN_OBJ_2(sign_object, sign);
CONSTANT static MP_DEFINE_CONST_FUN_OBJ_3(verify_object, verify);
#if defined(TALLYSTICK_REPEAT)
CONSTANT static MP_DEFINE_CONST_FUN_OBJ_3(repeat_object, repeat);
#endif

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_expand, MP_OBJ_FROM_PTR(&expand_object));
    mp_store_global(MP_QSTR_sign, MP_OBJ_FROM_PTR(&sign_object));
    mp_store_global(MP_QSTR_verify, MP_OBJ_FROM_PTR(&verify_object));
#if defined(TALLYSTICK_REPEAT)
    mp_store_global(MP_QSTR_repeat, MP_OBJ_FROM_PTR(&repeat_object));
#endif
    MP_DYNRUNTIME_INIT_EXIT
}

#endif
