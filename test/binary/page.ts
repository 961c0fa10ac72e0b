/** A page that shows an address, as the URL of EIP_HEAL_WAIT_REACHABLE does: a server of the test. */
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Certificate } from "../support/certificates.ts";

export interface Page {
  /** One after the other, and the last one from then on. */
  answers: string[];
  asked: number;
  /** With a user, a password and a query that must be shown nowhere: `geheim`. */
  readonly url: URL;
}

/** Runs such a page on loopback. @param tls its certificate, for `localhost`; without one it speaks plain HTTP */
export async function withPage<T>(work: (page: Page) => Promise<T>, tls?: Certificate): Promise<T> {
  const answers: string[] = [];
  const listener: Parameters<typeof createServer>[1] = (_, response) => {
    page.asked++;
    response.end(page.answers.length > 1 ? page.answers.shift() : page.answers[0]);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as AddressInfo;
  const origin = tls === undefined ? "http://somebody:geheim@127.0.0.1" : "https://localhost";
  const page: Page = { answers, asked: 0, url: new URL(`${origin}:${port}/?key=geheim`) };
  try {
    return await work(page);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
