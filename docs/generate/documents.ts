/**
 * Everything that is made from the tables in the code: whole files, and regions of files that are written by hand
 * (text.ts says how these are marked). Whoever adds a setting, an option, a command, a check or an exit status writes it
 * into its table and runs `make docs`.
 */
import { bashCompletion } from "./bash.ts";
import { confFile } from "./conf.ts";
import { fishCompletion } from "./fish.ts";
import { FILE_REGIONS, PROGRAM_REGIONS } from "./manual.ts";
import { REFERENCE_REGIONS } from "./reference.ts";
import { replaceRegion } from "./text.ts";
import { zshCompletion } from "./zsh.ts";

type Regions = Readonly<Record<string, () => string>>;

const WHOLE: Readonly<Record<string, () => string>> = {
  "packaging/eip-heal.conf": confFile,
  "packaging/completion/eip-heal.bash": bashCompletion,
  "packaging/completion/eip-heal.fish": fishCompletion,
  "packaging/completion/_eip-heal": zshCompletion,
};

const PARTLY: Readonly<Record<string, Regions>> = {
  "docs/reference.md": REFERENCE_REGIONS,
  "packaging/eip-heal.8": PROGRAM_REGIONS,
  "packaging/eip-heal.conf.5": FILE_REGIONS,
};

/**
 * What each of these files has to be.
 *
 * @param read gives the file as it is
 * @throws Error where a file lacks one of its regions
 */
export function documents(read: (path: string) => string): readonly (readonly [string, string])[] {
  return [
    ...Object.entries(WHOLE).map(([path, make]) => [path, make()] as const),
    ...Object.entries(PARTLY).map(([path, regions]) => {
      const text = Object.entries(regions).reduce(
        (file, [name, make]) => replaceRegion(file, name, make()),
        read(path),
      );
      return [path, text] as const;
    }),
  ];
}
