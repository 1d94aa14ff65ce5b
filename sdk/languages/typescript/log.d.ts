// The only import that a plugin may have: import log from "metrics-gateway:policy/log@1.0.0".
declare module "metrics-gateway:policy/log@1.0.0" {
  type Level = "error" | "warn" | "info" | "debug" | "trace";
  const log: { log(level: Level, message: string): void };
  export default log;
}
