import { readSettings } from "../../src/config/read.ts";
import type { Settings } from "../../src/config/settings.ts";

/** The settings of an instance with these variables and no settings file. */
export function settingsOf(environment: Readonly<Record<string, string>> = {}): Settings {
  const result = readSettings({ flags: {}, environment, file: { path: "none", variables: {} } });
  if ("problems" in result) throw new Error(JSON.stringify(result.problems));
  return result.settings;
}
