// Many small pieces of asynchronous work: some at a time, so that the browser's cryptography is never idle and
// never drowned, and in order, so that the first error is the first in the file.

const AT_ONCE = 64;

// [work(item), ...] for all items; throws what the first of them throws. `progress(done, all)` between.
export async function inBatches(items, work, progress = () => {}) {
  const out = [];
  for (let start = 0; start < items.length; start += AT_ONCE) {
    const batch = items.slice(start, start + AT_ONCE);
    const settled = await Promise.allSettled(batch.map((item) => work(item)));
    for (const one of settled) {
      if (one.status === "rejected") throw one.reason;
      out.push(one.value);
    }
    await progress(out.length, items.length);
  }
  return out;
}
