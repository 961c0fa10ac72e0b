/** Which address is desired: by setting, by an instance tag in instance metadata, or by one that only EC2 shows. */
import { namedBySetting, type Settings } from "../config/settings.ts";
import { addressHint } from "../config/values.ts";
import { fixedAddress } from "../model/address.ts";
import {
  InvalidList,
  isList,
  readList,
  type Placed,
  type Several,
  type DesiredAddresses,
} from "../model/several.ts";
import { OWN_CODE, EXIT, Failure } from "../model/failure.ts";
import { isAllocationId, isIpv4 } from "../model/ids.ts";
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import { nearest } from "../model/nearest.ts";
import { jsonOf } from "../model/text.ts";
import type { Place } from "../model/target.ts";
import type { Ec2 } from "./ports.ts";
import { type StepContext, withStep } from "./retrying.ts";

/** The tags to read from instance metadata: none if a setting names the address. */
export function tagsToRead(settings: Settings): readonly string[] {
  const { tag, poolTag } = settings;
  return namedBySetting(settings) === undefined ? [tag, poolTag] : [];
}

/** The several addresses that a setting or a tag in instance metadata names; undefined if there is one, or none is known. */
export function severalKnown(settings: Settings, self: Instance): Several | undefined {
  const named = namedBySetting(settings);
  const desired =
    named !== undefined
      ? named.desired
      : self.tag === undefined
        ? undefined
        : desiredByTag(settings, self, self.tag);
  return desired?.kind === "several" ? desired : undefined;
}

/**
 * Finds the desired address, or several.
 *
 * @param onIgnored called if the instance has the tag of a pool as well, with a line that says which one counts
 * @throws Failure `misconfigured` for a tag with an invalid value, `not-yet` while there is no tag
 */
export async function desiredAddress(
  context: StepContext & { readonly settings: Settings },
  self: Instance,
  ec2: Pick<Ec2, "tags">,
  onIgnored: (line: string) => void = () => {},
): Promise<DesiredAddresses> {
  const { tag, poolTag, optional } = context.settings;
  const named = namedBySetting(context.settings);
  if (named !== undefined) return named.desired;

  const step = `reading the tag ${tag} of ${self.instanceId}`;
  let found = self.tag;
  let tags: Readonly<Record<string, string>> = {};
  if (found === undefined) {
    tags = await withStep(context, step, () => ec2.tags());
    const key = [tag, poolTag].find((name) => Object.hasOwn(tags, name) && tags[name]);
    found = key === undefined ? undefined : { key, value: tags[key] ?? "" };
  }
  if (found === undefined) {
    throw new Failure(
      "not-yet",
      {
        why: `no tag ${tag} or ${poolTag} (yet) on ${self.instanceId}`,
        remedy: untagged(tag, tags),
        code: OWN_CODE.noTag,
        permanentStatus: optional ? EXIT.OK : EXIT.CONFIG,
      },
      step,
    );
  }
  const pool = self.ignoredTag?.value ?? tags[poolTag];
  if (found.key === tag && pool && poolTag !== tag) {
    onIgnored(
      `the tag ${tag} counts, and ${poolTag}=${pool} is ignored: ${self.instanceId} has both; remove one of them`,
    );
  }
  return desiredByTag(context.settings, self, found);
}

/** The settings for one of several addresses: it alone, in its place. */
export function settingsFor(settings: Settings, { address, place }: Placed): Settings & Place {
  const { privateIp, addressTag: _, pool: __, ...rest } = settings;
  const alone = { ...rest, allocationId: address };
  if (place === undefined) return { ...alone, ...(privateIp !== undefined && { privateIp }) };
  const isIp = typeof place === "string" && isIpv4(place);
  return { ...alone, interface: place, ...(isIp && { privateIp: place }), afterAt: true };
}

/** @throws Failure `misconfigured` for an invalid value */
function desiredByTag(
  { tag }: Settings,
  { instanceId }: Instance,
  found: { readonly key: string; readonly value: string },
): DesiredAddresses {
  const invalid = (accepted: string) =>
    new Failure("misconfigured", {
      why: `the tag ${found.key} is ${jsonOf(found.value)}, on ${instanceId}`,
      remedy: `it takes ${accepted}`,
    });
  if (found.key !== tag) {
    const words = found.value.split(/[\s,]+/);
    if (words.some((word) => fixedAddress(word) === undefined)) return { kind: "pool", ...found };
    // Some expect that, since EIP_HEAL_POOL takes a list.
    throw invalid(
      `the value of the same tag of the pool's addresses; name an address by the tag ${tag}, or set EIP_HEAL_POOL to a list`,
    );
  }
  if (isList(found.value)) {
    try {
      return readList(found.value, addressHint);
    } catch (error) {
      throw error instanceof InvalidList ? invalid(error.message) : error;
    }
  }
  const desired = fixedAddress(found.value);
  if (desired === undefined) throw invalid(addressHint(found.value));
  return desired;
}

/** What to do about an instance without the tag. */
function untagged(tag: string, tags: Readonly<Record<string, string>>): string {
  const group = tags[GROUP_TAG];
  const where = group === undefined ? "the Auto Scaling group" : `the Auto Scaling group ${group}`;
  const near = nearTag(tag, tags);
  const value = near !== undefined && fixedAddress(near.value) ? near.value : "eipalloc-…";
  const meant = near === undefined ? "" : `did you mean its tag ${near.key}? `;
  return `${meant}tag ${where} with ${tag}=${value} (propagated to instances) and this instance, or set EIP_HEAL_ALLOCATION_ID`;
}

/** The tag that seems to be meant: its key is misspelt, or its value is an allocation id. */
export function nearTag(
  tag: string,
  tags: Readonly<Record<string, string>>,
): { readonly key: string; readonly value: string } | undefined {
  const keys = Object.keys(tags).filter((key) => !key.startsWith("aws:"));
  const key = nearest(tag, keys) ?? keys.find((one) => isAllocationId(tags[one] ?? ""));
  return key === undefined ? undefined : { key, value: tags[key] ?? "" };
}
