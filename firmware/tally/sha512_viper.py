# ruff: noqa: F821 - ptr8, ptr32 and uint are viper's own names
"""SHA-512's compression function in native code, for words of 32 and of 64 bits alike.

A module of its own because only a compiler that knows the board's architecture can compile it
(`mpy-cross -march=...`, or the board itself from this source); without it `sha512` still works.

Each 64-bit word is a pair of halves (..h, ..l) below 2^32. Viper's integers are machine words that
add without carry, so low halves are added in 16-bit pieces, and every value that could pass 32 bits
on a 64-bit machine is masked. `uint` makes >> fill with zeros on both.
"""

import micropython


@micropython.viper
def compress(state: ptr8, block: ptr8, offset: int, rounds: ptr8, w: ptr32):
    """Mix 128 bytes of `block` at `offset` into `state` (64 bytes); `rounds`: 80 constants.

    Bytes are read one by one: frozen and sliced ones have no alignment. `w` has space for 24 words
    and is aligned, being a bytearray: 16 of the schedule, then 8 of the state, high half first.
    """
    q = uint(0xFFFF)
    m = (q << 16) | q
    i = 0
    n = offset
    while i < 32:
        w[i] = (block[n] << 24) | (block[n + 1] << 16) | (block[n + 2] << 8) | block[n + 3]
        n += 4
        i += 1
    n = 0
    while i < 48:
        w[i] = (state[n] << 24) | (state[n + 1] << 16) | (state[n + 2] << 8) | state[n + 3]
        n += 4
        i += 1
    ah = uint(w[32])
    al = uint(w[33])
    bh = uint(w[34])
    bl = uint(w[35])
    ch = uint(w[36])
    cl = uint(w[37])
    dh = uint(w[38])
    dl = uint(w[39])
    eh = uint(w[40])
    el = uint(w[41])
    fh = uint(w[42])
    fl = uint(w[43])
    gh = uint(w[44])
    gl = uint(w[45])
    hh = uint(w[46])
    hl = uint(w[47])
    t = 0
    while t < 80:
        i = (t & 15) << 1
        wh = uint(w[i])
        wl = uint(w[i + 1])
        if t > 15:
            # w[t-16] + sigma0(w[t-15]) + w[t-7] + sigma1(w[t-2])
            j = ((t + 1) & 15) << 1
            xh = uint(w[j])
            xl = uint(w[j + 1])
            sl = ((xl >> 1 | xh << 31) ^ (xl >> 8 | xh << 24) ^ (xl >> 7 | xh << 25)) & m
            sh = ((xh >> 1 | xl << 31) ^ (xh >> 8 | xl << 24) ^ (xh >> 7)) & m
            j = ((t + 14) & 15) << 1
            xh = uint(w[j])
            xl = uint(w[j + 1])
            ul = ((xl >> 19 | xh << 13) ^ (xh >> 29 | xl << 3) ^ (xl >> 6 | xh << 26)) & m
            uh = ((xh >> 19 | xl << 13) ^ (xl >> 29 | xh << 3) ^ (xh >> 6)) & m
            j = ((t + 9) & 15) << 1
            xh = uint(w[j])
            xl = uint(w[j + 1])
            p0 = (wl & q) + (sl & q) + (xl & q) + (ul & q)
            p1 = (wl >> 16) + (sl >> 16) + (xl >> 16) + (ul >> 16) + (p0 >> 16)
            wl = ((p1 & q) << 16) | (p0 & q)
            wh = (wh + sh + xh + uh + (p1 >> 16)) & m
            w[i] = int(wh)
            w[i + 1] = int(wl)
        # t1 = h + Sigma1(e) + Ch(e, f, g) + k + w
        sl = ((el >> 14 | eh << 18) ^ (el >> 18 | eh << 14) ^ (eh >> 9 | el << 23)) & m
        sh = ((eh >> 14 | el << 18) ^ (eh >> 18 | el << 14) ^ (el >> 9 | eh << 23)) & m
        ul = (el & (fl ^ gl)) ^ gl
        uh = (eh & (fh ^ gh)) ^ gh
        n = t << 3
        xh = uint((rounds[n] << 24) | (rounds[n + 1] << 16) | (rounds[n + 2] << 8) | rounds[n + 3])
        n += 4
        xl = uint((rounds[n] << 24) | (rounds[n + 1] << 16) | (rounds[n + 2] << 8) | rounds[n + 3])
        p0 = (hl & q) + (sl & q) + (ul & q) + (xl & q) + (wl & q)
        p1 = (hl >> 16) + (sl >> 16) + (ul >> 16) + (xl >> 16) + (wl >> 16) + (p0 >> 16)
        vl = ((p1 & q) << 16) | (p0 & q)
        vh = (hh + sh + uh + xh + wh + (p1 >> 16)) & m
        # t2 = Sigma0(a) + Maj(a, b, c)
        sl = ((al >> 28 | ah << 4) ^ (ah >> 2 | al << 30) ^ (ah >> 7 | al << 25)) & m
        sh = ((ah >> 28 | al << 4) ^ (al >> 2 | ah << 30) ^ (al >> 7 | ah << 25)) & m
        ul = (al & bl) | (cl & (al | bl))
        uh = (ah & bh) | (ch & (ah | bh))
        hl = gl
        hh = gh
        gl = fl
        gh = fh
        fl = el
        fh = eh
        p0 = (dl & q) + (vl & q)
        p1 = (dl >> 16) + (vl >> 16) + (p0 >> 16)
        el = ((p1 & q) << 16) | (p0 & q)
        eh = (dh + vh + (p1 >> 16)) & m
        dl = cl
        dh = ch
        cl = bl
        ch = bh
        bl = al
        bh = ah
        p0 = (vl & q) + (sl & q) + (ul & q)
        p1 = (vl >> 16) + (sl >> 16) + (ul >> 16) + (p0 >> 16)
        al = ((p1 & q) << 16) | (p0 & q)
        ah = (vh + sh + uh + (p1 >> 16)) & m
        t += 1
    # The schedule is done with: its place takes what is added to the state.
    w[0] = int(ah)
    w[1] = int(al)
    w[2] = int(bh)
    w[3] = int(bl)
    w[4] = int(ch)
    w[5] = int(cl)
    w[6] = int(dh)
    w[7] = int(dl)
    w[8] = int(eh)
    w[9] = int(el)
    w[10] = int(fh)
    w[11] = int(fl)
    w[12] = int(gh)
    w[13] = int(gl)
    w[14] = int(hh)
    w[15] = int(hl)
    i = 0
    n = 0
    while i < 16:
        xl = uint(w[33 + i])
        wl = uint(w[1 + i])
        p0 = (xl & q) + (wl & q)
        p1 = (xl >> 16) + (wl >> 16) + (p0 >> 16)
        wh = uint(w[i]) + uint(w[32 + i]) + (p1 >> 16)
        state[n] = int(wh >> 24)
        state[n + 1] = int(wh >> 16)
        state[n + 2] = int(wh >> 8)
        state[n + 3] = int(wh)
        state[n + 4] = int(p1 >> 8)
        state[n + 5] = int(p1)
        state[n + 6] = int(p0 >> 8)
        state[n + 7] = int(p0)
        n += 8
        i += 2
