/** The script of the DNS example against a real name server, BIND on loopback: updates by RFC 2136 with a key. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missing } from "../packages/tools.ts";
import { BIND, FIRST_ADDRESS, NAME, NameServer } from "../support/name-server.ts";
import { unless } from "../support/skipping.ts";

const SCRIPT = resolve(import.meta.dirname, "../../examples/dns/eip-heal-dns");

describe("nsupdate", { ...unless(missing("nsupdate", ...BIND)), timeout: 120_000 }, () => {
  let folder: string;
  let port: number;
  let server: NameServer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "eip-heal-bind-"));
    port = await freePort();
    server = await NameServer.start(join(folder, "bind"), "127.0.0.1", port);
    // As systemd puts it there by LoadCredential=.
    writeFileSync(join(folder, "key"), server.key);
  });

  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true });
  });

  test("the name has the address, instead of what it had, and is told once", async () => {
    expect(await server.ask(NAME, "A")).toBe(FIRST_ADDRESS);
    expect(tell("203.0.113.7")).toEqual({
      status: 0,
      stdout: `${NAME} is 203.0.113.7\n`,
      stderr: "",
    });
    expect(await server.ask(NAME, "A")).toBe("203.0.113.7");
    const serial = await server.ask("example.com", "SOA");
    expect(tell("203.0.113.7")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(await server.ask("example.com", "SOA")).toBe(serial);
  });

  test("it follows an address that has changed", async () => {
    expect(tell("203.0.113.8").status).toBe(0);
    expect(await server.ask(NAME, "A")).toBe("203.0.113.8");
  });

  test("a server that is away is a failure, and is told when it is back", async () => {
    await server.stop();
    const away = tell("203.0.113.9");
    expect(away.status).not.toBe(0);
    expect(away.stderr).not.toBe("");
    await server.start();
    expect(await server.ask(NAME, "A")).toBe("203.0.113.8");
    expect(tell("203.0.113.9").status).toBe(0);
    expect(await server.ask(NAME, "A")).toBe("203.0.113.9");
  });

  test("a name that the key is not for is a failure, and is not remembered as told", async () => {
    const refused = tell("203.0.113.9", "mail.example.com");
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("REFUSED");
    expect(tell("203.0.113.9", "mail.example.com").status).not.toBe(0);
    expect(await server.ask("mail.example.com", "A")).toBe("");
  });

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
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
