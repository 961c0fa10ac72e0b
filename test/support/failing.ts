/** What becomes of the other tests, and of what is known, when a boot test fails. */
import { beforeEach, onTestFailed } from "vitest";

/** A test of this file or group that fails tells its story: what has happened up to then. */
export function tellOnFailure(story: () => Promise<string>): void {
  beforeEach(() => {
    onTestFailed(async () => {
      console.error(await story());
    });
  });
}

/**
 * For tests that go on where the one before has left the machine: after the first failure the others are skipped, as
 * they would only tell what follows from it.
 */
export function stopAtFirstFailure(): void {
  let failed: string | undefined;
  beforeEach(({ skip, task }) => {
    skip(failed !== undefined, `because "${failed}" has failed`);
    onTestFailed(() => {
      failed = task.name;
    });
  });
}
