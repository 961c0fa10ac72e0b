/** Why the heal of a boot began late: it comes after network-online.target, and that after the units that wait for the network. */
import { seconds } from "../model/duration.ts";
import type { Machine } from "./ports.ts";

/** Milliseconds of waiting that nobody needs to be told about. */
const SOON_MS = 30_000;

/** What network-online.target waits for on the systems there are, and what shows why it takes so long. */
const WAITERS: Readonly<Record<string, string>> = {
  "systemd-networkd-wait-online.service": "networkctl",
  "NetworkManager-wait-online.service": "nmcli device",
  "networking.service": "journalctl -b -u networking",
  "cloud-init.service": "cloud-init analyze blame",
  "cloud-init-network.service": "cloud-init analyze blame",
};

/** The one that was waited for longest on this boot. */
export interface LateNetwork {
  readonly unit: string;
  readonly waitedMs: number;
  /** It is still waiting. */
  readonly isWaiting: boolean;
  /** The network has not come within the time that it waits, two minutes by default. */
  readonly hasFailed: boolean;
  /** What shows the interfaces or steps that it waits for. */
  readonly command: string;
}

/**
 * Asks systemd.
 *
 * @returns undefined where the network was there soon
 */
export async function lateNetwork(
  machine: Pick<Machine, "unit">,
  signal: AbortSignal,
): Promise<LateNetwork | undefined> {
  const waiters = await Promise.all(
    Object.entries(WAITERS).map(async ([unit, command]) => {
      const state = await machine.unit(unit, signal);
      return {
        unit,
        command,
        waitedMs: state?.startMs ?? 0,
        isWaiting: state?.activity === "activating",
        hasFailed: state?.activity === "failed",
      };
    }),
  );
  const [longest] = waiters.toSorted((one, other) => other.waitedMs - one.waitedMs);
  return longest !== undefined && longest.waitedMs >= SOON_MS ? longest : undefined;
}

/** That as half a sentence. */
export function sayLate({ unit, waitedMs, isWaiting, hasFailed }: LateNetwork): string {
  const time = seconds(waitedMs);
  if (isWaiting)
    return `a boot waits for the network before the heal, for ${time} so far (${unit})`;
  const end = hasFailed ? ", and it did not come" : "";
  return `the boot waited for the network for ${time} before the heal (${unit}${end})`;
}
