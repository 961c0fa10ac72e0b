/** Checks as rows of a table. Pure. */
import type { Row } from "../report/screen.ts";
import type { Check } from "./catalog.ts";

export function rowOf({ id, mark, found, remedy, commands }: Check): Row {
  return { mark, label: id, text: found, remedy, commands };
}

/** One row for checks that were skipped because of the same: one would hardly see the failure between them. */
export function rowOfSkipped(checks: readonly Check[]): Row {
  const [{ blockedBy = [] } = {}] = checks;
  const ids = checks.map(({ id }) => id).join(", ");
  return {
    mark: "skipped",
    label: "not checked",
    text: `${ids}, because of: ${blockedBy.join(", ")}`,
  };
}
