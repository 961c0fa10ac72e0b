/** The EC2 Query API, version 2016-11-15: the actions' parameters and answers. */

import { randomBytes } from "node:crypto";

import {
  addressXml,
  errorXml,
  networkInterfaceXml,
  reservationXml,
  responseXml,
  tagXml,
} from "./ec2-wire.ts";
import { Ec2Error } from "./errors.ts";
import type { Params } from "./params.ts";
import type { Action, Service } from "./query-api.ts";

/** The actions that are served. To add one: its rule in region.ts, its parameters and answer here. */
const ACTIONS: Readonly<Record<string, Action>> = {
  DescribeAddresses: (region, caller, params, looking) => {
    const input = {
      allocationIds: params.list("AllocationId"),
      publicIps: params.list("PublicIp"),
      filters: params.filters(),
      dryRun: params.flag("DryRun"),
    };
    params.nothingElse();
    const addresses = region.describeAddresses(caller, input, looking);
    return {
      addressesSet: addresses.map((one) => addressXml(one, region.settings.emptyInstanceId)),
    };
  },

  DescribeInstances: (region, caller, params, looking) => {
    const input = {
      instanceIds: params.list("InstanceId"),
      filters: params.filters(),
      dryRun: params.flag("DryRun"),
      ...paging(params),
    };
    params.nothingElse();
    const page = region.describeInstances(caller, input, looking);
    return {
      reservationSet: page.items.map((one) => reservationXml(one, region.account)),
      nextToken: page.nextToken,
    };
  },

  DescribeNetworkInterfaces: (region, caller, params, looking) => {
    const input = {
      networkInterfaceIds: params.list("NetworkInterfaceId"),
      filters: params.filters(),
      dryRun: params.flag("DryRun"),
      ...paging(params),
    };
    params.nothingElse();
    const page = region.describeNetworkInterfaces(caller, input, looking);
    return {
      networkInterfaceSet: page.items.map((one) => networkInterfaceXml(one, region.account)),
      nextToken: page.nextToken,
    };
  },

  DescribeTags: (region, caller, params, looking) => {
    const input = { filters: params.filters(), dryRun: params.flag("DryRun"), ...paging(params) };
    params.nothingElse();
    const page = region.describeTags(caller, input, looking);
    return { tagSet: page.items.map(tagXml), nextToken: page.nextToken };
  },

  AssociateAddress: (region, caller, params) => {
    const input = {
      allocationId: params.text("AllocationId"),
      publicIp: params.text("PublicIp"),
      instanceId: params.text("InstanceId"),
      networkInterfaceId: params.text("NetworkInterfaceId"),
      privateIpAddress: params.text("PrivateIpAddress"),
      allowReassociation: params.flag("AllowReassociation"),
      dryRun: params.flag("DryRun"),
    };
    params.nothingElse();
    return { return: true, associationId: region.associateAddress(caller, input) };
  },

  DisassociateAddress: (region, caller, params) => {
    const associationId = params.text("AssociationId");
    const dryRun = params.flag("DryRun");
    params.nothingElse();
    if (associationId === undefined) {
      throw new Ec2Error(
        "MissingParameter",
        "The request must contain the parameter AssociationId",
      );
    }
    region.disassociateAddress(caller, { associationId, dryRun });
    return { return: true };
  },
};

export const EC2: Service = {
  name: "ec2",
  version: "2016-11-15",
  server: "AmazonEC2",
  actions: ACTIONS,
  answerXml: responseXml,
  errorXml,
  unauthenticated: (error) => error,
  lie: () => ({ return: true, associationId: `eipassoc-0${randomBytes(8).toString("hex")}` }),
};

// --- internal ---

function paging(params: Params): { maxResults: number | undefined; nextToken: string | undefined } {
  return { maxResults: params.number("MaxResults"), nextToken: params.text("NextToken") };
}
