/** Checks as rows of a table. Pure. */
import type { Row } from "../report/screen.ts";
import { type Check, labelOf } from "./catalog.ts";

export function rowOf({ id, mark, found, remedy, commands }: Check): Row {
  return { mark, label: labelOf(id), text: found, remedy, commands };
}

/** One row for all checks that were skipped for the same reason, so that they do not bury the failure. */
export function rowOfSkipped(checks: readonly Check[]): Row {
  const [{ blockedBy = [] } = {}] = checks;
  const labels = checks.map(({ id }) => labelOf(id)).join(", ");
  return {
    mark: "skipped",
    label: "not checked",
    text: `${labels}, because of: ${blockedBy.map(labelOf).join(", ")}`,
  };
}
