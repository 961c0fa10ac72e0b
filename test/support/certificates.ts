/** A certificate authority that exists for one run, and server certificates by it. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { must } from "./run.ts";

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

export interface Authority {
  /** File with the authority's own certificate, for those who are to trust it. */
  readonly file: string;
  /** A certificate for a server of that name or IP address. */
  issue(name: string): Promise<Certificate>;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes an authority in a new folder. */
export async function makeAuthority(folder: string): Promise<Authority> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, "ca.pem");
  const caKey = join(folder, "ca.key");
  const subject = ["-subj", "/CN=eip-heal test authority", "-days", "2"];
  await must(["openssl", "req", "-x509", ...NEW_KEY, "-keyout", caKey, "-out", file, ...subject]);
  return {
    file,
    async issue(name) {
      const path = (end: string) => join(folder, `${name}.${end}`);
      const request = ["-keyout", path("key"), "-out", path("csr"), "-subj", `/CN=${name}`];
      await must(["openssl", "req", ...NEW_KEY, ...request]);
      const subjectName = `${isIP(name) === 0 ? "DNS" : "IP"}:${name}`;
      await writeFile(path("ext"), `subjectAltName=${subjectName}\nextendedKeyUsage=serverAuth\n`);
      const signature = ["-CA", file, "-CAkey", caKey, "-set_serial", "1", "-days", "2"];
      const result = ["-extfile", path("ext"), "-out", path("pem")];
      await must(["openssl", "x509", "-req", "-in", path("csr"), ...signature, ...result]);
      return {
        cert: await readFile(path("pem"), "utf8"),
        key: await readFile(path("key"), "utf8"),
      };
    },
  };
}
