/** OpenPGP keys that exist for one run, and signatures by them. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { must } from "../support/run.ts";

export class Signer {
  /** The public key, armored: what users are given. */
  readonly publicKey: string;
  /** The secret key, armored. */
  readonly secretKey: string;
  readonly home: string;
  readonly name: string;

  /** @param home folder of the secret key, gpg's home; not there yet when a key is to be made */
  constructor(home: string, name: string) {
    this.home = home;
    this.name = name;
    this.publicKey = join(home, "public.asc");
    this.secretKey = join(home, "secret.asc");
  }

  /** Makes the key. RSA, because the rpm of RHEL 8 knows no newer kind. */
  async make(): Promise<void> {
    await mkdir(this.home, { recursive: true, mode: 0o700 });
    const quick = ["--passphrase", "", "--quick-generate-key", this.name, "rsa3072", "sign", "0"];
    await this.#gpg(quick);
    await this.#gpg(["--armor", "--output", this.publicKey, "--export", this.name]);
    await this.#gpg(["--armor", "--output", this.secretKey, "--export-secret-keys", this.name]);
  }

  /** The text with its signature around it (InRelease). */
  async clearsign(file: string, target: string): Promise<void> {
    await this.#gpg(["--output", target, "--clearsign", file]);
  }

  /** The signature apart, armored (Release.gpg, repomd.xml.asc). */
  async detach(file: string, target: string): Promise<void> {
    await this.#gpg(["--armor", "--output", target, "--detach-sign", file]);
  }

  /** Signs a package inside. */
  async signRpm(file: string): Promise<void> {
    const macros = [`_gpg_name ${this.name}`, `_gpg_path ${this.home}`, "__gpg /usr/bin/gpg"];
    await must(["rpmsign", ...macros.flatMap((macro) => ["--define", macro]), "--addsign", file]);
  }

  async #gpg(args: readonly string[]): Promise<void> {
    await must(["gpg", "--homedir", this.home, "--batch", "--yes", "--quiet", ...args]);
  }
}
