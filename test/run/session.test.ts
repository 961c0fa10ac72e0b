/** What each session begins with: the instance is read, and what is needed later is begun meanwhile. */
import { expect, test } from "vitest";
import { Failure } from "../../src/model/failure.ts";
import type { RunSession } from "../../src/run/ports.ts";
import { openSession } from "../../src/run/session.ts";
import { SELF, scripted } from "./scripted.ts";

async function opened(also?: Parameters<typeof openSession>[3]) {
  const { ports } = scripted();
  const done: unknown[] = [];
  const session: Pick<RunSession, "instance" | "credentials"> = {
    instance: async (...asked) => {
      done.push(asked);
      return SELF;
    },
    credentials: () => {
      done.push("credentials");
      return Promise.reject(new Failure("not-yet", { why: "no role yet" }));
    },
  };
  const open = async (_: AbortSignal, needsEc2?: boolean) => {
    done.push({ needsEc2 });
    return session as RunSession;
  };
  const context = { ports, signal: new AbortController().signal, step: "starting" };
  const { self } = await openSession(context, { open }, ["eip"], also);
  return { self, done };
}

test("the instance with its group, while credentials are fetched, whose failure is told by who needs them", async () => {
  const { self, done } = await opened();
  expect(self).toBe(SELF);
  expect(done).toEqual([
    { needsEc2: false },
    "credentials",
    [["eip"], { group: true, ignored: false }],
  ]);
});

test("the tag that is ignored and a connection to EC2, where they are wanted", async () => {
  expect((await opened({ ignored: true })).done).toContainEqual([
    ["eip"],
    { group: true, ignored: true },
  ]);
  expect((await opened({ needsEc2: true })).done).toContainEqual({ needsEc2: true });
});
