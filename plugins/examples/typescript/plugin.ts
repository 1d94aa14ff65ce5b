// Leaves containers out by name, such as the proxies of a service mesh.
//
// Each exported object answers one interface of the contract. Every call finds a fresh instance, so nothing is remembered.

import type { Filter, Plugin, Pod } from "policy";

const KEEP = 0;
const DROP = 1;

type Settings = { containers: string[]; namespaces: string[] };

const settings: Settings = { containers: ["istio-proxy", "linkerd-proxy"], namespaces: [] };

const schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    containers: {
      type: "array",
      minItems: 1,
      items: { type: "string" },
      description: "Names of containers, or patterns of names (*, ?), that are not served.",
    },
    namespaces: {
      type: "array",
      items: { type: "string" },
      description: "Names or patterns of the namespaces in which that holds; all where there is none.",
    },
  },
};

export const plugin: Plugin = {
  describe: () => ({
    name: "skip-sidecars",
    version: "0.1.0",
    description: "Leaves out containers by name, such as the proxies of a service mesh",
    settingsSchema: JSON.stringify(schema),
  }),

  configure(text) {
    // JSON.parse would follow brackets deeper than the sandbox has stack for. These settings nest twice.
    const given: unknown = depth(text) > 8 ? null : JSON.parse(text);
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw 'the settings must be an object such as {"containers": ["istio-proxy"]}';
    }
    for (const [name, value] of Object.entries(given)) {
      settings[known(name)] = patterns(name, value);
    }
    if (settings.containers.length === 0) {
      throw '"containers" is empty: name at least one container';
    }
  },
};

/** How deep brackets nest, those within strings included. */
function depth(text: string): number {
  let [now, deepest] = [0, 0];
  for (const letter of text) {
    now += "[{".includes(letter) ? 1 : "]}".includes(letter) ? -1 : 0;
    deepest = Math.max(deepest, now);
  }
  return deepest;
}

function known(name: string): keyof Settings {
  if (name === "containers" || name === "namespaces") {
    return name;
  }
  throw `unknown field \`${name}\`, expected \`containers\` or \`namespaces\``;
}

function patterns(name: string, value: unknown): string[] {
  const isPattern = (item: unknown) => typeof item === "string" && item.length >= 1 && item.length <= 253;
  if (!Array.isArray(value) || !value.every(isPattern)) {
    throw `"${name}" must be a list of names or patterns, such as ["istio-proxy", "linkerd-*"]`;
  }
  return value;
}

export const filter: Filter = {
  classify: (pods) => Uint8Array.from(pods.flatMap((pod) => pod.containers.map((container) => verdict(pod, container)))),
};

function verdict(pod: Pod, container: string): number {
  const isMeant = settings.namespaces.length === 0 || isOneOf(pod.namespace, settings.namespaces);
  return isMeant && isOneOf(container, settings.containers) ? DROP : KEEP;
}

function isOneOf(name: string, patterns: string[]): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

/** Whether all of a name is what a pattern says: * stands for any characters, ? for one. */
function matches(pattern: string, name: string): boolean {
  let [at, reached, afterStar, taken] = [0, 0, 0, 0];
  while (reached < name.length) {
    if (pattern[at] === "*") {
      afterStar = ++at;
      taken = reached;
    } else if (pattern[at] === "?" || pattern[at] === name[reached]) {
      at++;
      reached++;
    } else if (afterStar > 0) {
      // What follows the latest star does not fit here: the star takes one character more.
      at = afterStar;
      reached = ++taken;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(at));
}
