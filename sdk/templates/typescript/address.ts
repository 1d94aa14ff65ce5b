// Says where a node's kubelet is asked. This one dials the internal DNS names of the node.
//
// Each exported object answers one interface of the contract. Every call finds a fresh instance, so nothing is remembered.

import type { Address, NodeAddress, Plugin } from "policy";

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

export const address: Address = {
  candidates(node) {
    const candidates = node.addresses
      .filter(isWanted)
      .slice(0, 16)
      .map(({ address }) => ({ host: address, port: null, path: null, serverName: null }));
    return candidates.length > 0 ? { tag: "dial", val: candidates } : { tag: "pass" };
  },
};

function isWanted({ kind, address }: NodeAddress): boolean {
  return kind === "InternalDNS" && address.length >= 1 && address.length <= 253;
}
