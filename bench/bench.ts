/**
 * `make bench`: eip-heal beside the pinned Node with an empty script, the classic user-data script, curl and, where there
 * is Go, the ideal client (ideal.go), turn by turn in one run, so that a busy machine is as busy for each. Prints medians,
 * and ratios of medians of pairs.
 *
 * usage: bench.ts [--rounds N] [--only near|far|cold] [--against BINARY] [--write]
 *   --against  another eip-heal, measured in the same run: what has a change brought?
 *   --write    puts the table into docs/performance.md and the picture into docs/bench.svg
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
  existsSync,
} from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { barChart } from "./chart.ts";
import { median, type Reading, startMeter } from "./meter.ts";
import { replaceSection } from "./section.ts";
import { type BenchWorld, type Latencies, makeWorld, type Start } from "./world.ts";

const ROOT = join(import.meta.dirname, "..");
const BINARY = join(ROOT, "dist/eip-heal");
const FAR: Latencies = { imds: 1, roundTrip: 40, ec2: 80 };

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "25" },
    only: { type: "string" },
    against: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds);
const meter = startMeter();
// /run is in memory, and so is this.
const runtime = mkdtempSync("/dev/shm/eip-heal-bench-");
const binaries = [BINARY, ...(options.against ? [resolve(options.against)] : [])];

interface Contender {
  readonly name: string;
  readonly argv: readonly string[];
  /** Takes seconds: measured less often. */
  readonly slow?: boolean;
}
const EMPTY = join(runtime, "empty.cjs");
writeFileSync(EMPTY, "");
const node: Contender = { name: "node, empty script", argv: [process.execPath, EMPTY] };
const agent = (command: string, binary = BINARY): Contender => ({
  name: binary === BINARY ? "eip-heal" : "eip-heal, the other",
  argv: [binary, command, "--config", "/dev/null"],
});
const script: Contender = {
  name: "user-data script",
  argv: [join(import.meta.dirname, "user-data.sh")],
  slow: true,
};
const curl: Contender = { name: "curl --aws-sigv4", argv: [join(import.meta.dirname, "sigv4.sh")] };
const ideal = buildIdeal();

interface Case {
  readonly name: string;
  readonly start: Start;
  readonly command: "heal" | "recheck";
  /** An association is over when EC2 shows it; that it then has to hold for six seconds is the agent's own care. */
  readonly untilShown?: boolean;
}
const CASES: readonly Case[] = [
  { name: "already ours", start: "ours", command: "heal" },
  { name: "free", start: "free", command: "heal", untilShown: true },
  { name: "held by an older instance", start: "older", command: "heal", untilShown: true },
  { name: "recheck, nothing to do", start: "ours", command: "recheck" },
];

/** One contender in one case. */
interface Sample extends Reading {
  readonly imds: number;
  readonly ec2: number;
}
interface Row {
  readonly name: string;
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number;
  readonly imds: number;
  readonly ec2: number;
  readonly written: number;
  /** Median over the rounds of this contender's figure over another's of the same round. */
  against(other: Row, figure: (sample: Sample) => number): number;
  readonly samples: readonly (Sample | undefined)[];
}

const WALL = ({ wall }: Sample) => wall;
const CPU = ({ user, system }: Sample) => user + system;
const PEAK = ({ peak }: Sample) => peak;

try {
  const near = isWanted("near") ? await measure("near", undefined) : undefined;
  const far = isWanted("far") ? await measure("far", FAR) : undefined;
  const cold = isWanted("cold") ? await measureCold() : undefined;
  const text = [
    near && section("On plain HTTP without latency", near, node.name),
    far &&
      section(
        "EC2 over TLS, 40 ms away, 80 ms for an answer; instance metadata 1 ms",
        far,
        (ideal ?? curl).name,
      ),
    cold,
  ]
    .filter((part) => part !== undefined)
    .join("\n");
  process.stdout.write(`${text}\n`);
  if (options.write && near && far) write(text, near, far);
} finally {
  meter.close();
  rmSync(runtime, { recursive: true });
}

/** The ideal client; undefined without Go. */
function buildIdeal(): Contender | undefined {
  const program = join(ROOT, "dist/.bench-ideal");
  try {
    execFileSync("go", ["build", "-o", program, join(import.meta.dirname, "ideal.go")]);
  } catch {
    process.stderr.write("no Go that builds bench/ideal.go: without the ideal client\n");
    return undefined;
  }
  return { name: "ideal client", argv: [program] };
}

function isWanted(part: string): boolean {
  return options.only === undefined || options.only === part;
}

async function measure(where: string, latencies?: Latencies): Promise<Map<Case, Row[]>> {
  const world = await makeWorld(latencies);
  const results = new Map<Case, Row[]>();
  try {
    for (const one of CASES) {
      const contenders = [
        node,
        agent(one.command),
        ...(options.against ? [agent(one.command, resolve(options.against))] : []),
        ...(one.command === "recheck" ? [] : [...(ideal ? [ideal] : []), curl, script]),
      ];
      // What a recheck compares with. And each binary comes from the disk into the page cache: while it is there as the
      // build has just written it, in larger pieces, more of it counts as memory than it touches, and it starts faster.
      await sample(world, CASES[0] as Case, agent("heal"), binaries);
      const samples = contenders.map((): (Sample | undefined)[] => []);
      for (let round = 0; round < rounds; round++) {
        for (const [index, contender] of contenders.entries()) {
          const skips = contender.slow === true && round % 3 !== 0;
          samples[index]?.push(skips ? undefined : await sample(world, one, contender));
        }
      }
      results.set(
        one,
        contenders.map(({ name }, index) => row(name, samples[index] ?? [])),
      );
      process.stderr.write(`${where}, ${one.name}: measured\n`);
    }
  } finally {
    await world.close();
  }
  return results;
}

async function sample(
  world: BenchWorld,
  one: Case,
  { name, argv }: Contender,
  evict: readonly string[] = [],
): Promise<Sample> {
  const { region } = world;
  world.start(one.start);
  const before = { imds: region.imdsRequests.length, ec2: region.calls.length };
  const environment = { ...world.environment, RUNTIME_DIRECTORY: runtime };
  const reading = await meter.run(argv, environment, evict);
  const isNode = name === node.name;
  if (reading.status !== 0 || (!isNode && !world.isHere())) {
    throw new Error(`${name}, ${one.name}: status ${reading.status}: ${reading.stderr}`);
  }
  const shownAt = one.untilShown && !isNode ? world.shownAt() : undefined;
  return {
    ...reading,
    wall: shownAt === undefined ? reading.wall : shownAt - reading.startedAt,
    imds: region.imdsRequests.length - before.imds,
    ec2: region.calls.length - before.ec2,
  };
}

function row(name: string, samples: readonly (Sample | undefined)[]): Row {
  const of = (figure: (sample: Sample) => number) =>
    median(samples.filter((one) => one !== undefined).map(figure));
  return {
    name,
    wall: of(WALL),
    cpu: of(CPU),
    peak: of(PEAK),
    imds: of(({ imds }) => imds),
    ec2: of(({ ec2 }) => ec2),
    written: of(({ written }) => written),
    against: (other, figure) =>
      median(
        samples.flatMap((one, round) => {
          const same = other.samples[round];
          return one && same ? [figure(one) / figure(same)] : [];
        }),
      ),
    samples,
  };
}

/** From the disk: what a boot pays. The binary leaves the page cache, with the read-ahead of a plain disk. */
async function measureCold(): Promise<string | undefined> {
  const setting = readAheadOf(BINARY);
  if (setting === undefined) return undefined;
  const world = await makeWorld();
  const before = setting.read();
  // Not the Node that runs this: what a running program has mapped does not leave the page cache.
  const copy = join(ROOT, "dist/.bench-node");
  copyFileSync(process.execPath, copy);
  const contenders = [{ ...node, argv: [copy, EMPTY] }, agent("heal")];
  const samples: [Sample[], Sample[]] = [[], []];
  try {
    setting.write(128);
    for (let round = 0; round < Math.ceil(rounds / 2); round++) {
      for (const [index, contender] of contenders.entries()) {
        world.start("ours");
        const [program = ""] = contender.argv;
        const environment = { ...world.environment, RUNTIME_DIRECTORY: runtime };
        const reading = await meter.run(contender.argv, environment, [program]);
        samples[index]?.push({ ...reading, imds: 0, ec2: 0 });
      }
    }
  } finally {
    setting.write(before);
    rmSync(copy);
    await world.close();
  }
  const [bare, own] = [row(node.name, samples[0]), row("eip-heal", samples[1])];
  const mib = (of: Row) =>
    (median(of.samples.map((one) => one?.read ?? Number.NaN)) / 2 ** 20).toFixed(1);
  return (
    `Cold, the binary read from the disk with 128 KiB of read-ahead, already ours: ${own.wall.toFixed(0)} ms ` +
    `and ${mib(own)} MiB, the bare Node ${bare.wall.toFixed(0)} ms and ${mib(bare)} MiB: ${ratio(own.against(bare, WALL))}\n`
  );
}

/** The read-ahead of the block device that a file is on, if this process may change it. */
function readAheadOf(file: string) {
  const { dev } = statSync(file);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const path = [
    `/sys/dev/block/${major}:${minor}/queue/read_ahead_kb`,
    `/sys/dev/block/${major}:${minor}/../queue/read_ahead_kb`,
  ].find(existsSync);
  if (path === undefined || process.getuid?.() !== 0) return undefined;
  return {
    read: () => Number(execFileSync("cat", [path], { encoding: "utf8" })),
    write: (kib: number) => writeFileSync(path, String(kib)),
  };
}

function section(title: string, results: Map<Case, Row[]>, reference: string): string {
  const lines = [
    `**${title}**`,
    "",
    `| | wall | CPU | peak | wall / ${reference} | CPU / node | peak / node | IMDS | EC2 | disk |`,
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
  ];
  for (const [one, rows] of results) {
    const [bare] = rows;
    const other =
      rows.find(({ name }) => name === reference) ?? (reference === bare?.name ? bare : undefined);
    if (bare === undefined) continue;
    lines.push(
      `| **${one.name}**${one.untilShown ? ", until EC2 shows it" : ""} | | | | | | | | | |`,
    );
    for (const each of rows) {
      if (each === bare && one !== CASES[0]) continue;
      lines.push(
        `| ${each.name} | ${each.wall.toFixed(0)} ms | ${each.cpu.toFixed(0)} ms | ` +
          `${(each.peak / 1_024).toFixed(0)} MiB | ${other === undefined ? "" : ratio(each.against(other, WALL))} | ` +
          `${ratio(each.against(bare, CPU))} | ${ratio(each.against(bare, PEAK))} | ${each.imds} | ${each.ec2} | ${each.written} |`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function ratio(value: number): string {
  return `${value.toFixed(2)} ×`;
}

function write(text: string, near: Map<Case, Row[]>, far: Map<Case, Row[]>): void {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const [cpu] = cpus();
  const machine = `${cpus().length} processors (${cpu?.model.trim()}), ${process.arch}`;
  replaceSection(
    join(ROOT, "docs/performance.md"),
    "bench",
    `Measured ${date} at commit ${commit} by \`make bench\` on a virtual machine with ${machine}: medians of ` +
      `${rounds} rounds, ratios of the pairs of each round. IMDS and EC2 are numbers of requests, disk is bytes written.\n\n${text}`,
  );
  mkdirSync(join(ROOT, "docs"), { recursive: true });
  const groups = (results: Map<Case, Row[]>, where: string) =>
    [...results]
      .filter(([one]) => one.command === "heal")
      .map(([one, rows]) => ({
        name: `${one.name}, ${where}`,
        bars: rows.map(({ name, wall }) => ({ name, value: wall })),
      }));
  writeFileSync(
    join(ROOT, "docs/bench.svg"),
    barChart({
      title: "How long it takes",
      unit: "milliseconds",
      groups: [...groups(near, "no latency"), ...groups(far, "EC2 40 ms away")],
    }),
  );
}
