/** `eip-heal check-config`: checks flags, environment and settings file, without the network. */
import { EXIT } from "../model/failure.ts";
import type { Completion, Context } from "./command.ts";
import { begin, refused } from "./refusal.ts";

/** Runs it. */
export function run(context: Context): Promise<Completion> {
  const beginning = begin(context);
  return Promise.resolve(
    "problems" in beginning
      ? refused(beginning, context)
      : { status: EXIT.OK, output: "flags, environment and settings file are in order\n" },
  );
}
