/**
 * The DNS example as docs/operate.md has it, on a booted machine: its script and units, and a real name server beside the
 * cloud. Each test goes on where the one before has left the machine.
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { missing } from "../packages/tools.ts";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { Cloud, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";
import { place } from "../support/machine/place.ts";
import { extrasSystem } from "../support/machine/roots.ts";
import { BIND, NAME, NameServer } from "../support/name-server.ts";
import { eventually } from "../support/run.ts";
import { unless } from "../support/skipping.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/operate.md"), "utf8");
const DNS = "eip-heal-dns.service";
const DNS_TIMER = "eip-heal-dns.timer";
const SERVER = "10.0.0.53";

const system = extrasSystem();
const why = system === undefined ? "no root with nsupdate could be made" : missing(...BIND);

describe("the DNS example", unless(why), () => {
  const world = aWorld();
  const addresses = [world.address(), world.address(), world.address()] as const;
  const [first, second, third] = addresses;
  const self = world.instance({
    tags: { "allocation-id": first.allocationId },
    metadataTags: true,
  });
  const newer = world.instance();

  let cloud: Cloud;
  let machine: Machine;
  let server: NameServer;
  const record = () => server.ask(NAME, "A");

  beforeAll(async () => {
    cloud = await Cloud.start(world);
    await cloud.reachable(SERVER, true);
    server = await NameServer.start(join(place().scratch, "bind"), SERVER, 53);
    machine = await cloud.machine(self, await cloud.bakeAmi(undefined, system?.image));
    await machine.start();
    expect(await machine.waitRunning()).toBe("running");
  });

  afterAll(async () => {
    await server?.stop();
    await cloud?.close();
  });

  stopAtFirstFailure();
  tellOnFailure(async () => `${(await machine.journal(DNS)).join("\n")}\n${await cloud.story()}`);

  test("set up as the page says, it tells DNS the address that is here", async () => {
    for (const [file, folder] of [
      ["eip-heal-dns", "/usr/local/sbin"],
      [DNS, "/etc/systemd/system"],
      [DNS_TIMER, "/etc/systemd/system"],
    ] as const) {
      expect(PAGE).toContain(folder);
      const mode = file === "eip-heal-dns" ? 0o755 : 0o644;
      await machine.copyIn(join(ROOT, "examples/dns", file), join(folder, file), mode);
    }
    await write("/etc/eip-heal-dns.key", server.key, 0o600);
    const settings = ["DNS_UPDATE=nsupdate", `DNS_NAME=${NAME}`, `DNS_SERVER=${SERVER}`];
    for (const line of settings.slice(0, 2)) expect(PAGE).toContain(line);
    await write("/etc/eip-heal-dns.conf", `${settings.join("\n")}\n`, 0o644);
    // Not yet: what follows is to be the work of the unit itself.
    await timerAt("yearly");
    await asThePageHasIt(`systemctl enable --now ${DNS} ${DNS_TIMER}`);
    expect(await record()).toBe(first.publicIp);
    expect(await machine.journal(DNS)).toContain(`${NAME} is ${first.publicIp}`);
  });

  test("a boot tells it the address that this boot has brought", async () => {
    want(second);
    await machine.reboot();
    expect(await machine.waitRunning()).toBe("running");
    expect(await record()).toBe(second.publicIp);
  });

  test("a restart too, and only what has changed is told", async () => {
    await restart();
    want(first);
    await restart();
    expect(await record()).toBe(first.publicIp);
    const told = (await machine.journal(DNS)).filter((line) => line.startsWith(`${NAME} is `));
    expect(told).toEqual([second, first].map(({ publicIp }) => `${NAME} is ${publicIp}`));
  });

  test("a heal that fails tells nothing", async () => {
    cloud.region.region.associate(second.allocationId, newer.instanceId);
    want(second);
    await expect(restart()).rejects.toThrow(UNIT);
    await idle();
    expect(await machine.show(DNS, "ConditionResult")).toEqual(["no"]);
    expect(await record()).toBe(first.publicIp);
  });

  test("while the name server is away the unit is failed, and the heal is not", async () => {
    await server.stop();
    want(third);
    await restart();
    expect(await machine.show(DNS, "ActiveState")).toEqual(["failed"]);
    expect(await machine.show(UNIT, "ActiveState", "Result")).toEqual(["active", "success"]);
    expect(cloud.region.holder(third.allocationId)?.instanceId).toBe(self.instanceId);
  });

  test("its timer tells the server that is back, and an address that a heal by hand has brought", async () => {
    await server.start();
    expect(await record()).toBe(first.publicIp);
    await timerAt("*:*:0/2");
    await eventually("DNS has the address", async () => (await record()) === third.publicIp);
    expect(await machine.waitRunning()).toBe("running");
    want(first);
    await machine.must(["eip-heal"]);
    await eventually("DNS has the address", async () => (await record()) === first.publicIp);
    expect(cloud.region.bugs).toEqual([]);
  });

  /** The instance is told to have another address. */
  function want({ allocationId }: { readonly allocationId: string }): void {
    cloud.region.region.tag(self.instanceId, { "allocation-id": allocationId });
  }

  /** Heals, and waits for what that starts: systemd starts no second one of a unit that is about to run. */
  async function restart(): Promise<void> {
    await machine.must(["systemctl", "restart", UNIT]);
    await idle();
  }

  async function idle(): Promise<void> {
    await eventually("systemd has nothing more to do", async () =>
      (await machine.must(["systemctl", "list-jobs"])).includes("No jobs running."),
    );
  }

  /** Lets the timer elapse at other times. */
  async function timerAt(times: string): Promise<void> {
    const text = `[Timer]\nOnCalendar=\nOnCalendar=${times}\nAccuracySec=1ms\nRandomizedDelaySec=0\n`;
    await write(`/etc/systemd/system/${DNS_TIMER}.d/times.conf`, text, 0o644);
    await machine.must(["systemctl", "daemon-reload"]);
    await machine.must(["systemctl", "try-restart", DNS_TIMER]);
  }

  async function write(path: string, text: string, mode: number): Promise<void> {
    const file = join(machine.root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    await chmod(file, mode);
  }

  /** Runs a command of the page. */
  async function asThePageHasIt(command: string): Promise<void> {
    expect(PAGE).toContain(`    ${command}\n`);
    await machine.sh(command);
  }
});
