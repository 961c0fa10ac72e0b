import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../src/cli.ts";

describe("a misspelt command line names what was meant", () => {
  test.each([
    [["stat"], "Unknown command 'stat'; did you mean status?"],
    [["doctr"], "Unknown command 'doctr'; did you mean doctor?"],
    [["help", "polcy"], "Unknown command 'polcy'; did you mean policy?"],
    [["--dryrun"], "Unknown option '--dryrun'; did you mean --dry-run?"],
    [["--takeovr", "never"], "Unknown option '--takeovr'; did you mean --takeover?"],
    [["--deadlin=5s"], "Unknown option '--deadlin'; did you mean --deadline?"],
  ])("%j", (args, message) => {
    expect(() => parseCommandLine(args)).toThrow(message);
  });

  test.each([
    [["restart"], /^Unknown command 'restart'; known: heal, recheck, /],
    [["--colour"], /^Unknown option '--colour'$/],
    [["-x"], /^Unknown option '-x'$/],
  ])("or what there is: %j", (args, message) => {
    expect(() => parseCommandLine(args)).toThrow(message);
  });
});
