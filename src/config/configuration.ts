/** The configuration of a run, or what is wrong with it. */
import type { ExitStatus } from "../model/failure.ts";
import type { Notice, Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type Configuration =
  | {
      readonly settings: Settings;
      readonly notices?: readonly Notice[];
      /** What the AWS variables are read from: the process's environment over the variables of the file. */
      readonly environment: Environment;
    }
  | {
      /** Every problem. */
      readonly problems: readonly Problem[];
      readonly status: ExitStatus;
      /** The launch hook, if that could be read all the same, and the environment to complete it in. */
      readonly hook?: { readonly name: string; readonly environment: Environment };
    };
