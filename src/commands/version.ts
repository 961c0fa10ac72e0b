/** `eip-heal version` */
import { EXIT } from "../model/failure.ts";
import type { Completion, Context } from "./command.ts";

/** Runs it. */
export function run({ version }: Context): Promise<Completion> {
  return Promise.resolve({ status: EXIT.OK, output: `eip-heal ${version}\n` });
}
