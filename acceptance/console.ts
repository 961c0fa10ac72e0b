/** What the instances tell: their console, where instance.sh writes what only they can see. */
import type { Aws } from "./aws.ts";

export interface Told {
  /** Boots of which the console still shows the beginning, the latest last. */
  readonly boots: readonly Boot[];
}

export interface Boot {
  /** Changes of target-lifecycle-state: seconds after the start of the kernel, HTTP status, state. */
  readonly states: readonly {
    readonly uptime: number;
    readonly status: string;
    readonly state: string;
  }[];
  /** What the heal said. */
  readonly log: readonly string[];
  /** What EC2 answered to a request that the role does not allow, by flag. */
  readonly denied: Readonly<Record<string, string>>;
}

/** Reads the console of an instance. */
export async function read(aws: Aws, instanceId: string): Promise<Told> {
  const { Output: output = "" } = (await aws.call("ec2 get-console-output", {
    InstanceId: instanceId,
    Latest: true,
  })) as { Output?: string };
  return parse(output);
}

/** What lines of the console mean. Lines that others write in between are passed over. */
export function parse(output: string): Told {
  type Filled = {
    states: { uptime: number; status: string; state: string }[];
    log: string[];
    denied: Record<string, string>;
  };
  const boots: Filled[] = [];
  for (const [, kind = "", rest = ""] of output.matchAll(/EIP-HEAL-ACCEPTANCE (\w+) ([^\r\n]*)/g)) {
    if (kind === "boot" || boots.length === 0) boots.push({ states: [], log: [], denied: {} });
    const boot = boots.at(-1);
    const [first = "", second = "", ...more] = rest.trim().split(" ");
    if (kind === "state") {
      boot?.states.push({ uptime: Number(first), status: second, state: more.join(" ") });
    } else if (kind === "log") {
      boot?.log.push(rest.trim());
    } else if (kind === "denied" && boot !== undefined) {
      boot.denied[first] = [second, ...more].join(" ");
    }
  }
  return { boots };
}

/** The states of a boot in one line: "404 until 21 s, InService from 21 s". */
export function describeStates({ states }: Boot): string {
  return states
    .map(({ uptime, status, state }) => `${status === "200" ? state : status} from ${uptime} s`)
    .join(", ");
}
