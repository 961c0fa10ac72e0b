#!/bin/bash
# What an instance of the acceptance runs as user data: installs the package, and at this and each later boot writes to
# the console what only the instance can see. Lines that begin with EIP-HEAL-ACCEPTANCE are read by console.ts.
#
# @PACKAGE@ (a presigned URL), @SPARE@ (an allocation id that the role does not allow) and @REGION@ are filled in.
set -u

cat >/usr/local/sbin/eip-heal-acceptance <<'RECORDER'
#!/bin/bash
# Follows target-lifecycle-state for five minutes, a look each second; meanwhile tells what the heal of this boot said.
set -u
say() { printf 'EIP-HEAL-ACCEPTANCE %s\n' "$*" >/dev/console; }
metadata() {
	local token
	token=$(curl --silent --max-time 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
		http://169.254.169.254/latest/api/token)
	curl --silent --max-time 2 --output /run/eip-heal-acceptance --write-out '%{http_code}' \
		-H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}
uptime() { cut -d. -f1 /proc/uptime; }

say "boot $(cat /proc/sys/kernel/random/boot_id)"
before=
healed=
for ((second = 0; second < 300; second++)); do
	code=$(metadata autoscaling/target-lifecycle-state)
	state=
	[ "$code" != 200 ] || state=$(tr -cd 'A-Za-z:' </run/eip-heal-acceptance)
	if [ "$code $state" != "$before" ]; then
		say "state $(uptime) $code $state"
		before="$code $state"
	fi
	if [ -z "$healed" ] && systemctl is-active --quiet eip-heal.service; then
		healed=yes
		journalctl --boot --unit eip-heal.service --output cat --no-pager | tail -n 5 |
			while read -r line; do say "log $line"; done
		# What EC2 says to a request that the role does not allow.
		instance=$(metadata instance-id >/dev/null && cat /run/eip-heal-acceptance)
		for dry in --dry-run --no-dry-run; do
			answer=$(aws ec2 associate-address --region '@REGION@' "$dry" --allocation-id '@SPARE@' \
				--instance-id "$instance" 2>&1 | tr '\n' ' ')
			say "denied $dry $answer"
		done
	fi
	sleep 1
done
[ -n "$healed" ] || say "log $(systemctl show --property ActiveState,Result eip-heal.service | paste -sd' ')"
RECORDER
chmod 755 /usr/local/sbin/eip-heal-acceptance

cat >/etc/systemd/system/eip-heal-acceptance.service <<'UNIT'
[Unit]
Description=Tells the acceptance of eip-heal what this instance sees
[Service]
ExecStart=/usr/local/sbin/eip-heal-acceptance
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now eip-heal-acceptance.service

curl --silent --show-error --fail --location --retry 5 --output /var/tmp/eip-heal.rpm '@PACKAGE@' &&
	dnf --assumeyes install /var/tmp/eip-heal.rpm ||
	echo 'EIP-HEAL-ACCEPTANCE log the package could not be installed' >/dev/console
systemctl enable --now eip-heal-recheck.timer
systemctl start --no-block eip-heal.service
