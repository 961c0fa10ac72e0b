/** What doctor prints, for a person at a terminal and for a pipe. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { scenario } from "../support/scenario.ts";
import { wordsOf } from "../support/words.ts";
import { doctor } from "./checkup.ts";
import { CHECKS, labelOf } from "../../src/doctor/catalog.ts";
import { ARGUMENTS, PROGRAM } from "../support/agent.ts";
import { ALL, without } from "./changes.ts";
import { onTerminal } from "./terminal.ts";

describe("the screen", () => {
  const row = { breakIt: without("AssociateAddress") };
  const ESCAPE = "\u001b";
  const lines = (text: string) =>
    text
      .replaceAll(new RegExp(`${ESCAPE}\\[\\d*m`, "g"), "")
      .split(new RegExp(`\\r?\\n|\\r${ESCAPE}\\[K`))
      .map((line) => line.replace(/^\r/, ""));

  test("without a terminal: a word, a name, a sentence on each line, and nothing else", async () =>
    scenario(row, async (scene) => {
      const { stdout, status } = await scene.run("doctor");
      expect(status).toBe(77);
      expect(stdout).not.toContain(ESCAPE);
      expect(stdout).toMatch(/^[ -~\n]+$/);
      const told = stdout
        .split("\n")
        .flatMap((line) => /^(\w+) +([\w-]+): \S/.exec(line)?.slice(1, 3) ?? []);
      expect(
        told
          .filter((_, index) => index % 2 === 1)
          .filter((label) => CHECKS.some(([id]) => labelOf(id) === label)),
      ).toEqual(CHECKS.map(([id]) => labelOf(id)));
      expect(stdout).toMatch(
        /^failed {2}associate: not allowed: ec2:AssociateAddress on arn:aws:ec2:\S+/m,
      );
      expect(stdout).toMatch(
        /^ {8}cure: allow ec2:AssociateAddress in the policy of the instance role: eip-heal policy prints it; put-role-policy replaces what the role has under the name eip-heal$/m,
      );
      expect(stdout).toMatch(
        /^ {8}run: aws iam put-role-policy --role-name full --policy-name eip-heal --policy-document '\{/m,
      );
      expect(stdout).toMatch(
        /^ {8}run: aws sts decode-authorization-message --region us-east-1 --encoded-message [\w-]+$/m,
      );
      expect(stdout).toMatch(/exit status 77 \(NOPERM\); begin with: associate\n$/);
    }));

  test("a reader that goes away changes nothing: the exit status is that of the checkup", async () =>
    scenario(row, async (scene) => {
      const { environment, flags } = scene.prepare();
      const piped = await promisify(execFile)(
        "bash",
        [
          "--norc",
          "-c",
          '"$@" doctor | true; echo "${PIPESTATUS[0]}"',
          "bash",
          PROGRAM,
          ...ARGUMENTS,
          ...flags,
        ],
        { env: { ...environment, PATH: process.env["PATH"] } },
      );
      expect(piped).toEqual({ stdout: "77\n", stderr: "" });
    }));

  test("what is skipped for the same reason is one line", async () =>
    scenario(
      { breakIt: without("AssociateAddress", ...ALL.map((one) => one.slice(4))) },
      async (scene) => {
        const { stdout } = await scene.run("doctor");
        expect(stdout).toMatch(
          /^skipped not checked: address, holder, replaces, associate, because of: describe-instances$/m,
        );
      },
    ));

  test("the policy that cures several checks is shown once, and JSON has it with each", async () =>
    scenario({ breakIt: without("DescribeAddresses", "AssociateAddress") }, async (scene) => {
      const { stdout } = await scene.run("doctor");
      expect(stdout.match(/put-role-policy --role-name/g)).toHaveLength(1);
      const cures = stdout.split("\n").filter((line) => /^ {8}cure: allow/.test(line));
      expect(cures).toHaveLength(2);
      expect(cures[1]).toMatch(/ \(command: see describe-addresses\)$/);
      const { checks } = await doctor(scene);
      const commands = checks.flatMap((check) => check.commands ?? []);
      const puts = commands.filter((command) => command.includes("put-role-policy"));
      expect(puts).toHaveLength(2);
      expect(new Set(puts).size).toBe(1);
    }));

  test.each([40, 80, 200])("%d columns wide", async (columns) =>
    scenario(row, async (scene) => {
      const { output, status } = await onTerminal(scene, ["doctor"], columns, {
        LANG: "C.UTF-8",
        TERM: "xterm",
      });
      expect(status).toBe(77);
      expect(output).toContain(ESCAPE);
      expect(output).toContain("\u001b[31m✗\u001b[0m associate");
      const shown = lines(output);
      // Only what has to stay in one piece inside a command may need more.
      const isOnePiece = (line: string) =>
        !/[\s,[{]/.test(
          line
            .trim()
            .replaceAll(/"[^"]*"/g, "")
            .slice(0, -1),
        );
      expect(shown.filter((line) => line.length > columns && !isOnePiece(line))).toEqual([]);
      // What is copied from the screen is the command.
      const from = shown.findIndex((line) => line.includes("$ aws iam"));
      const copied = shown
        .slice(from, shown.findIndex((line) => line.endsWith("}'")) + 1)
        .join("\n")
        .replace("$ ", "");
      const words = wordsOf(copied);
      expect(words.slice(0, 6)).toEqual([
        "aws",
        "iam",
        "put-role-policy",
        "--role-name",
        "full",
        "--policy-name",
      ]);
      const printed = await scene.run("policy");
      expect(JSON.parse(words[8] ?? "")).toEqual(JSON.parse(printed.stdout));
    }),
  );

  test.each<[string, Record<string, string>]>([
    ["NO_COLOR", { NO_COLOR: "1", LANG: "C.UTF-8", TERM: "xterm" }],
    ["TERM=dumb", { TERM: "dumb", LANG: "C.UTF-8" }],
  ])(
    "on a terminal with %s: no escape sequence, and no line that is rewritten",
    async (_, variables) =>
      scenario(row, async (scene) => {
        const { output } = await onTerminal(scene, ["doctor"], 80, variables);
        expect(output).not.toContain(ESCAPE);
        expect(output).not.toMatch(/\r(?!\n)/);
        expect(output).toContain("✗ associate");
      }),
  );

  test("a terminal that shows ASCII only gets words", async () =>
    scenario(row, async (scene) => {
      const { output } = await onTerminal(scene, ["doctor"], 80, { LC_ALL: "C", NO_COLOR: "1" });
      expect(output).toMatch(/^[ -~\r\n]+$/);
      expect(output).toMatch(/^failed {2}associate/m);
    }));
});
