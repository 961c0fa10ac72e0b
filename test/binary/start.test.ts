/**
 * What the binary does without: memory that is writable and executable, much memory, the machine's configuration of
 * OpenSSL. Node asks for them before the first line of JavaScript, which could neither help it nor say so.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { makeAuthority } from "../support/certificates.ts";
import { allow } from "../../sim/iam.ts";
import { ARGUMENTS, type AgentRun, run } from "../support/agent.ts";
import { scenario, type Setting, type Start } from "../support/scenario.ts";

const files = mkdtempSync(join(tmpdir(), "eip-heal-start-"));
const authority = await makeAuthority(files);
const tls = await authority.issue("localhost");
afterAll(() => rmSync(files, { recursive: true }));

/** Under PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN, since Linux 6.3: prctl(2). */
const REFUSING =
  "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0 or sys.exit(1); os.execv(sys.argv[1], sys.argv[1:])";

/** With this text as the machine's openssl.cnf, for root too, who is nobody special there. */
function withOpenssl(name: string, text: string, mode = 0o644): readonly string[] {
  const file = join(files, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  const command =
    '/bin/mount --bind "$1" /etc/ssl/openssl.cnf && shift && exec /usr/bin/setpriv --bounding-set=-all -- "$@"';
  return [
    "/usr/bin/unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "/bin/sh",
    "-c",
    command,
    "sh",
    file,
  ];
}

/** A configuration whose section for Node activates a provider. */
const activating = (name: string, ...lines: string[]) =>
  `nodejs_conf = node\n[node]\nproviders = all\n[all]\n${name} = one\n[one]\nactivate = 1\n${lines.join("\n")}\n`;

interface Machine {
  readonly name: string;
  /** What starts a program as it would start there. */
  readonly through: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const MACHINES: readonly Machine[] = [
  {
    name: "memory that is writable and executable is refused",
    through: ["/usr/bin/python3", "-c", REFUSING],
  },
  {
    name: "a program may have 150 MB of data",
    through: ["/usr/bin/prlimit", "--data=150000000", "--"],
  },
  { name: "openssl.cnf is not for everybody", through: withOpenssl("closed.cnf", "", 0) },
  {
    name: "openssl.cnf has a mistake in it",
    through: withOpenssl("mistake.cnf", "[not closed\n"),
  },
  {
    name: "openssl.cnf activates the FIPS provider",
    through: withOpenssl("fips.cnf", activating("fips")),
  },
  {
    name: "openssl.cnf activates a provider that is not there",
    through: withOpenssl("absent.cnf", activating("hsm", "module = /nonexistent/hsm.so")),
  },
  {
    name: "OPENSSL_CONF names a file with a mistake in it",
    through: ["/usr/bin/env"],
    environment: { OPENSSL_CONF: join(files, "mistake.cnf") },
  },
];

/** An instance of a region whose EC2 speaks TLS. */
const overTls = (start: Start = {}): Setting => ({
  start: { ...start, region: { tls } },
  breakIt: (scene) => {
    scene.ec2Url = scene.ec2Url.replace("127.0.0.1", "localhost");
    Object.assign(scene.environment, {
      NODE_EXTRA_CA_CERTS: authority.file,
      AWS_ENDPOINT_URL_AUTO_SCALING: scene.region.autoScalingUrl.replace("127.0.0.1", "localhost"),
    });
  },
});

const onSources = ARGUMENTS.length > 0 ? "the sources run on a Node as it is" : undefined;

describe("the binary", { ...unless(onSources), timeout: 120_000 }, () => {
  describe.concurrent.each(MACHINES)("where $name", ({ through, environment = {} }) => {
    const bare = (...command: string[]) => {
      const [program = "", ...args] = [...through, ...command];
      return spawnSync(program, args, { env: environment }).status;
    };
    // A kernel may be too old for the one, and a machine for tests may allow no namespaces.
    const isPossible = bare("/bin/true") === 0;
    const options = unless(isPossible ? undefined : "this machine cannot be made like that");

    test("a Node as it is does not start", options, ({ expect }) => {
      expect(bare(process.execPath, "--eval", "0")).not.toBe(0);
    });

    test("heals, rechecks, looks and prints its policy", options, async ({ expect }) => {
      await scenario(overTls(), async (scene) => {
        const { region, allocationId, me } = scene;
        const agent = (command: string): Promise<AgentRun> => {
          const here = scene.prepare();
          return run(
            { ...here.environment, ...environment },
            { flags: [...here.flags, command], runtime: scene.runtime, through },
          );
        };
        const expectHere = async (command: string) => {
          const { status, log } = await agent(command);
          expect(status, log.join("\n")).toBe(0);
          expect(log.at(-1)).toContain(`associated ${allocationId}`);
          expect(region.holder(allocationId)?.instanceId).toBe(me.instanceId);
        };
        await expectHere("heal");
        region.region.disassociate(allocationId);
        await expectHere("recheck");
        expect(await agent("doctor")).toMatchObject({ status: 0, log: [] });
        const { stdout, ...policy } = await agent("policy");
        expect(policy).toMatchObject({ status: 0 });
        expect(JSON.parse(stdout)).toHaveProperty("Statement");
      });
    });
  });

  /** The parts of Node that are named in what NODE_DEBUG_NATIVE=code_cache makes it say. */
  const partsIn = (log: readonly string[]) =>
    log.flatMap((line) => /^Compiling (\S+) with(?:out)? code cache/.exec(line)?.[1] ?? []);
  const TELLING = { NODE_DEBUG_NATIVE: "code_cache" };
  /** The client of fetch, which parses answers by WebAssembly, and what finds the exports of a CommonJS module by it. */
  const BY_WEBASSEMBLY = /undici|wasm|lexer|amaro/;

  test("loads no part of Node that needs WebAssembly, and finds code caches that hold", async () => {
    const inGroup = { instance: { group: "web" }, groups: { web: "launch" } };
    await scenario(overTls(inGroup), async (scene) => {
      Object.assign(scene.environment, TELLING, {
        EIP_HEAL_LIFECYCLE_HOOK: "launch",
        EIP_HEAL_DEADLINE: "1min",
      });
      scene.region.region.setPolicy("full", allow(["ec2:*", "autoscaling:*"]));
      scene.region.region.waitUnderHook(scene.me.instanceId, "launch");
      for (const command of ["heal", "recheck", "status", "doctor", "policy", "release"]) {
        const { status, log, stdout } = await scene.run(command);
        expect(status, `${command}\n${stdout}\n${log.join("\n")}`).toBe(0);
        expect(log.join("\n"), command).not.toMatch(/^Code cache of .* is rejected/m);
        // What is most often run compiles nothing of Node.
        if (command === "heal" || command === "recheck")
          expect(log.join("\n"), command).not.toMatch(/^Compiling .* without code cache/m);
        const parts = partsIn(log);
        expect(parts, command).toContain("http");
        if (command === "heal") expect(parts).toContain("https");
        // To load TLS takes a fifth of the time of a recheck that finds nothing wrong.
        if (command === "recheck") expect(parts).not.toContain("https");
        expect(
          parts.filter((part) => BY_WEBASSEMBLY.test(part)),
          command,
        ).toEqual([]);
      }
    });
  });

  test("starts with random numbers of its own, not with those of the build", async () => {
    const ids: unknown[] = [];
    const ec2 = createServer((request, response) => {
      ids.push(request.headers["amz-sdk-invocation-id"]);
      response.writeHead(503).end();
    }).listen(0, "127.0.0.1");
    await once(ec2, "listening");
    await scenario({}, async (scene) => {
      scene.ec2Url = `http://127.0.0.1:${(ec2.address() as AddressInfo).port}`;
      for (let n = 0; n < 2; n++) await scene.run("heal", "--deadline=1s");
    });
    ec2.close();
    expect(ids.length).toBeGreaterThan(1);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("would show the one that fetch needs", () => {
    const { stdout, stderr } = spawnSync(process.execPath, ["--eval", "fetch('data:,')"], {
      encoding: "utf8",
      env: TELLING,
    });
    const parts = partsIn([...stdout.split("\n"), ...stderr.split("\n")]);
    expect(parts.filter((part) => BY_WEBASSEMBLY.test(part))).toContain(
      "internal/deps/undici/undici",
    );
  });
});
