/** Tests that cannot run everywhere: each says why, and test/tools/summary.ts lists them at the end of the run. */
import type { TestOptions } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** Why it is skipped. */
    skipped?: string;
  }
}

/** What no CI can mend: there is no archive of packages with cloud-init, as on a system without apt. */
export const NO_CLOUD_INIT = "make .tools/.cloud-init has found no archive that has cloud-init";

/** The options of a test, or of a group of tests, that runs unless there is a reason against it. */
export function unless(reason: string | undefined): TestOptions {
  return reason === undefined ? {} : { skip: true, meta: { skipped: reason } };
}
