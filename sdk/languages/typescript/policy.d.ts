// The contract of sdk/wit/policy.wit in TypeScript's words; units, ranges and meanings stand there. A plugin exports an
// object `plugin`, and one for each hook that its plugin.wit includes: `address`, `filter`, `filterByValue`, `window`.
//
// Numbers of 64 bits are of type number, exact up to 2^53: CPU and memory are, for as long as a machine lives. Times in Unix
// nanoseconds are not, they come rounded to 256 ns. Subtract them before you compute with them; and step back by 256 where
// you return one, because a time past that of the newest sample is refused.

export interface Label { key: string; value: string }

export interface NodeAddress { kind: string; address: string }

export interface Node {
  name: string;
  labels: Label[];
  annotations: Label[];
  addresses: NodeAddress[];
  kubeletPort: number | null;
  providerId: string | null;
  ready: boolean;
}

export interface Candidate { host: string; port: number | null; path: string | null; serverName: string | null }

export interface Strings { text: string; ends: ArrayLike<number> }

export interface Containers {
  names: Strings;
  namespace: ArrayLike<number>;
  pod: ArrayLike<number>;
  container: ArrayLike<number>;
}

export type Subjects = { tag: "the-node" } | { tag: "containers"; val: Containers };

export interface Batch {
  node: string;
  subjects: Subjects;
  ends: ArrayLike<number>;
  takenAt: ArrayLike<number>;
  startedAt: ArrayLike<number>;
  cpuNs: ArrayLike<number>;
  memoryBytes: ArrayLike<number>;
}

export interface Usages { takenAt: number[]; windowNs: number[]; nanocores: number[]; memoryBytes: number[] }

export interface Info { name: string; version: string; description: string; settingsSchema: string }

export interface Plugin {
  describe(): Info;
  /** Refuses the settings by throwing a string: not an Error. */
  configure(settings: string): void;
}

export type Choice = { tag: "dial"; val: Candidate[] } | { tag: "skip"; val: string } | { tag: "pass" };

export interface Address { candidates(node: Node): Choice }

export interface Pod {
  namespace: string;
  name: string;
  node: string;
  labels: Label[];
  namespaceLabels: Label[];
  containers: string[];
}

export interface Filter { classify(pods: Pod[]): Uint8Array }

export interface FilterByValue { screen(batch: Batch): Uint8Array }

export interface Window { history(): number; measure(batch: Batch): Usages }
