/** The wire format of the EC2 Query API: records into XML. */

import type { ApiError } from "./errors.ts";
import type { TagRow } from "./filters.ts";
import type { Address, NetworkInterface } from "./model.ts";
import type { DescribedInstance } from "./actions.ts";
import { xml } from "./xml.ts";
import type { Xml } from "./xml.ts";

const STATE_CODES: Readonly<Record<string, number>> = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

/** The body of a successful answer. */
export function responseXml(
  action: string,
  requestId: string,
  content: { readonly [element: string]: Xml },
): string {
  const inner = xml({ requestId, ...content });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${inner}</${action}Response>`;
}

/** The body of an error answer. */
export function errorXml(error: ApiError, requestId: string): string {
  const inner = xml({
    Errors: { Error: { Code: error.code, Message: error.message } },
    RequestID: requestId,
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Response>${inner}</Response>`;
}

/** One item of DescribeAddresses. */
export function addressXml(address: Address, emptyInstanceId: boolean): Xml {
  const held = address.association;
  return {
    publicIp: address.publicIp,
    allocationId: address.allocationId,
    domain: "vpc",
    instanceId: held?.instanceId ?? (emptyInstanceId ? "" : undefined),
    associationId: held?.associationId,
    networkInterfaceId: held?.networkInterfaceId,
    networkInterfaceOwnerId: held?.networkInterfaceOwnerId,
    privateIpAddress: held?.privateIp,
    tagSet: tagSet(address.tags),
    publicIpv4Pool: "amazon",
    networkBorderGroup: address.networkBorderGroup,
    serviceManaged: address.serviceManaged,
  };
}

/** One item of DescribeInstances' reservationSet: each instance is a reservation of its own, as from Auto Scaling. */
export function reservationXml(described: DescribedInstance, account: string): Xml {
  const { instance } = described;
  const [primary] = instance.interfaces;
  return {
    reservationId: instance.instanceId.replace(/^i-/, "r-"),
    ownerId: account,
    groupSet: [],
    instancesSet: [
      {
        instanceId: instance.instanceId,
        imageId: instance.imageId,
        instanceState: { code: STATE_CODES[instance.state], name: instance.state },
        privateDnsName: dnsName(primary?.addresses[0]?.privateIp),
        dnsName: "",
        amiLaunchIndex: 0,
        productCodes: [],
        instanceType: instance.instanceType,
        launchTime: new Date(instance.launchTime).toISOString(),
        placement: { availabilityZone: instance.zone, groupName: "", tenancy: "default" },
        monitoring: { state: "disabled" },
        subnetId: primary?.subnetId,
        vpcId: primary?.vpcId,
        privateIpAddress: primary?.addresses[0]?.privateIp,
        ipAddress: described.publicIp,
        sourceDestCheck: primary && true,
        groupSet: primary && securityGroups(primary),
        architecture: "x86_64",
        tagSet: tagSet(described.tags),
        hypervisor: "xen",
        networkInterfaceSet: instance.interfaces.map((eni) =>
          interfaceXml(eni, described, account),
        ),
        virtualizationType: "hvm",
      },
    ],
  };
}

/** One item of DescribeTags. */
export function tagXml(row: TagRow): Xml {
  return {
    resourceId: row.resourceId,
    resourceType: row.resourceType,
    key: row.key,
    value: row.value,
  };
}

// --- internal ---

function interfaceXml(eni: NetworkInterface, described: DescribedInstance, account: string): Xml {
  const addresses = eni.addresses.map((at) => ({
    privateIpAddress: at.privateIp,
    primary: at.primary,
    association: associationXml(at, described, account),
  }));
  return {
    networkInterfaceId: eni.networkInterfaceId,
    subnetId: eni.subnetId,
    vpcId: eni.vpcId,
    description: "",
    ownerId: eni.ownerId,
    status: "in-use",
    macAddress: eni.mac,
    privateIpAddress: eni.addresses[0]?.privateIp,
    sourceDestCheck: true,
    groupSet: securityGroups(eni),
    attachment: {
      attachmentId: eni.networkInterfaceId.replace(/^eni-/, "eni-attach-"),
      deviceIndex: eni.deviceIndex,
      networkCardIndex: eni.networkCardIndex,
      status: "attached",
      attachTime: new Date(described.instance.launchTime).toISOString(),
      deleteOnTermination: eni.deleteOnTermination,
    },
    association: addresses[0]?.association,
    privateIpAddressesSet: addresses,
    ipv6AddressesSet: eni.ipv6s.map((ipv6Address) => ({ ipv6Address })),
    interfaceType: "interface",
  };
}

/** EC2 shows here whose the public address is, but never its allocation id. */
function associationXml(
  at: NetworkInterface["addresses"][number],
  described: DescribedInstance,
  account: string,
): Xml {
  if (at.allocationId !== undefined) {
    const publicIp = described.elasticIp(at.allocationId);
    return publicIp === undefined ? undefined : { publicIp, publicDnsName: "", ipOwnerId: account };
  }
  return at.autoPublicIp === undefined
    ? undefined
    : { publicIp: at.autoPublicIp, publicDnsName: "", ipOwnerId: "amazon" };
}

/** The default group of the VPC: nothing here looks at groups, but no interface is without. */
function securityGroups(eni: NetworkInterface): Xml {
  return [{ groupId: eni.vpcId.replace(/^vpc-/, "sg-"), groupName: "default" }];
}

function tagSet(tags: Readonly<Record<string, string>>): Xml {
  const entries = Object.entries(tags);
  return entries.length === 0 ? undefined : entries.map(([key, value]) => ({ key, value }));
}

function dnsName(privateIp: string | undefined): string {
  return privateIp === undefined ? "" : `ip-${privateIp.replaceAll(".", "-")}.ec2.internal`;
}
