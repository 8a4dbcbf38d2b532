# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Speed of one guest's disks, by us and by what stock Xen has.
# timeout: 3000
# icount: yes

# The same 128 MiB of random content behind five disks of one guest, all of
# it on a tmpfs in dom0 and written to the images before the clock starts.
# Time is executed instructions (bed --icount), so no disk, cache or other
# load of the host is in the figures.
mb=128
must mkdir -p /bench
must mount -t tmpfs -o size=1200m bench /bench
must dd if=/dev/urandom of=/bench/loop.raw bs=1M count=$mb status=none
must cp /bench/loop.raw /bench/qdisk.raw
must cp /bench/loop.raw /bench/aio.raw
must qemu-img convert -O vpc /bench/loop.raw /bench/qdisk.vhd
must cp /bench/qdisk.vhd /bench/tap.vhd

names=(blkback+loop:raw qdisk:raw qdisk:vhd blktap2:aio blktap2:vhd)
devs=(xvda xvdb xvdc xvdd xvde)
guest_config g1 -- \
	"backendtype=phy,format=raw,vdev=xvda,access=rw,target=/bench/loop.raw" \
	"backendtype=qdisk,format=raw,vdev=xvdb,access=rw,target=/bench/qdisk.raw" \
	"backendtype=qdisk,format=vhd,vdev=xvdc,access=rw,target=/bench/qdisk.vhd" \
	"$(tap_disk xvdd aio:/bench/aio.raw)" \
	"$(tap_disk xvde vhd:/bench/tap.vhd)"
guest_boot g1 300

# name rw bs depth field: terse version 3 has bandwidth in KiB/s in 7 and 48
# (write), requests per second in 8 and 49
jobs=('read128k read 128k 8 7' 'write128k write 128k 8 48'
	'randread4k randread 4k 16 8' 'randwrite4k randwrite 4k 16 49'
	'read4k1 randread 4k 1 8')

job_fio()	# device rw bs depth more...
{
	local dev=$1 rw=$2 bs=$3 depth=$4
	shift 4
	echo "fio --name=b --filename=/dev/$dev --rw=$rw --bs=$bs" \
		"--iodepth=$depth --direct=1 --ioengine=libaio --size=${mb}m" \
		"--randrepeat=1 --output-format=terse --terse-version=3 $*"
}

speed()		# device job -> figure
{
	local dev=$1 rw bs depth field cmd
	read -r _ rw bs depth field <<<"$2"
	cmd=$(job_fio "$dev" "$rw" "$bs" "$depth" --time_based --runtime=3 --ramp_time=1)
	guest_must g1 900 "$cmd | cut -d';' -f$field"
}

# Hypercalls of the guest and dom0 together, by Xen's own trace, while the
# guest does $5 requests.
traced()	# device rw bs depth requests -> calls, of these grant_table_op, event_channel_op
{
	local pid cmd
	cmd=$(job_fio "$1" "$2" "$3" "$4" --number_ios="$5")
	rm -f /run/pvio/t/trace
	xentrace -D -e 0x0020f000 -s 20 -S 512 /run/pvio/t/trace >/dev/null 2>&1 &
	pid=$!
	sleep 0.5
	guest_must g1 900 "$cmd >/dev/null"
	sleep 0.2
	kill -INT $pid
	wait $pid || :
	perl -e '
		local $/; my $d = <STDIN>; my ($p, $n, $g, $e) = (0, 0, 0, 0);
		while ($p + 4 <= length $d) {
			my $h = unpack("V", substr($d, $p, 4));
			my $x = ($h >> 28) & 7;
			my $at = $p + 4 + (($h >> 31) ? 8 : 0);
			my $ev = $h & 0xfffffff;
			die "trace has lost records\n" if $ev == 0x1f001;
			if ($ev == 0x20100d) {
				my $op = unpack("V", substr($d, $at, 4)) & 0xfffff;
				$n++; $g++ if $op == 20; $e++ if $op == 32;
			}
			$p = $at + 4 * $x;
		}
		print "$n $g $e\n";' </run/pvio/t/trace
}

# What starting fio costs is in both of two runs; the difference is not.
hypercalls()	# device rw bs depth -> three figures per request
{
	local few many
	few=$(traced "$@" 500)
	many=$(traced "$@" 1500)
	echo "$few $many" | awk '{ printf "%.2f %.2f %.2f\n",
		($4 - $1) / 1000, ($5 - $2) / 1000, ($6 - $3) / 1000 }'
}

json="{\"dom0\": \"$(uname -r)\", \"xen\": \"$(xl info | sed -n 's/^xen_version *: //p')\""
for i in "${!names[@]}"; do
	json="$json, \"${names[$i]}\": {"
	for job in "${jobs[@]}"; do
		figure=$(speed "${devs[$i]}" "$job")
		echo "${names[$i]} ${job%% *} $figure"
		json="$json\"${job%% *}\": $figure, "
	done
	for how in 'calls4k randread 4k 16' 'calls4k1 randread 4k 1'; do
		read -r key rw bs depth <<<"$how"
		calls=$(hypercalls "${devs[$i]}" "$rw" "$bs" "$depth")
		echo "${names[$i]} $key $calls"
		json="$json\"$key\": [${calls// /, }]"
		[ "$key" = calls4k1 ] || json="$json, "
	done
	json="$json}"
done
echo "$json}" | bed_file bench.json
guest_destroy g1
umount /bench
taps_must_be_gone
