/** The product's own client of EC2, connected to a server of the test. */
import { connectApi } from "../../src/aws/ec2-api.ts";

/** @param port of a server on 127.0.0.1 that speaks HTTP */
export function ec2At(port: number) {
  return connectApi({
    self: {
      instanceId: "i-00000000000000001",
      region: "us-east-1",
      zone: "us-east-1a",
      interfaces: [],
    },
    credentials: () => Promise.resolve({ accessKeyId: "AKIA", secretAccessKey: "secret" }),
    dualStack: false,
    fips: false,
    signal: new AbortController().signal,
    version: "test",
    skew: { offsetMs: 0 },
    endpoint: `http://127.0.0.1:${port}`,
  });
}
