// Says over which window usage is computed. This one takes the mean rate since the oldest sample that it is shown, or since
// the container started.
//
// Each exported object answers one interface of the contract. Every call finds a fresh instance, so nothing is remembered.

import type { Batch, Plugin, Window } from "policy";

export const plugin: Plugin = {
  describe: () => ({
    name: "my-plugin",
    version: "0.1.0",
    description: "What it does, in one sentence for operators",
    settingsSchema: JSON.stringify({ type: "object", additionalProperties: false }),
  }),

  // The gateway hands over {} where the operator set nothing.
  configure(settings) {
    if (settings !== "{}") {
      throw "there are no settings";
    }
  },
};

export const window: Window = {
  history: () => 60e9,

  measure(batch) {
    const rows = Array.from(batch.ends, (end, row) => usageOf(batch, row > 0 ? batch.ends[row - 1]! : 0, end));
    return {
      takenAt: rows.map((row) => row.takenAt),
      windowNs: rows.map((row) => row.windowNs),
      nanocores: rows.map((row) => row.nanocores),
      memoryBytes: rows.map((row) => row.memoryBytes),
    };
  },
};

/** A row with a window of 0 serves nothing. */
const nothing = { takenAt: 0, windowNs: 0, nanocores: 0, memoryBytes: 0 };

/** What is served of the samples start..end. */
function usageOf(batch: Batch, start: number, end: number): typeof nothing {
  if (start === end) {
    return nothing;
  }
  const newest = end - 1;
  let oldest = start;
  while (batch.startedAt[oldest] !== batch.startedAt[newest]) {
    oldest++;
  }
  const windowNs = batch.takenAt[newest]! - batch.takenAt[oldest]!;
  const nanocores = Math.floor(((batch.cpuNs[newest]! - batch.cpuNs[oldest]!) / windowNs) * 1e9);
  const memoryBytes = batch.memoryBytes[newest]!;
  // Of a window of 0 the rate is no number, and fails every comparison. What is 2^63 or more comes as a negative number.
  if (!(nanocores >= 0 && nanocores <= 1e15) || memoryBytes < 0 || memoryBytes > 2 ** 60) {
    return nothing;
  }
  // Times come rounded to 256 ns, and one past the newest sample would be refused.
  return { takenAt: batch.takenAt[newest]! - 256, windowNs, nanocores, memoryBytes };
}
