/** The parts of a document that the benchmarks write: what stands between `<!-- NAME -->` and `<!-- /NAME -->`. */
import { readFileSync, writeFileSync } from "node:fs";

/** Replaces that part; throws where the markers are not there. */
export function replaceSection(path: string, name: string, content: string): void {
  const text = readFileSync(path, "utf8");
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(start) + start.length, text.indexOf(end)];
  if (from < start.length || to < from) throw new Error(`${path} has no part ${name}`);
  writeFileSync(path, `${text.slice(0, from)}\n${content.trim()}\n\n${text.slice(to)}`);
}
