/** What tests of the region on virtual time have in common. */
import { Ec2Error } from "./errors.ts";
import type { Caller } from "./permission.ts";
import { Region } from "./region.ts";
import type { World } from "./world.ts";

/** A region on virtual time. */
export function at(
  world: World,
  start = Date.UTC(2026, 5, 1),
): { region: Region; clock: { now: number } } {
  const clock = { now: start };
  return { region: new Region(world.data, () => clock.now), clock };
}

/** `code: message` of the error, or what the call returned. */
export function said(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    if (error instanceof Ec2Error) return `${error.code}: ${error.message}`;
    throw error;
  }
}

export const as = (instance: { instanceId: string }): Caller => ({
  instanceId: instance.instanceId,
});

/** The values at the places the text names, so that expected messages can be written out. */
export const fill = (text: string, values: Record<string, string>): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "?");
