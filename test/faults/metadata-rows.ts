/** Instance metadata that does not answer as it should. */
import { TOKEN_NOT_HONOURED } from "../../sim/faults.ts";
import type { Row } from "./stage.ts";
import {
  answering,
  DOCUMENT,
  faulty,
  imds,
  LEAF,
  MACS,
  made,
  NO_ANSWER,
  PUT_TOKEN,
} from "./troubles.ts";

export const IMDS: Row[] = [
  {
    name: "silent",
    begin: imds({ do: "silence" }),
    told: [PUT_TOKEN, `${NO_ANSWER} 2 s`, "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "refusing",
    begin: made(
      ({ region, me }) => region.unplug(me),
      ({ region, me }) => region.plug(me),
    ),
    told: [PUT_TOKEN, "connection refused", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "resetting",
    begin: imds({ do: "reset" }),
    told: [PUT_TOKEN, "connection reset", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "hanging up",
    begin: imds({ do: "hang-up" }),
    told: [PUT_TOKEN, "connection", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "stalling in the middle of the token",
    begin: imds({ do: "stall" }, { method: "PUT" }),
    told: [PUT_TOKEN, `${NO_ANSWER} 2 s`],
    status: 75,
  },
  {
    name: "stalling in the middle of a leaf",
    begin: imds({ do: "stall" }, { path: DOCUMENT }),
    told: [DOCUMENT, `${NO_ANSWER} 2 s`],
    status: 75,
  },
  {
    name: "401 on every read after a good token",
    begin: faulty(TOKEN_NOT_HONOURED),
    told: ["refuses the token that it has just given (401)"],
    status: 75,
  },
  {
    name: "403: switched off",
    begin: made(
      ({ region, me }) => region.region.setMetadata(me, { metadata: "disabled" }),
      ({ region, me }) => region.region.setMetadata(me, { metadata: "enabled" }),
    ),
    told: [PUT_TOKEN, "switched off", "(403)", "aws ec2 modify-instance-metadata-options"],
    status: 75,
  },
  {
    name: "429 on a leaf, once",
    begin: imds(answering(429), { path: DOCUMENT, count: 1 }),
    told: [],
    status: 0,
    deadline: "20s",
    isHarmless: true,
    passes: true,
  },
  {
    name: "429 on a leaf",
    begin: imds(answering(429), { path: DOCUMENT }),
    told: [DOCUMENT, "it is asked too often (429)"],
    status: 75,
  },
  {
    name: "404 on the identity document",
    begin: imds(answering(404), { path: DOCUMENT }),
    told: [],
    status: 0,
    deadline: "20s",
    isHarmless: true,
    passes: true,
  },
  {
    name: "404 on the identity document and on a leaf",
    begin: faulty(
      { service: "imds", effect: answering(404), path: DOCUMENT },
      { service: "imds", effect: answering(404), path: LEAF },
    ),
    told: ["meta-data/instance-id", "does not have it yet"],
    status: 75,
  },
  {
    name: "404 on a leaf that its parent lists",
    begin: (scene) => {
      const { mac = "" } = scene.region.region.instance(scene.me).interfaces[0] ?? {};
      return imds(answering(404), { path: `${MACS}${mac}/interface-id` })(scene);
    },
    told: [MACS.slice("/latest/".length), "interface-id", "does not have it yet"],
    status: 75,
  },
  {
    name: "500",
    begin: imds(answering(500)),
    told: [PUT_TOKEN, "status 500"],
    status: 75,
  },
  {
    name: "503 on reads",
    begin: imds(answering(503), { method: "GET" }),
    told: ["GET http://127.0.0.1", "status 503"],
    status: 75,
  },
  {
    name: "an HTML page with status 200 for the token",
    begin: imds({ do: "html" }),
    told: [PUT_TOKEN, "not a token"],
    status: 75,
  },
  {
    name: "an HTML page with status 200 for every leaf",
    begin: imds({ do: "html" }, { method: "GET" }),
    told: ["meta-data/", "answered with something else", "<!DOCTYPE html>"],
    status: 75,
  },
  {
    name: "an HTML page with status 200 for the credentials",
    begin: imds({ do: "html" }, { path: "/latest/meta-data/iam/" }),
    told: ["meta-data/iam/security-credentials/", "not the name of a role"],
    status: 75,
  },
  {
    name: "bytes that mean nothing",
    begin: imds({ do: "garbage" }, { method: "GET" }),
    told: ["meta-data/", "answered with something else"],
    status: 75,
  },
  {
    name: "an over-long token",
    begin: imds({ do: "overlong" }),
    told: [PUT_TOKEN, "longer than"],
    status: 75,
  },
  {
    name: "an over-long leaf",
    begin: imds({ do: "overlong" }, { path: DOCUMENT }),
    told: [DOCUMENT, "longer than"],
    status: 75,
  },
  {
    name: "token refused: 400",
    begin: imds(answering(400), { method: "PUT" }),
    told: [PUT_TOKEN, "status 400"],
    status: 75,
  },
  {
    name: "token refused: 404, the service is not there",
    begin: imds(answering(404), { method: "PUT" }),
    told: [PUT_TOKEN, "switched off", "(404)"],
    status: 75,
  },
  {
    name: "an empty token",
    begin: imds(answering(200), { method: "PUT" }),
    told: [PUT_TOKEN, "the answer is empty"],
    status: 75,
  },
  {
    name: "elsewhere: a redirect",
    begin: imds({ do: "status", status: 302, headers: { location: "http://127.0.0.1:9/" } }),
    told: [PUT_TOKEN, "status 302"],
    status: 75,
  },
];
