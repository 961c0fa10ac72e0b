/** A real name server, BIND, that has a zone and takes updates by RFC 2136 with a key. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, must, run } from "./run.ts";

/** The programs that it needs. */
export const BIND = ["named", "dig", "tsig-keygen"] as const;

/** The name that the key is for, and its address at first. */
export const NAME = "www.example.com";
export const FIRST_ADDRESS = "192.0.2.1";

export class NameServer {
  /** A key statement as in named.conf. */
  readonly key: string;
  readonly #folder: string;
  readonly #address: string;
  readonly #port: number;
  #process: ChildProcess | undefined;

  private constructor(key: string, folder: string, address: string, port: number) {
    this.key = key;
    this.#folder = folder;
    this.#address = address;
    this.#port = port;
  }

  /**
   * Starts one.
   *
   * @param folder for its files; it is made
   */
  static async start(folder: string, address: string, port: number): Promise<NameServer> {
    await mkdir(folder);
    const key = await must(["tsig-keygen", "eip-heal"]);
    await writeFile(
      join(folder, "named.conf"),
      `options {
  directory "${folder}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;
  listen-on port ${port} { ${address}; }; listen-on-v6 { none; };
};
controls { };
${key}
zone "example.com" {
  type primary; file "example.com"; update-policy { grant eip-heal name ${NAME}. A; };
};
`,
    );
    await writeFile(
      join(folder, "example.com"),
      `$TTL 60
@ SOA ns.example.com. admin.example.com. 1 3600 600 86400 60
  NS ns.example.com.
ns A ${address}
www A ${FIRST_ADDRESS}
`,
    );
    const server = new NameServer(key, folder, address, port);
    await server.start();
    return server;
  }

  /** Starts it again, with all that it was told; resolves when it answers. */
  async start(): Promise<void> {
    this.#process = spawn("named", ["-g", "-n", "1", "-c", join(this.#folder, "named.conf")], {
      stdio: "ignore",
    });
    await eventually(
      "BIND answers",
      async () => (await this.ask("ns.example.com", "A")) === this.#address,
    );
  }

  /** Ends it: nobody answers any more. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill();
    await gone;
  }

  /** What it has, one to a line; "" for nothing, and if it does not answer. */
  async ask(name: string, type: string): Promise<string> {
    const at = ["-p", String(this.#port), `@${this.#address}`];
    const { status, stdout } = await run([
      "dig",
      "+short",
      "+time=2",
      "+tries=1",
      ...at,
      name,
      type,
    ]);
    return status === 0 ? stdout.trim() : "";
  }
}
