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
    "unknown setting EIP_HEAL_TAKE_OVER in /etc/eip-heal.conf; did you mean EIP_HEAL_TAKEOVER? known settings: EIP_HEAL_TAG, EIP_HEAL_TAKEOVER",
    "remove EIP_HEAL_TAKE_OVER from /etc/eip-heal.conf, or give it its right name: EIP_HEAL_TAKEOVER",
  ],
  [
    {
      problem: "invalid value",
      key: "EIP_HEAL_DISPLACE",
      source: "EIP_HEAL_DISPLACE in the environment",
      value: "true",
      accepted: "yes, no",
    },
    'EIP_HEAL_DISPLACE in the environment is "true"; accepted: yes, no',
    "set it to what is accepted: yes, no",
  ],
  [
    {
      problem: "invalid value",
      key: "EIP_HEAL_INTERFACE",
      source: "EIP_HEAL_INTERFACE in /etc/eip-heal.conf",
      value: "ens5",
      accepted: "an interface id",
      meant: { value: "02:00:00:00:00:05", what: "the MAC address of ens5" },
    },
    'EIP_HEAL_INTERFACE in /etc/eip-heal.conf is "ens5"; did you mean 02:00:00:00:00:05, the MAC address of ens5? accepted: an interface id',
    "set it to what is accepted: 02:00:00:00:00:05, the MAC address of ens5, or one of: an interface id",
  ],
  [
    { problem: "named twice", by: ["allocationId", "pool"] },
    "both an allocation id and a pool are set; give one of EIP_HEAL_ALLOCATION_ID and EIP_HEAL_POOL",
    "if one fixed address is meant, remove EIP_HEAL_POOL from the place of EIP_HEAL_POOL",
  ],
  [
    { problem: "named twice", by: ["allocationId", "addressTag", "pool"] },
    "an allocation id, an address tag and a pool are set; give one of EIP_HEAL_ALLOCATION_ID, EIP_HEAL_ADDRESS_TAG and EIP_HEAL_POOL",
    "if one fixed address is meant, remove EIP_HEAL_ADDRESS_TAG from the place of EIP_HEAL_ADDRESS_TAG and EIP_HEAL_POOL from the place of EIP_HEAL_POOL",
  ],
  [
    { problem: "named twice", by: ["addressTag", "pool"] },
    "both an address tag and a pool are set; give one of EIP_HEAL_ADDRESS_TAG and EIP_HEAL_POOL",
    "if the one by its tag is meant, remove EIP_HEAL_POOL from the place of EIP_HEAL_POOL",
  ],
  [
    { problem: "unreadable file", file: "/etc/eip-heal.conf", why: "it is a folder" },
    "cannot read /etc/eip-heal.conf: it is a folder",
    "make /etc/eip-heal.conf a file that everybody may read (chmod 0644)",
  ],
  [
    {
      problem: "unreadable file",
      file: "/etc/eip-heal.conf",
      why: "permission denied",
      isHidden: true,
    },
    "cannot read /etc/eip-heal.conf: permission denied; make /etc/eip-heal.conf a file that everybody may read (chmod 0644), unless it holds keys: these belong in a file for root alone (0600) that EnvironmentFile= in a drop-in of eip-heal.service and eip-heal-recheck.service names",
    "make /etc/eip-heal.conf a file that everybody may read (chmod 0644), unless it holds keys: these belong in a file for root alone (0600) that EnvironmentFile= in a drop-in of eip-heal.service and eip-heal-recheck.service names",
  ],
  [
    {
      problem: "unreadable file",
      file: "/etc/eip-heal.conf",
      why: "EMFILE: too many open files",
      isLasting: false,
    },
    "cannot read /etc/eip-heal.conf: EMFILE: too many open files",
    "run it again: this may pass",
  ],
  [
    {
      problem: "invalid value",
      key: "EIP_HEAL_TAG",
      source: "--tag",
      value: "x".repeat(1_000),
      accepted: "less",
    },
    `--tag is "${"x".repeat(300)}…"; accepted: less`,
    "set it to what is accepted: less",
  ],
  [
    { problem: "more", count: 7 },
    "there are 7 more problems like these: is it the right file?",
    "correct the others first",
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
