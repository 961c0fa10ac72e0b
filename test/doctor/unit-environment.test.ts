/** What the unit has in its environment and a command that is run by hand has not: it is named, and how to have it too. */
import { describe, expect, test } from "vitest";
import { unseenEnvironment } from "../../src/doctor/unit-environment.ts";
import type { Unit } from "../../src/model/unit.ts";

const UNIT: Unit = {
  enablement: "enabled",
  activity: "active",
  isQueued: false,
  result: "success",
  needsReload: false,
  variables: ["HOME"],
  environmentFiles: [],
  dropIns: [],
};
const KEYS = "/etc/eip-heal.keys";
const DROP_IN = "/etc/systemd/system/eip-heal.service.d/keys.conf";

const unseen = (unit: Partial<Unit>, ...given: string[]) =>
  unseenEnvironment(
    { ...UNIT, ...unit },
    (name) => given.includes(name),
    "/etc/eip-heal.conf",
    "eip-heal doctor",
  );

describe("nothing is missing", () => {
  test.each<[string, Partial<Unit>]>([
    ["in the unit as it is shipped", {}],
    [
      "where a drop-in is about something else",
      { dropIns: [DROP_IN], variables: ["HOME", "LANG"] },
    ],
    ["where this command has it, too", { variables: ["EIP_HEAL_TAG"] }],
    [
      "where it reads the same settings file",
      { environmentFiles: [{ path: "/etc/eip-heal.conf", variables: ["EIP_HEAL_TAKEOVER"] }] },
    ],
    ["where a file sets nothing", { environmentFiles: [{ path: KEYS, variables: [] }] }],
  ])("%s", (_, unit) => {
    expect(unseen(unit, "EIP_HEAL_TAG")).toBeUndefined();
  });
});

test("a variable of a drop-in is named, and its value is not asked for", () => {
  expect(unseen({ variables: ["AWS_REGION", "https_proxy"], dropIns: [DROP_IN] })).toEqual({
    what: `AWS_REGION, https_proxy (${DROP_IN})`,
    command: "env AWS_REGION=... https_proxy=... eip-heal doctor",
  });
});

test("systemd reads a file for whoever may not", () => {
  const environmentFiles = [{ path: KEYS }];
  expect(unseen({ environmentFiles, dropIns: [DROP_IN] })).toEqual({
    what: `what ${KEYS} sets, which only root may read (${KEYS}, ${DROP_IN})`,
    command: `sudo systemd-run --quiet --pipe --wait -p EnvironmentFile=${KEYS} eip-heal doctor`,
  });
});

test("a file and a variable go together", () => {
  const variables = ["AWS_ACCESS_KEY_ID", "LANG"];
  expect(
    unseen({ environmentFiles: [{ path: KEYS, variables }], variables: ["AWS_REGION"] }),
  ).toEqual({
    what: `AWS_REGION, AWS_ACCESS_KEY_ID (${KEYS})`,
    command: `sudo systemd-run --quiet --pipe --wait -p EnvironmentFile=${KEYS} -E AWS_REGION=... eip-heal doctor`,
  });
});
