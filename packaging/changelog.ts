/**
 * Writes CHANGELOG.md (keepachangelog.com) as a Debian changelog to standard output. Without a section of its own,
 * VERSION gets what is unreleased: a package built between two releases.
 */
import { readFileSync } from "node:fs";

const MAINTAINER = "eip-heal maintainers <maintainers@eip-heal.example>";
const WIDTH = 78;

const [version, epoch] = [required("VERSION"), required("SOURCE_DATE_EPOCH")];
const sections = readFileSync("CHANGELOG.md", "utf8")
  // The links that Markdown collects at the end.
  .replaceAll(/^\[[^\]]+\]: .*$/gm, "")
  .split(/^## /m)
  .slice(1)
  .map((text) => {
    const [heading = "", ...lines] = text.split("\n");
    const [, name = heading, date] =
      /^\[?([^\]\s]+)\]?(?: - (\d{4}-\d\d-\d\d))?/.exec(heading) ?? [];
    return { name, date, lines };
  });
const released = sections.some(({ name }) => name === version);

let written = 0;
for (const { name, date, lines } of sections) {
  const unreleased = date === undefined;
  if (unreleased && released) continue;
  const when = unreleased ? new Date(Number(epoch) * 1000) : new Date(`${date}T00:00:00Z`);
  process.stdout.write(
    [
      `eip-heal (${unreleased ? version : name}) stable; urgency=medium`,
      "",
      ...entries(lines),
      "",
      ` -- ${MAINTAINER}  ${when.toUTCString().replace("GMT", "+0000")}`,
      "",
      "",
    ].join("\n"),
  );
  written++;
}
if (written === 0) throw new Error("CHANGELOG.md has no section such as: ## [0.1.0] - 2026-11-23");

/** `### Added` becomes `[ Added ]`, `- text` becomes `* text`, folded anew. */
function entries(lines: readonly string[]): string[] {
  const paragraphs: string[] = [];
  let joins = false;
  for (const line of lines) {
    const text = line
      .trim()
      .replaceAll(/\[([^\]]+)\]\([^)]*\)|[`*]{1,2}(?=\S)([^`*]+)[`*]{1,2}/g, "$1$2");
    if (text === "") joins = false;
    else if (text.startsWith("### "))
      [paragraphs[paragraphs.length], joins] = [`  [ ${text.slice(4)} ]`, false];
    else if (/^[-*] /.test(text))
      [paragraphs[paragraphs.length], joins] = [`  * ${text.slice(2)}`, true];
    else if (joins) paragraphs[paragraphs.length - 1] += ` ${text}`;
    else [paragraphs[paragraphs.length], joins] = [`  * ${text}`, true];
  }
  return paragraphs.flatMap((paragraph) => fold(paragraph));
}

function fold(paragraph: string): string[] {
  const lines: string[] = [];
  for (const word of paragraph.trim().split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH)
      lines[lines.length - 1] += ` ${word}`;
    else lines.push(last === undefined ? `  ${word}` : `    ${word}`);
  }
  return lines;
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "")
    throw new Error(`${name} is not set; packaging/build.sh sets it`);
  return value;
}
