/** `make docs`: writes what documents.ts makes, and names the files that have changed. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { documents } from "./documents.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const read = (path: string) =>
  existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : "";

for (const [path, text] of documents(read)) {
  if (text === read(path)) continue;
  writeFileSync(join(ROOT, path), text);
  console.log(path);
}
