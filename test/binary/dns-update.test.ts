/** The script of the DNS example against a real name server, BIND on loopback: updates by RFC 2136 with a key. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missing } from "../packages/tools.ts";
import { eventually } from "../support/run.ts";
import { unless } from "../support/skipping.ts";

const SCRIPT = resolve(import.meta.dirname, "../../examples/dns/eip-heal-dns");
const NAME = "www.example.com";

describe(
  "nsupdate",
  { ...unless(missing("named", "nsupdate", "dig", "tsig-keygen")), timeout: 120_000 },
  () => {
    let folder: string;
    let port: number;
    let server: ChildProcess;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "eip-heal-bind-"));
      port = await freePort();
      const key = execFileSync("tsig-keygen", ["eip-heal"], { encoding: "utf8" });
      // As systemd puts it there by LoadCredential=.
      writeFileSync(join(folder, "key"), key);
      writeFileSync(
        join(folder, "named.conf"),
        `options {
  directory "${folder}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;
  listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
};
controls { };
${key}
zone "example.com" {
  type primary; file "example.com"; update-policy { grant eip-heal name ${NAME}. A; };
};
`,
      );
      writeFileSync(
        join(folder, "example.com"),
        `$TTL 60
@ SOA ns.example.com. admin.example.com. 1 3600 600 86400 60
  NS ns.example.com.
ns A 127.0.0.1
www A 192.0.2.1
`,
      );
      await start();
    });

    afterAll(async () => {
      await stop();
      rmSync(folder, { recursive: true });
    });

    test("the name has the address, instead of what it had, and is told once", async () => {
      expect(await ask(NAME, "A")).toBe("192.0.2.1");
      expect(tell("203.0.113.7")).toEqual({
        status: 0,
        stdout: `${NAME} is 203.0.113.7\n`,
        stderr: "",
      });
      expect(await ask(NAME, "A")).toBe("203.0.113.7");
      const serial = await ask("example.com", "SOA");
      expect(tell("203.0.113.7")).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(await ask("example.com", "SOA")).toBe(serial);
    });

    test("it follows an address that has changed", async () => {
      expect(tell("203.0.113.8").status).toBe(0);
      expect(await ask(NAME, "A")).toBe("203.0.113.8");
    });

    test("a server that is away is a failure, and is told when it is back", async () => {
      await stop();
      const away = tell("203.0.113.9");
      expect(away.status).not.toBe(0);
      expect(away.stderr).not.toBe("");
      await start();
      expect(await ask(NAME, "A")).toBe("203.0.113.8");
      expect(tell("203.0.113.9").status).toBe(0);
      expect(await ask(NAME, "A")).toBe("203.0.113.9");
    });

    test("a name that the key is not for is a failure, and is not remembered as told", async () => {
      const refused = tell("203.0.113.9", "mail.example.com");
      expect(refused.status).not.toBe(0);
      expect(refused.stderr).toContain("REFUSED");
      expect(tell("203.0.113.9", "mail.example.com").status).not.toBe(0);
      expect(await ask("mail.example.com", "A")).toBe("");
    });

    async function start(): Promise<void> {
      server = spawn("named", ["-g", "-n", "1", "-c", join(folder, "named.conf")], {
        stdio: "ignore",
      });
      await eventually(
        "BIND answers",
        async () => (await ask("ns.example.com", "A")) === "127.0.0.1",
      );
    }

    async function stop(): Promise<void> {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const gone = new Promise((resolve_) => server.once("exit", resolve_));
      server.kill();
      await gone;
    }

    /** Runs the script as its unit does. */
    function tell(address: string, name = NAME) {
      const { status, stdout, stderr } = spawnSync(SCRIPT, {
        encoding: "utf8",
        env: {
          PATH: process.env["PATH"] ?? "",
          RUNTIME_DIRECTORY: folder,
          CREDENTIALS_DIRECTORY: folder,
          DNS_UPDATE: "nsupdate",
          DNS_NAME: name,
          DNS_SERVER: "127.0.0.1",
          DNS_PORT: String(port),
          EIP_HEAL_PUBLIC_IP: address,
        },
      });
      return { status, stdout, stderr };
    }

    function ask(name: string, type: string): Promise<string> {
      const args = ["+short", "+time=2", "+tries=1", "-p", String(port), "@127.0.0.1", name, type];
      const { status, stdout } = spawnSync("dig", args, { encoding: "utf8" });
      return Promise.resolve(status === 0 ? stdout.trim() : "");
    }
  },
);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
