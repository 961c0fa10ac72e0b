/** The configuration of a command, or what is wrong with it. */
import type { Environment } from "../model/environment.ts";
import type { ExitStatus } from "../model/failure.ts";
import type { Notice, Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";

export type Configuration =
  | {
      readonly settings: Settings;
      readonly notices?: readonly Notice[];
      /** For the AWS variables: those of the process, then those of the settings file. */
      readonly environment: Environment;
    }
  | {
      /** All problems, not only the first. */
      readonly problems: readonly Problem[];
      readonly status: ExitStatus;
      /** The lifecycle hook, if it could be read despite the problems, and the environment for calling AWS. */
      readonly hook?: { readonly name: string; readonly environment: Environment };
    };
