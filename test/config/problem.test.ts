import { describe, expect, test } from "vitest";
import { type Problem, remedyFor, sentenceOf } from "../../src/config/problem.ts";

const PROBLEMS: readonly (readonly [Problem, sentence: string, remedy: string])[] = [
  [
    {
      problem: "unknown setting",
      key: "EIP_HEAL_TAKE_OVER",
      where: "/etc/eip-heal.conf",
      known: ["EIP_HEAL_TAG", "EIP_HEAL_TAKEOVER"],
    },
    "unknown setting EIP_HEAL_TAKE_OVER in /etc/eip-heal.conf; known settings: EIP_HEAL_TAG, EIP_HEAL_TAKEOVER",
    "remove EIP_HEAL_TAKE_OVER from /etc/eip-heal.conf, or give it its right name: EIP_HEAL_TAG, EIP_HEAL_TAKEOVER",
  ],
  [
    {
      problem: "invalid value",
      source: "EIP_HEAL_DISPLACE in the environment",
      value: "true",
      accepted: "yes, no",
    },
    'EIP_HEAL_DISPLACE in the environment is "true"; accepted: yes, no',
    "set it to what is accepted: yes, no",
  ],
  [
    { problem: "address and pool" },
    "both an allocation id and a pool are set; give one of EIP_HEAL_ALLOCATION_ID and EIP_HEAL_POOL",
    "if one fixed address is meant, remove EIP_HEAL_POOL from the place of EIP_HEAL_POOL",
  ],
  [
    { problem: "unreadable file", file: "/etc/eip-heal.conf", why: "it is a folder" },
    "cannot read /etc/eip-heal.conf: it is a folder",
    "make /etc/eip-heal.conf a file that everybody may read (chmod 0644)",
  ],
  [
    { problem: "invalid line", file: "/etc/eip-heal.conf", line: 3, why: "not KEY=VALUE: x…" },
    "/etc/eip-heal.conf, line 3: not KEY=VALUE: x…",
    "correct that line, or remove it",
  ],
  [
    {
      problem: "unusable certificates",
      variable: "NODE_EXTRA_CA_CERTS",
      file: "/etc/eip-heal.conf",
      why: "no such file",
    },
    "cannot use NODE_EXTRA_CA_CERTS in /etc/eip-heal.conf: no such file",
    "correct NODE_EXTRA_CA_CERTS in the place of NODE_EXTRA_CA_CERTS, or remove it there",
  ],
];

describe.each(PROBLEMS)("%o", (problem, sentence, remedy) => {
  test("is said in one sentence", () => expect(sentenceOf(problem)).toBe(sentence));
  test("has a remedy", () =>
    expect(remedyFor(problem, (key) => `the place of ${key}`)).toBe(remedy));
});
