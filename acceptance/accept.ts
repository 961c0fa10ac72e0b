/** One run: asks whether this is the account that was meant, says the cost, builds, plays, measures, and removes. */
import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Aws, AwsError } from "./aws.ts";
import { build } from "./build.ts";
import type { Clock } from "./clock.ts";
import * as measure from "./measure.ts";
import { announce, LIMITS, type Limits, type Plan, TAG } from "./plan.ts";
import * as play from "./play.ts";
import { remove } from "./remove.ts";
import { type Leftover, report, type Row, succeeded } from "./report.ts";

const DIST = join(import.meta.dirname, "../dist");

export const EXIT = { ok: 0, failed: 1, usage: 64 } as const;

const USAGE = `usage: make acceptance ARGS="--account 123456789012 --region eu-west-1 [--package FILE.rpm] [--remove]"

It creates instances, addresses and a network on the account that the credentials in the environment belong to, and
charges it. So it asks for the account and the region by name, and does nothing unless they are those.

  --package FILE   the RPM; default: the one in dist/, of this machine's architecture
  --remove         only remove what earlier runs have left in that region`;

/** What a run needs from outside. */
export interface Outside {
  readonly awsIn: (region: string) => Aws;
  /** Its sleep throws when the run is interrupted. */
  readonly clock: Clock;
  readonly removalClock: Clock;
  readonly print: (text: string) => void;
  readonly limits?: Limits;
  /** Where built packages are; default: dist/. */
  readonly dist?: string;
}

/**
 * The whole command.
 *
 * @param args its command line
 * @returns its exit status
 */
export async function accept(args: readonly string[], outside: Outside): Promise<number> {
  const { awsIn, clock, removalClock, print, limits = LIMITS, dist = DIST } = outside;
  const usage = (problem: string) => {
    print(`${problem}\n\n${USAGE}`);
    return EXIT.usage;
  };
  let options: ReturnType<typeof parse>;
  try {
    options = parse(args);
  } catch (error) {
    return usage((error as Error).message);
  }
  const { account, region } = options;
  if (account === undefined || region === undefined) {
    return usage("--account and --region are needed");
  }
  const set = process.env["AWS_REGION"] ?? process.env["AWS_DEFAULT_REGION"];
  if (set !== undefined && set !== region) {
    return usage(`--region is ${region}, but the environment says ${set}`);
  }

  const aws = awsIn(region);
  const { Account: found } = (await aws.call("sts get-caller-identity")) as { Account: string };
  if (found !== account) {
    return usage(`--account is ${account}, but the credentials belong to ${found}`);
  }

  if (options.remove === true) {
    const left = await remove(aws, removalClock, { account, limits }, undefined, print);
    for (const { what, why } of left) print(`still there: ${what}: ${why}`);
    if (left.length === 0) print(`nothing of ${TAG} is left in ${region}`);
    return left.length === 0 ? EXIT.ok : EXIT.failed;
  }

  const file = options.package ?? builtPackage(dist);
  if (file === undefined) return usage("there is no RPM in dist/: run make packages first");
  if (!existsSync(file)) return usage(`${file} is not there`);
  const plan: Plan = {
    account,
    region,
    run: `${TAG}-${new Date()
      .toISOString()
      .replaceAll(/[-:]|\..*/g, "")
      .toLowerCase()}`,
    package: file,
    arch: /\baarch64\.rpm$/.test(file) ? "arm64" : "x86_64",
    limits,
  };
  print(announce(plan));
  return await carryOut(aws, clock, removalClock, plan, print);
}

/** Builds, plays and measures; removes and reports whatever happens. */
async function carryOut(
  aws: Aws,
  clock: Clock,
  removalClock: Clock,
  plan: Plan,
  print: (text: string) => void,
): Promise<number> {
  const begin = removalClock.now();
  const rows: Row[] = [];
  let left: Leftover[] = [];
  let trouble: string | undefined;
  try {
    const built = await build(aws, clock, plan, print);
    await perform({ aws, clock, built, limits: plan.limits }, (row) => {
      rows.push(row);
      print(`${row.what}: ${row.seen}`);
    });
  } catch (error) {
    trouble = (error as Error).message;
    print(`ended early: ${trouble}`);
  } finally {
    left = await remove(aws, removalClock, plan, plan.run, print);
  }
  const hours = (removalClock.now() - begin) / 3_600_000;
  print(report(plan, rows, left, hours, trouble));
  return succeeded(rows, left, trouble) ? EXIT.ok : EXIT.failed;
}

/** Every scene and question, in an order in which each finds what it needs. One that AWS refuses keeps none from the rest. */
async function perform(stage: play.Stage, done: (row: Row) => void): Promise<void> {
  const steps: [name: string, step: (stage: play.Stage) => Promise<Row | Row[]>][] = [
    ["the first boot", play.firstBoot],
    ["a reboot", play.reboot],
    ["taken off by hand", play.movedByHand],
    ["states of a plain member", measure.statesOfMember],
    ["denials", measure.denials],
    ["dry runs", measure.dryRuns],
    ["latencies", measure.latencies],
    ["replaced, the new one first", play.newFirst],
    ["replaced, the old one first", play.oldFirst],
    ["through a termination", measure.throughTermination],
    ["states of a warm pool", measure.statesOfWarmPool],
    ["states in standby", measure.statesInStandby],
    // Last, because it may displace the address of the group.
    ["AllowReassociation=false", measure.withoutReassociation],
  ];
  for (const [what, step] of steps) {
    try {
      for (const row of [await step(stage)].flat()) done(row);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      done({ what, ok: false, seen: error.message });
    }
  }
}

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      account: { type: "string" },
      region: { type: "string" },
      package: { type: "string" },
      remove: { type: "boolean" },
    },
  });
  return values;
}

function builtPackage(dist: string): string | undefined {
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  const [found] = globSync(`eip-heal-*.${arch}.rpm`, { cwd: dist });
  return found && join(dist, found);
}
