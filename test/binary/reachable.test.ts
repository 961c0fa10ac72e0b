/** A success that waits until requests show the address (EIP_HEAL_WAIT_REACHABLE): the real binary and a server that tells. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HOOK_ROLE } from "../../sim/iam.ts";
import { makeAuthority } from "../support/certificates.ts";
import { inFolder } from "../support/region.ts";
import { type Scene, scenario, type Start } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";
import { HOOK, inGroup } from "./changes.ts";
import { type Page, withPage } from "./page.ts";

const publicIpOf = ({ region, allocationId }: Scene): string =>
  region.region.records.address(allocationId)?.publicIp ?? "";
const OTHER = "198.51.100.9";

/** Plays a story in which the page is waited for. */
function play(
  story: (scene: Scene, page: Page) => Promise<void>,
  start: Start = {},
): Promise<void> {
  return withPage((page) =>
    scenario({ start }, async (scene) => {
      scene.conf = [`EIP_HEAL_WAIT_REACHABLE=${page.url.href}`];
      await story(scene, page);
    }),
  );
}

describe.concurrent("a heal that waits for requests", () => {
  test("succeeds once they show the address, and a recheck that finds it in place asks none", () =>
    play(async (scene, page) => {
      const publicIp = publicIpOf(scene);
      page.answers = [OTHER, `{"ip":"${publicIp}"}`];
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(page.asked).toBe(2);
      expect(healed.log[0]).toMatch(
        /^the address is associated, but requests from here still show 198\.51\.100\.9 \(waiting until requests show [\d.]+: GET http:\/\/127\.0\.0\.1:\d+\/\); asked again until the deadline$/,
      );
      expect(healed.env).toContain(`EIP_HEAL_PUBLIC_IP=${publicIp}`);
      expect((await scene.run("recheck")).status).toBe(0);
      expect(page.asked).toBe(2);
    }));

  test("a recheck that brings the address back asks", () =>
    play(async (scene, page) => {
      page.answers = [publicIpOf(scene)];
      expect((await scene.run()).status).toBe(0);
      scene.region.region.disassociate(scene.allocationId);
      const back = await scene.run("recheck");
      expect(back.status, back.log.join("\n")).toBe(0);
      expect(back.result).toMatchObject({ outcome: "settled", change: "associated" });
      expect(page.asked).toBe(2);
    }));

  test("fails with the cause first, and the address stays; the next run asks again", () =>
    play(async (scene, page) => {
      page.answers = [OTHER];
      const failed = await scene.run("--deadline", "20s");
      expect(failed.status, failed.log.join("\n")).toBe(75);
      expect(failed.log.at(-1)).toMatch(
        /^FAILED \(75\): the address is associated, but requests from here still show 198\.51\.100\.9; .*; run: eip-heal doctor$/,
      );
      expect(failed.result).toMatchObject({ outcome: "failed", code: "NotReachable" });
      expect(failed.env).toBeUndefined();
      expect(scene.region.holder(scene.allocationId)?.instanceId).toBe(scene.me.instanceId);

      const checkup = await doctor(scene);
      expect(checkup).toMatchObject({ first: "reachable", exitStatus: 75 });
      page.answers = [publicIpOf(scene)];
      expect((await doctor(scene)).checks.find(({ id }) => id === "reachable")?.mark).toBe("ok");
      const before = page.asked;
      const again = await scene.run();
      expect(again.status, again.log.join("\n")).toBe(0);
      expect(again.result).toMatchObject({ outcome: "settled", change: "none" });
      expect(page.asked).toBe(before + 1);
      expect([failed, again].flatMap(({ log }) => log).join("\n")).not.toContain("geheim");
      expect(JSON.stringify([failed.result, checkup])).not.toContain("geheim");
    }));

  test("leaves the lifecycle hook as it is if they do not, and lets the instance go into service if they do", () =>
    play(async (scene, page) => {
      scene.conf?.push(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`);
      scene.region.region.waitUnderHook(scene.me.instanceId, HOOK);
      scene.region.region.setPolicy(scene.me.role ?? "", HOOK_ROLE);
      page.answers = [OTHER];
      const failed = await scene.run("--deadline", "20s");
      expect(failed.status).toBe(75);
      expect(failed.result?.["lifecycleHook"]).toMatchObject({ outcome: "left" });
      page.answers = [publicIpOf(scene)];
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.result?.["lifecycleHook"]).toMatchObject({
        outcome: "completed",
        result: "CONTINUE",
      });
    }, inGroup));

  test("over TLS trusts the certificates of AWS_CA_BUNDLE, and no others", () =>
    inFolder(async (folder) => {
      const authority = await makeAuthority(join(folder, "ca"));
      await withPage(
        (page) =>
          scenario({}, async (scene) => {
            page.answers = [publicIpOf(scene)];
            scene.conf = [`EIP_HEAL_WAIT_REACHABLE=${page.url.href}`];
            const distrusted = await scene.run("--deadline", "4s");
            expect(distrusted.status).toBe(75);
            expect(distrusted.log.at(-1)).toContain(
              `the address is associated, but ${page.url.host}: its certificate is not trusted`,
            );
            expect(page.asked).toBe(0);
            scene.environment["AWS_CA_BUNDLE"] = authority.file;
            const trusted = await scene.run();
            expect(trusted.status, trusted.log.join("\n")).toBe(0);
            expect(page.asked).toBe(1);
          }),
        await authority.issue("localhost"),
      );
    }));

  test("says that the URL cannot be reached", () =>
    scenario({}, async (scene) => {
      scene.conf = ["EIP_HEAL_WAIT_REACHABLE=http://somebody:geheim@127.0.0.1:1/"];
      const before = (await doctor(scene)).checks.find(({ id }) => id === "reachable");
      expect(before).toMatchObject({ mark: "warning" });
      const { status, log } = await scene.run("--deadline", "20s");
      expect(status).toBe(75);
      expect(log.at(-1)).toMatch(
        /^FAILED \(75\): the address is associated, but 127\.0\.0\.1:1: connection refused \(ECONNREFUSED\); does 127\.0\.0\.1:1 answer from here, by IPv4\? name one that does, or remove EIP_HEAL_WAIT_REACHABLE \(waiting until requests show [\d.]+: GET http:\/\/127\.0\.0\.1:1\/\)/,
      );
    }));

  test("never shows what is secret in the URL, not even if it is none", () =>
    scenario({}, async (scene) => {
      scene.conf = ["EIP_HEAL_WAIT_REACHABLE=ftp://somebody:geheim@example.com/?key=geheim"];
      const { status, log } = await scene.run();
      expect(status).toBe(78);
      expect(log.join("\n")).toContain("EIP_HEAL_WAIT_REACHABLE in");
      expect(log.join("\n")).toContain("accepted: an https:// or http:// URL");
      expect(log.join("\n")).not.toContain("geheim");
      const { stdout } = await scene.run("doctor", "--json");
      expect(stdout).not.toContain("geheim");
    }));
});
