/** A run that succeeds only once requests show the address (EIP_HEAL_WAIT_REACHABLE). */
import { describe, expect, test } from "vitest";
import { EXIT, Failure } from "../../src/model/failure.ts";
import { conclude } from "../../src/reconcile/hook.ts";
import { heal, type HealOptions } from "../../src/run/heal.ts";
import { notShown } from "../../src/run/reachable.ts";
import { address, ALLOCATION, HERE, NOBODY, other, PUBLIC_IP } from "../reconcile/fixtures.ts";
import { settingsOf } from "../support/settings.ts";
import { inTime, inTurn, observed, type Script, scripted, SIGTERM } from "./scripted.ts";

const URL_ = "https://user:geheim@checkip.example.com/ip?token=geheim";
const SETTINGS = {
  EIP_HEAL_ALLOCATION_ID: ALLOCATION,
  EIP_HEAL_WAIT_REACHABLE: URL_,
  EIP_HEAL_DEADLINE: "30s",
};
const GET = `GET ${URL_}`;
const SHOWN = { publicIp: PUBLIC_IP };
const OTHER = { publicIp: "198.51.100.9" };
const IS_HERE = observed(address(HERE));
const free = (): Script => ({
  observe: inTurn(observed(address(NOBODY)), IS_HERE),
  associate: () => {},
});

interface Play extends HealOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly stopAt?: number;
}

async function play(script: Script, { settings = {}, stopAt, ...options }: Play = {}) {
  const world = scripted(script);
  const { time, ports } = world;
  const stop = new AbortController();
  if (stopAt !== undefined) void time.sleep(stopAt).then(() => stop.abort(SIGTERM));
  const wanted = settingsOf({ ...SETTINGS, ...settings });
  const outcome = await inTime(time, heal(wanted, ports, options, stop.signal));
  const gets = world.calls.filter((call) => call.endsWith(GET)).map((call) => parseInt(call, 10));
  return { ...world, outcome, gets };
}

describe("a run that waits for requests", () => {
  test("succeeds once they show the address, after EC2 and the hold", async () => {
    const { outcome, gets } = await play({
      ...free(),
      publicIpBy: inTurn<typeof SHOWN | Failure>(
        new Failure("unreachable", { why: "no answer" }),
        OTHER,
        SHOWN,
      ),
    });
    expect(outcome).toMatchObject({ end: "settled", change: "associated", tries: 1, ms: 9_000 });
    expect(gets).toEqual([6_000, 7_500, 9_000]);
  });

  test("asks where the address was here already, too", async () => {
    const { outcome, gets } = await play({ observe: () => IS_HERE, publicIpBy: () => SHOWN });
    expect(outcome).toMatchObject({ end: "settled", change: "none" });
    expect(gets).toEqual([0]);
  });

  test("fails at the deadline with the cause first, and leaves the address and the hook as they are", async () => {
    const { outcome, gets, log } = await play({ ...free(), publicIpBy: () => OTHER });
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
    if (outcome.end !== "failed") throw new Error("it has not failed");
    expect(outcome.failure.message).toMatch(
      /^the address is associated, but requests from here still show 198\.51\.100\.9; do requests to checkip\.example\.com leave by a NAT/,
    );
    expect(outcome.failure.code).toBe("NotReachable");
    expect(outcome.failure.step).toBe(`waiting until requests show ${PUBLIC_IP}`);
    expect(outcome.ms).toBeLessThanOrEqual(30_000);
    expect(gets.at(-1)).toBeGreaterThan(28_000);
    expect(conclude(outcome, outcome.facts)).toMatchObject({ do: "leave" });
    // Said at once, with what the URL shows instead, and once.
    const warnings = log.filter((line) => line.startsWith("warn the address is associated"));
    expect(warnings).toEqual([
      `warn the address is associated, but requests from here still show 198.51.100.9 (waiting until requests show ${PUBLIC_IP}: GET https://checkip.example.com/ip); asked again until the deadline`,
    ]);
    expect([...log, outcome.failure.message].join("\n")).not.toContain("geheim");
  });

  test("says so again only if it changes", async () => {
    const silent = new Failure("unreachable", { why: "no answer" });
    const { log } = await play({
      ...free(),
      publicIpBy: inTurn<typeof SHOWN | Failure>(silent, silent, OTHER, OTHER, silent, SHOWN),
    });
    const said = log.filter((line) => line.includes("asked again until the deadline"));
    expect(said.map((line) => /no answer|198\.51\.100\.9/.exec(line)?.[0])).toEqual([
      "no answer",
      "198.51.100.9",
      "no answer",
    ]);
    expect(said.every((line) => line.startsWith("warn "))).toBe(true);
  });

  test("names the URL, what it shows and the cure when it fails", async () => {
    const { outcome } = await play({ ...free(), publicIpBy: () => OTHER });
    if (outcome.end !== "failed") throw new Error("it has not failed");
    for (const word of [
      "GET https://checkip.example.com/ip",
      "198.51.100.9",
      "or remove EIP_HEAL_WAIT_REACHABLE",
    ]) {
      expect(outcome.failure.message).toContain(word);
    }
  });

  test("says why the URL does not answer", async () => {
    const why = "checkip.example.com: connection refused (ECONNREFUSED)";
    const request = "GET https://checkip.example.com/ip";
    const { outcome } = await play({
      ...free(),
      publicIpBy: () => new Failure("unreachable", { why, request }),
    });
    if (outcome.end !== "failed") throw new Error("it has not failed");
    expect(outcome.failure.message).toContain(`the address is associated, but ${why}`);
    expect(outcome.failure.message).toContain(request);
    expect(outcome.failure.message).toContain(
      "does checkip.example.com answer from here, by IPv4? name one that does, or remove",
    );
  });

  test("is ended by a bug like any other", async () => {
    const bug = new TypeError("a bug");
    const publicIpBy = () => {
      throw bug;
    };
    await expect(play({ ...free(), publicIpBy })).rejects.toBe(bug);
  });

  describe("meanwhile the address may go elsewhere, so", () => {
    const NEWER = observed(address(other("running", 60)));
    const looksAfter = (calls: readonly string[], ms: number) =>
      calls.filter((call) => call.includes(" observe ") && parseInt(call, 10) > ms).length;

    test("a success after a wait rests on one more look, and one without a wait on none", async () => {
      const waited = await play({ ...free(), publicIpBy: inTurn(OTHER, OTHER, SHOWN) });
      expect(waited.outcome).toMatchObject({ end: "settled", change: "associated", tries: 1 });
      expect(looksAfter(waited.calls, 6_000)).toBe(1);
      expect(waited.gets).toEqual([6_000, 7_500, 9_000]);
      expect(waited.outcome.asOf).toBe(9_000);
      const { asked } = await play({ ...free(), publicIpBy: () => SHOWN });
      // Before the write, after it, and after the hold.
      expect(asked().filter((call) => call.startsWith("observe"))).toHaveLength(3);
    });

    test("EC2 is looked at again after 15 s, unless the look may not be finished before the deadline", async () => {
      const script = { ...free(), publicIpBy: () => OTHER };
      const again = await play(script, { settings: { EIP_HEAL_DEADLINE: "27s" } });
      expect(looksAfter(again.calls, 6_000)).toBe(1);
      expect(again.calls).toContain(`19500 observe ${ALLOCATION}`);
      const late = { ...free(), publicIpBy: () => OTHER };
      const not = await play(late, { settings: { EIP_HEAL_DEADLINE: "26s" } });
      expect(looksAfter(not.calls, 6_000)).toBe(0);
    });

    test("one that has gone to a newer instance is left to it, whatever requests show", async () => {
      for (const shown of [OTHER, SHOWN]) {
        const { outcome } = await play({
          observe: inTurn(IS_HERE, NEWER),
          publicIpBy: inTurn(OTHER, shown),
        });
        expect(outcome).toMatchObject({ end: "failed", status: EXIT.UNAVAILABLE, isPlaced: false });
        expect(outcome.ms).toBeLessThan(20_000);
      }
    });

    test("one that was moved away is brought back, and requests have to show it again", async () => {
      const { outcome, gets } = await play({
        observe: inTurn(IS_HERE, observed(address(NOBODY)), IS_HERE),
        associate: () => {},
        publicIpBy: inTurn(OTHER, SHOWN, OTHER, SHOWN),
      });
      expect(outcome).toMatchObject({ end: "settled", change: "associated" });
      expect(gets).toEqual([0, 1_500, 7_500, 9_000]);
    });

    test("it is not associated anew each time, where that was asked for once", async () => {
      const { outcome, asked } = await play(
        {
          observe: () => IS_HERE,
          associate: () => new Failure("unreachable", { why: "no answer" }),
          publicIpBy: () => OTHER,
        },
        { force: true },
      );
      expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
      expect(asked().filter((call) => call.startsWith("associate"))).toHaveLength(1);
    });
  });

  test("asks once where the hold has used up the time", async () => {
    const settings = { EIP_HEAL_DEADLINE: "3s" };
    const { outcome, gets } = await play({ ...free(), publicIpBy: () => SHOWN }, { settings });
    expect(outcome).toMatchObject({ end: "settled" });
    expect(gets).toEqual([6_000]);
    const late = await play({ ...free(), publicIpBy: () => OTHER }, { settings });
    expect(late.outcome).toMatchObject({ end: "failed", isPlaced: true });
    expect(late.gets).toEqual([6_000]);
  });

  describe("if the deadline leaves no time to look at EC2 again", () => {
    const settings = { EIP_HEAL_DEADLINE: "3s" };
    const slowly = (get: number) => ({
      ...free(),
      takes: (request: string) => (request === "GET" ? get : 0),
      publicIpBy: () => SHOWN,
    });

    test("success rests on the look that ended the hold", async () => {
      for (const get of [900, 1_200, 4_900]) {
        const { outcome } = await play(slowly(get), { settings });
        expect(outcome).toMatchObject({ end: "settled", change: "associated", asOf: 6_000 });
      }
    });

    test("also where the look has begun, unless it shows something else", async () => {
      const ends: string[] = [];
      for (const slow of ["instance", "spotAction"]) {
        const asked: string[] = [];
        const { outcome } = await play(
          {
            observe: inTurn(observed(address(NOBODY)), IS_HERE, IS_HERE, observed(address(NOBODY))),
            associate: () => {},
            spotAction: () => undefined,
            takes: (request) => {
              asked.push(request);
              const isAgain = asked.filter((one) => one === request).length > 1;
              return request === "GET" ? 1_500 : request === slow && isAgain ? 1_000 : 0;
            },
            publicIpBy: () => SHOWN,
          },
          { settings: { EIP_HEAL_DEADLINE: "8s" } },
        );
        ends.push(outcome.end);
      }
      expect(ends).toEqual(["settled", "failed"]);
    });

    test("a look that EC2 refuses was not cut short: the refusal is the cause", async () => {
      const refusal = new Failure("denied", { why: "not allowed" });
      const { outcome } = await play(
        {
          observe: inTurn<typeof IS_HERE | Failure>(
            observed(address(NOBODY)),
            IS_HERE,
            IS_HERE,
            refusal,
          ),
          associate: () => {},
          takes: (request) => (request === "GET" ? 1_500 : 0),
          publicIpBy: () => SHOWN,
        },
        { settings: { EIP_HEAL_DEADLINE: "8s" } },
      );
      expect(outcome).toMatchObject({ end: "failed", status: EXIT.NOPERM, isPlaced: true });
    });

    test("one that is too old is not enough, and the failure says what was not done", async () => {
      const { outcome } = await play(
        {
          ...free(),
          takes: (request) => (request === "GET" ? 4_500 : 0),
          publicIpBy: inTurn(OTHER, SHOWN),
        },
        { settings: { EIP_HEAL_DEADLINE: "14s" } },
      );
      expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
      if (outcome.end !== "failed") throw new Error("it has not failed");
      expect(outcome.failure.message).toContain(
        `requests show ${PUBLIC_IP}, but the deadline came before EC2 had confirmed`,
      );
    });

    test("a URL that does not show the address is the cause, not the look that was cut short", async () => {
      let looks = 0;
      const { outcome, calls } = await play(
        {
          ...free(),
          takes: (request) => (request === "observe" && ++looks > 3 ? 15_000 : 0),
          publicIpBy: () => OTHER,
        },
        { settings: { EIP_HEAL_DEADLINE: "27s" } },
      );
      expect(calls.at(-2)).toBe(`19500 observe ${ALLOCATION}`);
      expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
      if (outcome.end !== "failed") throw new Error("it has not failed");
      expect(outcome.failure.code).toBe("NotReachable");
      expect(outcome.failure.message).toContain(
        "do requests to checkip.example.com leave by a NAT",
      );
    });
  });

  test("stops when somebody stops it, or has released the address", async () => {
    const stopped = await play({ ...free(), publicIpBy: () => OTHER }, { stopAt: 8_000 });
    expect(stopped.outcome).toEqual(
      expect.objectContaining({
        end: "stopped",
        because: `stopped by SIGTERM while waiting until requests show ${PUBLIC_IP}`,
      }),
    );
    let looks = 0;
    const wasReleased = () => ++looks > 4;
    const shared = { wasReleased, withdraw: () => {} };
    const released = await play({ ...free(), publicIpBy: () => OTHER }, { shared });
    expect(released.outcome.end).toBe("stopped");
    expect(released.gets.length).toBeLessThan(5);
  });

  test("cannot tell where the role may not see which address it is", async () => {
    const { publicIp: _, ...unknown } = address(HERE);
    const { outcome, gets } = await play({ observe: () => observed(unknown) });
    expect(gets).toEqual([]);
    expect(outcome).toMatchObject({ end: "failed", status: EXIT.TEMPFAIL, isPlaced: true });
    if (outcome.end !== "failed") throw new Error("it has not failed");
    expect(outcome.failure.message).toContain("only ec2:DescribeAddresses tells");
  });

  test("asks nothing in a dry run, without the setting, and where nothing was to be verified", async () => {
    const dry = await play({ ...free(), publicIpBy: () => OTHER }, { dryRun: true });
    expect(dry.outcome.end).toBe("would");
    expect(dry.gets).toEqual([]);
    const off = await play(free(), { settings: { EIP_HEAL_WAIT_REACHABLE: "" } });
    expect(off.outcome.end).toBe("settled");
    const verified = await play({ observe: () => IS_HERE }, { mustShow: false });
    expect(verified.outcome.end).toBe("settled");
    const moved = await play({ ...free(), publicIpBy: () => SHOWN }, { mustShow: false });
    expect(moved.gets).toEqual([6_000]);
  });
});

test("an address that a proxy shows is the proxy's: the cure is to go round it", () => {
  const { why, remedy } = notShown(new URL(URL_), { ...OTHER, proxyVariable: "HTTPS_PROXY" });
  expect(why).toContain("still show 198.51.100.9");
  expect(remedy).toBe(
    "they go through the proxy of HTTPS_PROXY: name checkip.example.com in NO_PROXY",
  );
});
