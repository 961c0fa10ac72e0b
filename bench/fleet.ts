/**
 * `make fleet`: a thousand instances that boot within ten seconds, and ten thousand, on virtual time against the
 * simulated region with EC2's documented request buckets. Prints what came of it, draws docs/fleet.svg and puts the
 * table into docs/performance.md.
 *
 * usage: fleet.ts [SIZE]...      default: 1000 10000
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootFleet, type FleetResult, type Supply } from "../test/simulation/fleet.ts";
import { type Line, lineChart } from "./chart.ts";
import { replaceSection } from "./section.ts";

const ROOT = join(import.meta.dirname, "..");
const PICTURE = join(ROOT, "docs/fleet.svg");
const SEED = 1;
/** Every look of a pool reads all of it, so that a simulated pool costs the square of its size. */
const LARGEST_POOL = 2_000;

const SUPPLIES: Readonly<Record<Supply, string>> = {
  own: "each its own tagged address",
  shared: "one fixed address for all",
  pool: "a pool as large as the fleet",
  "short-pool": "a pool with one in ten missing",
};
const HEAD = ["", "have one", "last after", "floor", "ratio", "requests", "throttled", "lost"];
const written: string[] = [];

const sizes = process.argv.slice(2).map(Number);
for (const size of sizes.length > 0 ? sizes : [1_000, 10_000]) {
  const rows: string[][] = [];
  const lines: Line[] = [];
  for (const supply of Object.keys(SUPPLIES) as Supply[]) {
    const isPool = supply === "pool" || supply === "short-pool";
    if (isPool && size > LARGEST_POOL) continue;
    const result = await bootFleet({ supply, size, seed: SEED, untilMs: horizonMs(supply, size) });
    rows.push([SUPPLIES[supply], ...figures(result, size)]);
    if (supply !== "shared") lines.push({ name: SUPPLIES[supply], points: curve(result) });
  }
  say(`\n${size} instances boot within 10 s; requests of each kind per instance\n`);
  table([HEAD, ...rows]);
  const of = size.toLocaleString("en");
  if (written.length === 0)
    written.push(...markdown([[of, ...HEAD.slice(1)]]), "| --- |".padEnd(6) + " ---: |".repeat(7));
  else written.push(...markdown([[`**${of}**`, "", "", "", "", "", "", ""]]));
  written.push(...markdown(rows));
  if (size === 1_000) {
    const floor = {
      name: "what EC2 lets through: 50 at once and 5 a second",
      isLimit: true,
      points: [
        [0, 50],
        [(size - 50) / 5, size],
      ] as [number, number][],
    };
    mkdirSync(join(PICTURE, ".."), { recursive: true });
    writeFileSync(
      PICTURE,
      lineChart({
        title: "1,000 instances boot within ten seconds",
        x: "seconds",
        y: "instances that hold their address",
        lines: [...lines, floor],
      }),
    );
  }
  for (const { name, points } of lines) sketch(name, points, size);
}

if (sizes.length === 0) {
  replaceSection(
    join(ROOT, "docs/performance.md"),
    "fleet",
    `${written.join("\n")}\n\nRequests, those of them that were throttled, and claims that somebody else was quicker with are per instance. ` +
      "The floor is the time that the bucket of AssociateAddress takes, 50 at once and 5 a second.",
  );
}

/** Long enough for every instance that can have an address, not for those that wait for one in vain. */
function horizonMs(supply: Supply, size: number): number {
  return supply === "short-pool" ? 240_000 * (size / 1_000) : 600_000 + size * 400;
}

function figures({ entitled, associatedAt, floorMs, calls }: FleetResult, size: number): string[] {
  const last = associatedAt.at(-1) ?? Number.NaN;
  const sum = (of: "sent" | "throttled" | "lost") =>
    (Object.values(calls).reduce((all, one) => all + one[of], 0) / size).toFixed(2);
  return [
    `${associatedAt.length} of ${entitled}`,
    `${(last / 1_000).toFixed(1)} s`,
    `${(floorMs / 1_000).toFixed(0)} s`,
    floorMs === 0 ? "" : (last / floorMs).toFixed(3),
    sum("sent"),
    sum("throttled"),
    sum("lost"),
  ];
}

/** How many hold their address, by seconds. */
function curve({ associatedAt }: FleetResult): [number, number][] {
  return associatedAt.map((at, index) => [at / 1_000, index + 1]);
}

/** The curve on a terminal: a line of bars, one for each fiftieth of the time. */
function sketch(name: string, points: readonly (readonly [number, number])[], size: number): void {
  const end = points.at(-1)?.[0] ?? 0;
  const bars = Array.from({ length: 50 }, (_, column) => {
    const held = points.filter(([at]) => at <= ((column + 1) / 50) * end).length;
    return "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor((held / size) * 8))];
  });
  say(`  ${name.padEnd(32)}${bars.join("")} ${end.toFixed(0)} s`);
}

function markdown(rows: readonly (readonly string[])[]): string[] {
  return rows.map((row) => `| ${row.join(" | ")} |`);
}

function table(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    say(`  ${cells.join("  ")}`.trimEnd());
  }
  say("");
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
