/** What the last result says of one of several addresses. Pure. */
import type { LastResult } from "./drift.ts";

/** What the last result says of this address, as a result of its own; undefined if it says nothing of it. */
export function lastOf(last: LastResult | undefined, name: string): LastResult | undefined {
  const found = last?.addresses?.find(({ wanted }) => wanted === name);
  if (last === undefined || found === undefined) return undefined;
  const { instanceId, unit, asOf, toldAt } = last;
  return {
    ...(instanceId !== undefined && { instanceId }),
    ...(unit !== undefined && { unit }),
    ...(asOf !== undefined && { asOf }),
    ...(toldAt !== undefined && { toldAt }),
    ...found,
  };
}
