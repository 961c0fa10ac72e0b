/** What each shell offers, asked of the shell itself. */
import { describe, expect, test } from "vitest";
import { COMMANDS, goesWith, OPTIONS } from "../../src/commands/index.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { unless } from "../support/skipping.ts";
import { missing, ROOT, run } from "./tools.ts";

const NAMES = COMMANDS.map(({ name }) => name);
const FOLDER = `${ROOT}packaging/completion`;

/** What is offered after these words, the last of which is being typed. */
type Offered = (...words: string[]) => string[];

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** bash takes `--flag=value` for three words; the others complete the whole of it. */
const bash: Offered = (...words) =>
  linesOf(
    run(
      "bash",
      "-c",
      `. ${FOLDER}/eip-heal.bash
       COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
       _eip_heal "$1" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
       printf '%s\\n' "\${COMPREPLY[@]}"`,
      "bash",
      "eip-heal",
      ...words.flatMap((word) => {
        const [, flag, value] = /^(--[\w-]+)=(.*)$/.exec(word) ?? [];
        return flag === undefined ? [word] : [flag, "=", ...(value === "" ? [] : [value ?? ""])];
      }),
    ),
  );

const zsh: Offered = (...words) =>
  linesOf(run("zsh", "-f", "test/packages/complete.zsh", FOLDER, ["eip-heal", ...words].join(" ")));

const fish: Offered = (...words) =>
  linesOf(
    run(
      "fish",
      "--no-config",
      "-c",
      `source ${FOLDER}/eip-heal.fish; complete -C "$argv"`,
      ["eip-heal", ...words].join(" "),
    ),
  ).map((line) => line.replace(/\t.*/, "").replace(/^--[\w-]+=/, ""));

describe.each([
  ["bash", bash],
  ["zsh", zsh],
  ["fish", fish],
])("%s", (shell, offered) => {
  const absent = missing(shell);
  if (absent !== undefined) {
    test("not there", unless(absent), () => {});
    return;
  }
  const sorted = (...words: string[]) => offered(...words).toSorted();

  test("offers the commands, without one yet and after help", () => {
    // bash has the options of heal there too, the others only after a dash.
    const commands = (...words: string[]) =>
      sorted(...words).filter((word) => !word.startsWith("-"));
    expect(commands("")).toEqual(NAMES.toSorted());
    expect(commands("help", "")).toEqual(NAMES.toSorted());
    expect(commands("--takeover", "never", "re")).toEqual(["recheck", "release"]);
    expect(commands("status", "re")).toEqual([]);
  });

  test.each(COMMANDS)("offers what goes with $name, and nothing else", (row) => {
    const flags = [...Object.keys(OPTIONS), ...SETTINGS.map(({ flag }) => flag)];
    const expected = flags.filter((flag) => goesWith(flag, row)).map((flag) => `--${flag}`);
    expect(sorted(row.name, "--")).toEqual(expected.toSorted());
  });

  test("knows heal without its name, and a command after the value of an option", () => {
    expect(offered("--dry")).toEqual(["--dry-run"]);
    expect(offered("--tag", "status", "--dry")).toEqual(["--dry-run"]);
    expect(offered("--tag=x", "status", "--dry")).toEqual([]);
    expect(offered("status", "--takeover", "never", "--js")).toEqual(["--json"]);
  });

  test("offers the values of a setting that has a choice", () => {
    const choosing = SETTINGS.filter(({ choices }) => choices !== undefined);
    expect(choosing.length).toBeGreaterThan(3);
    for (const { flag, choices = [] } of choosing) {
      expect(sorted(`--${flag}`, ""), flag).toEqual(choices.toSorted());
    }
    expect(sorted("--takeover=")).toEqual(["always", "if-gone", "never", "newest"]);
    expect(sorted("status", "--takeover=n")).toEqual(["never", "newest"]);
  });

  test("offers files for --config, and nothing for what it cannot know", () => {
    expect(
      sorted("--config", "packaging/eip-heal.c").map((path) => path.split("/").at(-1)),
    ).toEqual(["eip-heal.conf", "eip-heal.conf.5"]);
    expect(offered("--allocation-id", "")).toEqual([]);
  });
});
