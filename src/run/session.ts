/** Opens a session of AWS as far as every command needs it that calls EC2 or Auto Scaling. */
import type { Instance } from "../model/instance.ts";
import type { RunSession } from "./ports.ts";
import { type StepContext, withStep } from "./retrying.ts";

/**
 * Opens a session and reads this instance from its metadata.
 *
 * @param tags the first of these that the instance has is read
 * @param also `ignored`: read the next of these, too; `needsEc2`: begin to connect to EC2 meanwhile
 * @throws Failure if instance metadata does not answer, or not as it should
 */
export async function openSession<S extends RunSession>(
  context: StepContext & { readonly signal: AbortSignal },
  ports: { open(signal: AbortSignal, needsEc2?: boolean): Promise<S> },
  tags: readonly string[],
  { ignored = false, needsEc2 = false }: { ignored?: boolean; needsEc2?: boolean } = {},
): Promise<{ readonly session: S; readonly self: Instance }> {
  return withStep(context, "reading instance metadata", async () => {
    const session = await ports.open(context.signal, needsEc2);
    // Requested in parallel. Opening a connection awaits them and reports a failure.
    session.credentials().catch(() => {});
    return { session, self: await session.instance(tags, { group: true, ignored }) };
  });
}
