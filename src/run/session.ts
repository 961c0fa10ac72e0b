/** A session of AWS, opened as far as every command needs it that asks EC2 or Auto Scaling. */
import type { Instance } from "../model/instance.ts";
import type { RunSession } from "./ports.ts";
import { type StepContext, withStep } from "./retrying.ts";

/**
 * Opens a session and reads this instance afresh.
 *
 * @param tags of which the first one that the instance has is read
 * @throws Failure for instance metadata that does not answer, or not with what it should
 */
export async function openSession<S extends RunSession>(
  context: StepContext & { readonly signal: AbortSignal },
  ports: { open(signal: AbortSignal): Promise<S> },
  tags: readonly string[],
): Promise<{ readonly session: S; readonly self: Instance }> {
  return withStep(context, "reading instance metadata", async () => {
    const session = await ports.open(context.signal);
    // Requested now, with the rest; whoever connects waits for them, and hears of a failure.
    session.credentials().catch(() => {});
    return { session, self: await session.instance(tags, { group: true }) };
  });
}
