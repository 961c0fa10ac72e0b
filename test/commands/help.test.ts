/** The help: also on a terminal of 80 columns, each line is one. */
import { describe, expect, test } from "vitest";
import { helpOf, overview } from "../../src/commands/help.ts";
import { COMMANDS } from "../../src/commands/index.ts";

const tooLong = (text: string) => text.split("\n").filter((line) => line.length > 80);

describe("at most 80 columns has", () => {
  test("the overview", () => {
    expect(tooLong(overview(COMMANDS))).toEqual([]);
  });

  test.each(COMMANDS)("the help of $name", (command) => {
    expect(tooLong(helpOf(command))).toEqual([]);
  });
});
