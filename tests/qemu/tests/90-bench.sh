# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cost of each backend, in instructions, hypercalls and grant operations.
# timeout: 1800
# icount: yes

# One guest, five disks of the same content, all files on one tmpfs.
mkdir -p /mnt/bench
mount -t tmpfs -o size=1600m bench /mnt/bench
cd /mnt/bench
head -c 192M < <(yes 'content of the disk under test') >loop.raw
step "five images of the same 192 MB"
cp loop.raw qdisk.raw
cp loop.raw tap.raw
must qemu-img convert -f raw -O vpc loop.raw qdisk.vhd
cp qdisk.vhd tap.vhd

guest_config g1 type=pv memory=384 -- \
	'format=raw,vdev=xvda,access=rw,target=/mnt/bench/loop.raw' \
	'format=raw,vdev=xvdb,access=rw,backendtype=qdisk,target=/mnt/bench/qdisk.raw' \
	'format=vhd,vdev=xvdc,access=rw,backendtype=qdisk,target=/mnt/bench/qdisk.vhd' \
	"$(tap_disk xvdd aio:/mnt/bench/tap.raw)" \
	"$(tap_disk xvde vhd:/mnt/bench/tap.vhd)"
guest_boot g1 300

fio='fio --name=b --direct=1 --ioengine=libaio --size=160m --output-format=terse --terse-version=3'
timed="--runtime=2 --time_based --ramp_time=500ms"
: >"$state/results"
for d in a:blkback-loop-raw b:qdisk-raw c:qdisk-vhd d:tap-raw e:tap-vhd; do
	step "disk xvd${d%:*}, ${d#*:}"
	for job in seqread:read:128k:8 seqwrite:write:128k:8 randread:randread:4k:16 \
			randwrite:randwrite:4k:16 randread1:randread:4k:1; do
		IFS=: read -r name rw bs depth <<<"$job"
		# Terse fields 7, 8: read KiB/s and IOPS; 48, 49: written.
		guest_must g1 200 "$fio $timed --filename=/dev/xvd${d%:*} --rw=$rw --bs=$bs --iodepth=$depth |
			awk -F';' '/^3;/ { print \"fio ${d#*:} $name\", \$7 + \$48, \$8 + \$49 }'" |
			tee -a "$state/results"
	done
	# Not in the timed runs: the trace itself costs.
	trace=$(echo /usr/lib/xen-*/bin/xentrace)
	"$trace" -D -S 256 -e 0x00201000 "$state/trace" >/dev/null 2>&1 3>&- &
	tracer=$!
	sleep 1
	guest_must g1 100 "$fio --filename=/dev/xvd${d%:*} --rw=randread --bs=4k --iodepth=16 --number_ios=4000 >/dev/null"
	kill -INT $tracer
	wait $tracer || :
	python3 /opt/pvio/count-hypercalls "$state/trace" 4000 |
		sed "s/^/ops ${d#*:} /" | tee -a "$state/results"
	rm -f "$state/trace"
done
step "the pause of a snapshot, without I/O"
sum='dd if=/dev/xvde bs=1M count=8 iflag=direct 2>/dev/null | md5sum'
before=$(guest_must g1 100 "$sum")
for i in 1 2 3; do
	tap=(-p "$(tap_field vhd:/mnt/bench/tap.vhd pid)" -m "$(tap_field vhd:/mnt/bench/tap.vhd minor)")
	t=${EPOCHREALTIME/./}
	must tap-ctl pause "${tap[@]}"
	must mv tap.vhd tap-$i.vhd
	must vhd-util snapshot -n tap.vhd -p tap-$i.vhd
	must tap-ctl unpause "${tap[@]}"
	echo "pause snapshot $(((${EPOCHREALTIME/./} - t) / 1000))" | tee -a "$state/results"
done
[ "$(guest_must g1 100 "$sum")" = "$before" ] || fail "the disk is not what it was"
uname -r | sed 's/^/kernel /' >>"$state/results"
bed_file bench.txt <"$state/results"
guest_destroy g1
cd /
taps_must_be_gone
umount /mnt/bench
