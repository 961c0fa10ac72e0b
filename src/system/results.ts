/** The result files: what the last run found, for programs (result.json) and for other units (env). */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Writes both files, each whole or not at all. Without variables there is no `env`: a unit that needs the
 * address must not start with one that is not here any more.
 *
 * @param folder `/run/eip-heal`, or what systemd gives as RUNTIME_DIRECTORY
 * @throws what the file system throws
 */
export function writeResults(
  folder: string,
  record: Readonly<Record<string, unknown>>,
  variables: Readonly<Record<string, string>> | undefined,
): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const env = join(folder, "env");
  if (variables === undefined) rmSync(env, { force: true });
  else {
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
    replace(env, lines.join(""));
  }
  replace(join(folder, "result.json"), `${JSON.stringify(record, null, 2)}\n`);
}

function replace(path: string, content: string): void {
  const next = `${path}.${process.pid}`;
  writeFileSync(next, content, { mode: 0o644 });
  renameSync(next, path);
}
