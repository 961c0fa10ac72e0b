/**
 * The drop-ins of docs/operate.md's "The address last", as they stand there: the address comes when the application is
 * ready, and not before. Each test goes on where the one before has left the machine.
 */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import type { Builder } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";

const RECHECK = "eip-heal-recheck.service";
const APP = "my-server.service";
/** Takes its time to be ready, and fails unless there is this file. */
const WORKS = "/etc/my-server-works";
const APP_UNIT = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 3; test -e ${WORKS}'
[Install]
WantedBy=multi-user.target
`;

/** The drop-ins, in order: of the heal, of the recheck. */
const [HEAL_LAST = "", RECHECK_LAST = ""] = dropIns();

const world = aWorld();
const address = world.address();
const tags = { "allocation-id": address.allocationId };
const older = world.instance({ tags });
const self = world.instance({ tags, metadataTags: true });
world.hold(address, older);

let cloud: Cloud;
let machine: Machine;

beforeAll(async () => {
  cloud = await Cloud.start(world);
  machine = await cloud.machine(self, await cloud.bakeAmi(prepare));
});

afterAll(async () => {
  await cloud?.close();
});

stopAtFirstFailure();
tellOnFailure(() => cloud.story());

const holder = () => cloud.region.holder(address.allocationId)?.instanceId;

test("an application that does not start leaves the address where it works", async () => {
  await machine.start();
  await machine.waitRunning();
  expect(await machine.show(APP, "ActiveState")).toEqual(["failed"]);
  expect(await machine.show(UNIT, "ActiveState", "ExecMainStartTimestampMonotonic")).toEqual([
    "inactive",
    "0",
  ]);
  expect((await machine.exec(["systemctl", "start", RECHECK])).stderr).toContain(
    "A dependency job",
  );
  expect(cloud.region.calls).toEqual([]);
  expect(holder()).toBe(older.instanceId);
});

test("once it works, the next recheck brings the address", async () => {
  await machine.must(["touch", WORKS]);
  await machine.must(["systemctl", "start", APP]);
  expect(holder()).toBe(older.instanceId);
  await machine.must(["systemctl", "start", RECHECK]);
  expect(holder()).toBe(self.instanceId);
});

test("at a boot the heal begins when the application is ready", async () => {
  cloud.move(address.allocationId, older);
  await machine.reboot();
  expect(await machine.waitRunning()).toBe("running");
  const at = async (unit: string, moment: string) =>
    Number((await machine.show(unit, `${moment}TimestampMonotonic`))[0]);
  const ready = await at(APP, "ExecMainExit");
  expect(ready).toBeGreaterThan(0);
  expect(await at(UNIT, "ExecMainStart")).toBeGreaterThan(ready);
  expect(holder()).toBe(self.instanceId);
});

/** Code blocks of the section, without their indentation. */
function dropIns(): string[] {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/operate.md"), "utf8");
  const section = page.split(/^#+ /m).find((text) => text.startsWith("The address last\n")) ?? "";
  return [...section.matchAll(/(?:^ {4}.*\n)+/gm)].map(([block]) =>
    block.replaceAll(/^ {4}/gm, ""),
  );
}

async function prepare(builder: Builder): Promise<void> {
  expect([HEAL_LAST, RECHECK_LAST].map((text) => text.includes(APP))).toEqual([true, true]);
  const files: Record<string, string> = {
    [APP]: APP_UNIT,
    [`${UNIT}.d/override.conf`]: HEAL_LAST,
    [`${RECHECK}.d/override.conf`]: RECHECK_LAST,
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(builder.root, "etc/systemd/system", name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  await builder.must(["systemctl", "enable", "--quiet", APP]);
}
