/**
 * `make cast`: records the demo and draws it as docs/demo.svg, a terminal in which its lines appear one after the other.
 * Pauses are shortened, and each chapter is given time to be read. Who has asked for less motion sees the beginning.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const COLUMNS = 96;
const ROWS = 26;
/** Pixels. */
const FONT = 13;
const ROW = 18;
const MARGIN = 14;
/** What a character of a monospaced font takes at most, in parts of its size. */
const ADVANCE = 0.61;
/** Seconds: the longest pause that is kept, what a chapter is given before it begins, and the end before it starts over. */
const LONGEST = 2;
const BETWEEN_CHAPTERS = 2.5;
const END = 6;

interface Line {
  readonly text: string;
  /** Seconds from the start of the picture. */
  readonly at: number;
}

const lines = await record();
const rows = lines.flatMap(({ text, at }) => wrapped(text).map((row) => ({ text: row, at })));
writeFileSync(join(import.meta.dirname, "../docs/demo.svg"), draw(rows));

/** Runs the demo; throws unless its story was true. */
async function record(): Promise<Line[]> {
  const demo = spawn(process.execPath, [join(import.meta.dirname, "demo.ts")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { NO_COLOR: "1", PATH: process.env["PATH"] },
  });
  const recorded: Line[] = [];
  let [last, at] = [Date.now(), 0];
  const take = (text: string) => {
    const now = Date.now();
    const least = isChapter(text) ? BETWEEN_CHAPTERS : 0;
    // How long the demo takes to start is no part of it.
    if (recorded.length > 0) at += Math.max(least, Math.min(LONGEST, (now - last) / 1_000));
    last = now;
    recorded.push({ text, at });
  };
  // The log of the agent is on standard error, the story around it on standard output.
  for (const stream of [demo.stdout, demo.stderr]) createInterface(stream).on("line", take);
  const status = await new Promise((done) => demo.once("close", done));
  if (status !== 0) throw new Error(`the demo has ended with ${String(status)}`);
  return recorded;
}

function isChapter(text: string): boolean {
  return /^\d\. /.test(text);
}

/** As a terminal breaks a line: where it ends. */
function wrapped(text: string): string[] {
  return text === "" ? [""] : (text.match(new RegExp(`.{1,${COLUMNS}}`, "gu")) ?? []);
}

function draw(all: readonly Line[]): string {
  const width = Math.ceil(COLUMNS * FONT * ADVANCE) + 2 * MARGIN;
  const height = ROWS * ROW + 2 * MARGIN;
  const seconds = (all.at(-1)?.at ?? 0) + END;
  const share = (at: number) => `${((100 * at) / seconds).toFixed(2)}%`;
  const times = [...new Set(all.map(({ at }) => at))];
  const appear = times.map(
    (at, index) => `@keyframes a${index}{0%{opacity:0}${share(at)}{opacity:1}}`,
  );
  // How far it is scrolled after each line.
  const scroll = times.map((at) => {
    const shown = all.filter((line) => line.at <= at).length;
    return `${share(at)}{transform:translateY(${-ROW * Math.max(0, shown - ROWS)}px)}`;
  });
  const text = all.map(({ text: line, at }, index) => {
    const y = MARGIN + ROW * index + FONT;
    const style = `animation-name:a${times.indexOf(at)}`;
    return line === ""
      ? ""
      : `<text x="${MARGIN}" y="${y}" class="${classOf(line)}" style="${style}">${escaped(line)}</text>\n`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" xml:space="preserve" role="img" aria-labelledby="title">
<title id="title">make demo: an instance gets its Elastic IP, is replaced, and does not take the address back</title>
<style>
text{font:${FONT}px ui-monospace,Menlo,"DejaVu Sans Mono",Consolas,monospace;fill:#d8dee9;white-space:pre;animation:${seconds.toFixed(1)}s step-end infinite}
.chapter{fill:#fff;font-weight:bold}.command{fill:#88c0d0}.true{fill:#a3be8c}.false{fill:#bf616a}
#lines{animation:scroll ${seconds.toFixed(1)}s step-end infinite}
@media(prefers-reduced-motion:reduce){text,#lines{animation:none}}
@keyframes scroll{0%{transform:none}${scroll.join("")}}
${appear.join("\n")}
</style>
<rect width="${width}" height="${height}" rx="8" fill="#2e3440"/>
<svg x="0" y="${MARGIN}" width="${width}" height="${ROWS * ROW}"><g id="lines" transform="translate(0 0)">
<g transform="translate(0 ${-MARGIN})">
${text.join("")}</g></g></svg>
</svg>
`;
}

function classOf(line: string): string {
  if (isChapter(line)) return "chapter";
  if (line.startsWith("$")) return "command";
  if (/^ *✓|^The story was true/.test(line)) return "true";
  return /^ *✗|NOT true/.test(line) ? "false" : "";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
