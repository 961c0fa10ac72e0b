import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { trials } from "../support/properties.ts";
import { wordsOf } from "../support/words.ts";
import * as remedies from "../../src/doctor/remedies.ts";
import { linesOf } from "../../src/report/screen.ts";

const SELF = {
  instanceId: "i-00000000000000001",
  region: "us-east-1",
  zone: "us-east-1a",
  interfaces: [],
};

/** A command as a terminal of so many columns shows it. */
function shown(command: string, columns: number): string {
  const row = { label: "x", text: "y", commands: [command] };
  const lines = linesOf(row, { columns, colour: false, unicode: true }, 18);
  return lines
    .slice(lines.findIndex((line) => line.startsWith("  $ ")))
    .join("\n")
    .slice(4);
}

/** What a tag can hold, and what a shell would make something of. */
const text = fc
  .array(
    fc.constantFrom(
      "a",
      " ",
      "'",
      '"',
      "$(id)",
      "`id`",
      ";",
      "&",
      "\\",
      "{b,c}",
      "[",
      ",",
      "*",
      "!",
      "é",
      "-",
    ),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  .map((parts) => parts.join(""))
  .filter((value) => value.trim() !== "");

describe("a command can be pasted, whatever the tags hold", () => {
  /** As the AWS CLI reads it: JSON, or its shorthand, in which a comma ends a value. */
  const structureOf = (word = ""): unknown =>
    word.startsWith("[")
      ? (JSON.parse(word) as unknown[])[0]
      : Object.fromEntries(word.split(",").map((pair) => pair.split(/=(.*)/s).slice(0, 2)));

  test.each(trials(40))("of a tag (seed $seed)", (trial) => {
    fc.assert(
      fc.property(text, text, fc.integer({ min: 20, max: 200 }), (key, value, columns) => {
        const { region, instanceId } = SELF;
        const tagging = remedies.tagResource(region, instanceId, { key, value });
        expect(structureOf(wordsOf(tagging).at(-1))).toEqual({ Key: key, Value: value });
        expect(wordsOf(shown(tagging, columns))).toEqual(wordsOf(tagging));
        const group = remedies.tagGroup(region, value, { key, value: "eipalloc-1" });
        const tag = structureOf(wordsOf(shown(group, columns)).at(-1));
        expect(tag).toMatchObject({ ResourceId: value, Key: key, Value: "eipalloc-1" });
        const untagging = remedies.untagResource(region, instanceId, key);
        expect(structureOf(wordsOf(shown(untagging, columns)).at(-1))).toEqual({ Key: key });
        const untagged = structureOf(wordsOf(remedies.untagGroup(region, value, key)).at(-1));
        expect(untagged).toMatchObject({ ResourceId: value, Key: key });
      }),
      trial,
    );
  });

  test.each([
    ["us-east-1", "ec2.amazonaws.com"],
    ["cn-northwest-1", "ec2.amazonaws.com.cn"],
    // Not by the domain of the partition: IAM does not know that principal there.
    ["eusc-de-east-1", "ec2.amazonaws.com"],
  ])("whom a role in %s has to trust", (region, service) => {
    expect(remedies.trustStatement(region)).toBe(
      `{ "Effect": "Allow", "Principal": { "Service": "${service}" }, "Action": "sts:AssumeRole" }`,
    );
  });

  test.each(trials(40))("a policy (seed $seed)", (trial) => {
    fc.assert(
      fc.property(text, text, fc.integer({ min: 20, max: 200 }), (key, value, columns) => {
        const policy = {
          Statement: [
            {
              Action: ["a:B", "a:C"],
              Resource: "*",
              Condition: { StringEquals: { [key]: value } },
            },
            { Resource: "*:${ec2:InstanceID}", Condition: {} },
          ],
        };
        const command = remedies.grant("web", policy);
        for (const pasted of [command, shown(command, columns)]) {
          const words = wordsOf(pasted);
          expect(words.slice(0, -1)).toEqual(
            "aws iam put-role-policy --role-name web --policy-name eip-heal --policy-document".split(
              " ",
            ),
          );
          expect(JSON.parse(words.at(-1) ?? "")).toEqual(policy);
        }
      }),
      trial,
    );
  });
});
