/** The way out through a proxy, which here is tinyproxy: EC2 and Auto Scaling go through it, instance metadata never. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { makeAuthority } from "../support/certificates.ts";
import { unless } from "../support/skipping.ts";
import { type Scene, scenario, type Start } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";
import { withPage } from "./page.ts";

const files = mkdtempSync(join(tmpdir(), "eip-heal-proxy-"));
const authority = await makeAuthority(files);
const tls = await authority.issue("localhost");
// Nobody writes into it: to read it is to wait for ever.
const FIFO = join(files, "fifo");
spawnSync("mkfifo", [FIFO]);
afterAll(() => rmSync(files, { recursive: true }));

const isThere = spawnSync("tinyproxy", ["-v"]).status === 0;
const absent = isThere ? undefined : "tinyproxy is not installed";

interface Proxy {
  readonly port: number;
  /** Its requests: `CONNECT localhost:4711 HTTP/1.1`. */
  requests(): string[];
  stop(): Promise<void>;
}

let count = 0;

/** Starts a proxy that lets connections to these ports pass. */
async function startProxy(ports: readonly number[], password?: string): Promise<Proxy> {
  const port = await freePort();
  const file = join(files, `${++count}.conf`);
  const log = join(files, `${count}.log`);
  const lines = [
    `Port ${port}`,
    "Listen 127.0.0.1",
    "Allow 127.0.0.1",
    "Timeout 60",
    "MaxClients 50",
    "LogLevel Connect",
    `LogFile "${log}"`,
    ...ports.map((one) => `ConnectPort ${one}`),
    ...(password === undefined ? [] : [`BasicAuth user ${password}`]),
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const proxy = spawn("tinyproxy", ["-d", "-c", file], { stdio: "ignore" });
  await isListening(port, proxy);
  return {
    port,
    requests: () =>
      readFileSync(log, "utf8")
        .split("\n")
        .flatMap((line) => /Request \(file descriptor \d+\): (.+)$/.exec(line)?.[1] ?? []),
    stop: () =>
      new Promise((done) => {
        proxy.once("exit", () => done());
        proxy.kill();
      }),
  };
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}

async function isListening(port: number, proxy: ChildProcess): Promise<void> {
  while (proxy.exitCode === null) {
    const isOpen = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`tinyproxy has ended with ${proxy.exitCode}`);
}

interface Proxied {
  readonly scene: Scene;
  readonly proxy: Proxy;
  readonly ec2Host: string;
  readonly autoScalingHost: string;
}

/** An instance, a proxy, and a region behind it. */
async function play(
  {
    password,
    isTls = true,
    pass = [],
    ...start
  }: Start & {
    password?: string;
    isTls?: boolean;
    /** Further ports that it lets connections pass to. */
    pass?: readonly number[];
  },
  story: (proxied: Proxied) => Promise<void>,
): Promise<void> {
  await scenario({ start: { ...start, ...(isTls && { region: { tls } }) } }, async (scene) => {
    const named = (url: string) => new URL(url.replace("127.0.0.1", "localhost"));
    const [ec2, autoScaling] = [named(scene.region.ec2Url), named(scene.region.autoScalingUrl)];
    scene.ec2Url = ec2.href;
    scene.environment["AWS_ENDPOINT_URL_AUTO_SCALING"] = autoScaling.href;
    if (isTls) scene.environment["AWS_CA_BUNDLE"] = authority.file;
    const proxy = await startProxy([Number(ec2.port), Number(autoScaling.port), ...pass], password);
    try {
      await story({ scene, proxy, ec2Host: ec2.host, autoScalingHost: autoScaling.host });
    } finally {
      await proxy.stop();
    }
  });
}

describe("by a proxy", unless(absent), () => {
  const withPassword = (port: number, password: string) =>
    `http://user:${password}@127.0.0.1:${port}`;
  const PASSWORD = "s3cret";
  /** It is written so in the variable, and must not be seen anywhere, neither so nor as it is. */
  const ENCODED = "s3%63ret";
  const mustNotShow = (output: string) => {
    for (const text of [PASSWORD, ENCODED]) expect(output).not.toContain(text);
  };
  /** Both variables, so that what asks for instance metadata would go there if it obeyed any. */
  const variablesFor = ({ port }: Proxy, password: string | undefined) => {
    const url = password === undefined ? `http://127.0.0.1:${port}` : withPassword(port, ENCODED);
    return { HTTPS_PROXY: url, HTTP_PROXY: url };
  };
  const WAYS: readonly { how: string; way: { readonly password?: string } }[] = [
    { how: "without a password", way: {} },
    { how: "with a password", way: { password: PASSWORD } },
  ];

  test.concurrent.each<{
    name: string;
    password?: string;
    variables: (port: number) => Record<string, string>;
  }>([
    {
      name: "HTTPS_PROXY",
      variables: (port) => ({ HTTPS_PROXY: `http://127.0.0.1:${port}` }),
    },
    {
      name: "https_proxy, without a scheme",
      variables: (port) => ({ https_proxy: `127.0.0.1:${port}` }),
    },
    {
      name: "a password",
      password: PASSWORD,
      variables: (port) => ({ HTTPS_PROXY: withPassword(port, ENCODED) }),
    },
  ])("heals with $name", async ({ password, variables }) =>
    play({ ...(password !== undefined && { password }) }, async ({ scene, proxy, ec2Host }) => {
      Object.assign(scene.environment, variables(proxy.port));
      const { status, log } = await scene.run("--log-level", "debug");
      expect(status, log.join("\n")).toBe(0);
      expect(scene.region.holder(scene.allocationId)?.instanceId).toBe(scene.me.instanceId);
      expect(new Set(proxy.requests())).toEqual(new Set([`CONNECT ${ec2Host} HTTP/1.1`]));
      mustNotShow(log.join("\n"));
    }),
  );

  test.concurrent("heals where the endpoint is http://, by HTTP_PROXY", async () =>
    play({ isTls: false }, async ({ scene, proxy, ec2Host }) => {
      scene.environment["HTTP_PROXY"] = `http://127.0.0.1:${proxy.port}`;
      const { status, log } = await scene.run();
      expect(status, log.join("\n")).toBe(0);
      expect(new Set(proxy.requests())).toEqual(new Set([`POST http://${ec2Host}/ HTTP/1.1`]));
    }));

  test.concurrent("heals by a proxy that speaks TLS itself, set in the settings file", async () =>
    play({}, async ({ scene, proxy, ec2Host }) => {
      const front = createTlsServer(tls, (socket) => {
        const behind = connect(proxy.port, "127.0.0.1").on("error", () => socket.destroy());
        socket.on("error", () => behind.destroy());
        socket.pipe(behind).pipe(socket);
      });
      await new Promise<void>((done) => void front.listen(0, "127.0.0.1", done));
      const { port } = front.address() as AddressInfo;
      scene.conf = [`HTTPS_PROXY=https://localhost:${port}`];
      const { status, log } = await scene.run();
      front.close();
      expect(status, log.join("\n")).toBe(0);
      expect(proxy.requests()).toContain(`CONNECT ${ec2Host} HTTP/1.1`);
    }));

  test.concurrent.each(WAYS)("reaches Auto Scaling for a lifecycle hook, $how", async ({ way }) =>
    play(
      {
        ...way,
        groups: { web: "wait" },
        instance: { group: "web", lifecycle: "InService" },
      },
      async ({ scene, proxy, ec2Host, autoScalingHost }) => {
        Object.assign(scene.environment, variablesFor(proxy, way.password));
        scene.environment["EIP_HEAL_LIFECYCLE_HOOK"] = "wait";
        const { region } = scene.region;
        region.setPolicy("full", { Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] });
        region.waitUnderHook(scene.me.instanceId, "wait");
        const { status, log, result } = await scene.run("--log-level", "debug");
        expect(status, log.join("\n")).toBe(0);
        expect(region.lifecycleActions()[0]?.ended).toMatchObject({ result: "CONTINUE" });
        expect(new Set(proxy.requests())).toEqual(
          new Set([`CONNECT ${ec2Host} HTTP/1.1`, `CONNECT ${autoScalingHost} HTTP/1.1`]),
        );
        mustNotShow(log.join("\n") + JSON.stringify(result));
      },
    ),
  );

  test.concurrent("goes straight to what NO_PROXY names", async () =>
    play({}, async ({ scene, proxy }) => {
      Object.assign(scene.environment, {
        HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
        NO_PROXY: "example.com,localhost",
      });
      const { status, log } = await scene.run();
      expect(status, log.join("\n")).toBe(0);
      expect(proxy.requests()).toEqual([]);
    }));

  test.concurrent("asks the URL of EIP_HEAL_WAIT_REACHABLE through it, which then shows the proxy's address", async () =>
    withPage(
      (page) =>
        play({ pass: [Number(page.url.port)] }, async ({ scene, proxy, ec2Host }) => {
          const { environment, region, allocationId } = scene;
          environment["HTTPS_PROXY"] = `http://127.0.0.1:${proxy.port}`;
          environment["EIP_HEAL_WAIT_REACHABLE"] = page.url.href;
          page.answers = ["198.51.100.9"];
          const shown = await scene.run("--deadline", "8s");
          expect(shown.status).toBe(75);
          expect(shown.log.at(-1)).toContain(
            `requests from here still show 198.51.100.9; they go through the proxy of HTTPS_PROXY: name ${page.url.host} in NO_PROXY`,
          );
          const toPage = `CONNECT ${page.url.host} HTTP/1.1`;
          expect(new Set(proxy.requests())).toEqual(
            new Set([`CONNECT ${ec2Host} HTTP/1.1`, toPage]),
          );
          page.answers = [region.region.records.address(allocationId)?.publicIp ?? ""];
          environment["NO_PROXY"] = page.url.host;
          const before = proxy.requests().filter((request) => request === toPage).length;
          const { status, log } = await scene.run();
          expect(status, log.join("\n")).toBe(0);
          expect(proxy.requests().filter((request) => request === toPage)).toHaveLength(before);
        }),
      tls,
    ));

  test.concurrent.each(WAYS)("doctor follows it $how, and says so", async ({ way }) =>
    play(way, async ({ scene, proxy, ec2Host }) => {
      Object.assign(scene.environment, variablesFor(proxy, way.password));
      const checkup = await doctor(scene);
      expect(checkup, JSON.stringify(checkup, null, 1)).toMatchObject({ healthy: true });
      const found = (id: string) => checkup.checks.find((check) => check.id === id)?.found;
      expect(found("endpoint")).toBe(
        `${ec2Host} by the proxy of HTTPS_PROXY: 127.0.0.1:${proxy.port}`,
      );
      expect(found("route")).toContain(`the proxy 127.0.0.1:${proxy.port} accepts connections`);
      expect(found("tls")).toContain(`by the proxy 127.0.0.1:${proxy.port}`);
      expect(new Set(proxy.requests())).toEqual(new Set([`CONNECT ${ec2Host} HTTP/1.1`]));
      mustNotShow(JSON.stringify(checkup));
      const shown = await scene.run("doctor", "--verbose");
      mustNotShow(shown.stdout + shown.log.join("\n"));
    }),
  );

  test.concurrent.each<{
    name: string;
    password?: string;
    url: (port: number) => string;
    first: string;
    says: RegExp;
    cure: RegExp;
  }>([
    {
      name: "wants a password",
      password: "secret",
      url: (port) => `http://127.0.0.1:${port}`,
      first: "tls",
      says: /the proxy 127\.0\.0\.1:\d+ answers 40[17] to CONNECT/,
      cure: /password: give it in HTTPS_PROXY/,
    },
    {
      name: "wants another password",
      password: "secret",
      url: (port) => withPassword(port, "wrong"),
      first: "tls",
      says: /the proxy 127\.0\.0\.1:\d+ answers 40[17] to CONNECT/,
      cure: /correct the user and password in HTTPS_PROXY/,
    },
    {
      name: "is not there",
      url: () => "http://127.0.0.1:1",
      first: "route",
      says: /by the proxy 127\.0\.0\.1:1\b.*connection refused/,
      cure: /HTTPS_PROXY/,
    },
    {
      name: "has a name that nobody knows",
      url: () => "http://proxy.invalid:3128",
      first: "endpoint",
      says: /by the proxy proxy\.invalid:3128/,
      cure: /HTTPS_PROXY/,
    },
  ])("a proxy that $name is told by run and doctor", async ({ password, url, first, says, cure }) =>
    play({ ...(password !== undefined && { password }) }, async ({ scene, proxy }) => {
      scene.environment["HTTPS_PROXY"] = url(proxy.port);
      const { status, log } = await scene.run("--deadline", "4s");
      expect(status).toBe(75);
      expect(log.join("\n")).toMatch(says);
      expect(log.join("\n")).toMatch(cure);
      expect(log.join("\n")).not.toMatch(/wrong/);
      const checkup = await doctor(scene);
      expect(checkup).toMatchObject({ first, healthy: false, exitStatus: 75 });
      expect(checkup.checks.find(({ id }) => id === first)?.cure).toMatch(cure);
    }),
  );

  test.concurrent("a proxy that does not let EC2 pass is told", async () =>
    play({}, async ({ scene, ec2Host }) => {
      const other = await startProxy([443]);
      scene.environment["HTTPS_PROXY"] = `http://127.0.0.1:${other.port}`;
      const { status, log } = await scene.run("--deadline", "4s");
      await other.stop();
      expect(status).toBe(75);
      expect(log.join("\n")).toContain(`answers 403 to CONNECT ${ec2Host}`);
      expect(log.join("\n")).toContain(`let the proxy pass CONNECT ${ec2Host}`);
    }));
});

test.each([
  ["AWS_CA_BUNDLE", "/nonexistent/ca.pem"],
  ["AWS_CA_BUNDLE", "/etc/hostname"],
  ["AWS_CA_BUNDLE", "/"],
  ["AWS_CA_BUNDLE", FIFO],
  ["HTTPS_PROXY", "socks5://127.0.0.1:1080"],
])("%s=%s is refused", (variable, value) =>
  scenario({}, async (scene) => {
    scene.environment[variable] = value;
    const { status, log } = await scene.run();
    expect(status).toBe(78);
    expect(log.join("\n")).toContain(`${variable} is "${value}"`);
  }),
);

test("AWS_DEFAULT_REGION is the region, unless AWS_REGION is set", () =>
  scenario({}, async (scene) => {
    scene.environment["AWS_DEFAULT_REGION"] = "nowhere at all";
    expect((await scene.run()).log.join("\n")).toContain('AWS_DEFAULT_REGION is "nowhere at all"');
    scene.environment["AWS_REGION"] = scene.region.region.name;
    expect((await scene.run()).status).toBe(0);
  }));
