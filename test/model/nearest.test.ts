import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/commands/index.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { nearest } from "../../src/model/nearest.ts";

const KEYS = SETTINGS.map(({ key }) => key);
const NAMES = COMMANDS.map(({ name }) => name);

describe("did you mean", () => {
  test.each([
    ["EIP_HEAL_TAKOVER", KEYS, "EIP_HEAL_TAKEOVER"],
    ["eip_heal_takeover", KEYS, "EIP_HEAL_TAKEOVER"],
    ["EIPHEAL_TAKEOVER", KEYS, "EIP_HEAL_TAKEOVER"],
    ["EIP-HEAL-POOL-TAKOVER", KEYS, "EIP_HEAL_POOL_TAKEOVER"],
    ["doctr", NAMES, "doctor"],
    ["stauts", NAMES, "status"],
    ["hael", NAMES, "heal"],
    ["stat", NAMES, "status"],
    ["checkconfig", NAMES, "check-config"],
    ["dryrun", ["dry-run"], "dry-run"],
    ["wbe", ["api", "web"], "web"],
    ["Allocation_Id", ["Name", "allocation-id"], "allocation-id"],
    ["tatus", NAMES, "status"],
    ["sta", NAMES, "status"],
    // Equally close: the one that is preferred.
    ["hea", ["head", "heal"], "head"],
    ["x".repeat(64), ["x".repeat(64)], "x".repeat(64)],
  ])("%s", (word, known, expected) => {
    expect(nearest(word, known)).toBe(expected);
  });

  test.each([
    ["EIP_HEAL_COLOUR", KEYS],
    ["restart", NAMES],
    ["a", ["b", "ab1"]],
    ["", NAMES],
    ["---", ["-"]],
    ["x".repeat(100_000), NAMES],
    ["x".repeat(65), ["x".repeat(65)]],
    // Two characters are the beginning of too much.
    ["st", NAMES],
    ["heal", ["re-re-heal"]],
    ["healheal", ["heal"]],
    // Swapped is what stands the other way round, both characters of it.
    ["heab", ["hebc"]],
    ["heab", ["heca"]],
  ])("nothing that is near: %.20s", (word, known) => {
    expect(nearest(word, known)).toBeUndefined();
  });

  test("no setting, command or pair of them is taken for another one", () => {
    for (const words of [KEYS, NAMES]) {
      for (const word of words) expect(nearest(word, words)).toBe(word);
    }
  });
});
