/** What needrestart is told about our units: read the way in which it reads its own files, by Perl. */
import { expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { missing, ROOT, run } from "./tools.ts";

/** What it does about a service that it would restart: 0 is to leave it. Read in needrestart 3.6. */
const ASK = `
  our %nrconf = (override_rc => {});
  my $file = shift;
  eval do { local (@ARGV, $/) = $file; <> };
  die $@ if $@;
  for my $rc (@ARGV) {
    my ($re) = grep { $rc =~ /$_/ } keys %{$nrconf{override_rc}};
    print "$rc ", defined $re ? $nrconf{override_rc}{$re} : "as usual", "\n";
  }`;

test("needrestart leaves our services alone, and no others", unless(missing("perl")), () => {
  const services = ["eip-heal.service", "eip-heal-recheck.service", "my-eip-heal.service"];
  const said = run("perl", "-w", "-e", ASK, `${ROOT}packaging/needrestart.conf`, ...services);
  expect(said.trimEnd().split("\n")).toEqual([
    "eip-heal.service 0",
    "eip-heal-recheck.service 0",
    "my-eip-heal.service as usual",
  ]);
});
