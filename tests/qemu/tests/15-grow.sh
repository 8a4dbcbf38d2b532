# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Disks of a running guest grow, one of them under verified I/O; no loss.
# timeout: 1800
# kernels: 6.1

# Tables that have to be moved, tables with room, no tables.
must vhd-util create -n /data/moved.vhd -s 64
must vhd-util create -n /data/room.vhd -s 64 -S 4096
truncate -s 64M /data/grow.img
guest_config g1 type=pv -- "$(tap_disk xvda vhd:/data/moved.vhd)" \
	"$(tap_disk xvdb vhd:/data/room.vhd)" \
	"$(tap_disk xvdc aio:/data/grow.img)"
guest_boot g1

resize()	# TYPE:PATH OPTION...
{
	local disk=$1
	shift
	must tap-ctl resize -p "$(tap_field "$disk" pid)" \
		-m "$(tap_field "$disk" minor)" "$@"
}

# guest_sees DISK MIB: and no I/O of the guest's is needed for that.
guest_sees()
{
	guest_must g1 60 "i=0; until [ \$(blockdev --getsz /dev/$1) -eq $(($2 * 2048)) ]; do
		i=\$((i + 1)); [ \$i -lt 200 ] || { blockdev --getsz /dev/$1; exit 1; }; sleep 0.2; done"
}

# guest_fills DISK MIB: its last two MiB, and it reads them back.
guest_fills()
{
	guest_must g1 60 "dd if=/dev/urandom of=/tmp/tail bs=1M count=2 &&
		dd if=/tmp/tail of=/dev/$1 bs=1M seek=$(($2 - 2)) oflag=direct &&
		dd if=/dev/$1 bs=1M skip=$(($2 - 2)) iflag=direct | cmp - /tmp/tail 2>&1"
}

guest_must g1 100 'mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt/a &&
	dd if=/dev/urandom of=/tmp/b bs=1M count=4 && dd if=/tmp/b of=/dev/xvdb bs=1M oflag=direct 2>&1'
guest_must g1 30 "touch /tmp/rounds; cat >/tmp/load <<-END
	while [ ! -e /tmp/stop ]; do
		fio --name=l --filename=/mnt/a/load --size=16m --bsrange=4k-64k --rw=randwrite \
			--verify=crc32c --do_verify=1 --direct=1 --ioengine=libaio --iodepth=8 \
			--verify_state_save=0 --output-format=terse >/tmp/load.out 2>&1 || exit 1
		echo >>/tmp/rounds
	done
	touch /tmp/end
	END
	setsid sh /tmp/load </dev/null >/dev/null 2>&1 & echo \$! >/tmp/load.pid"
rounds()	# at least so many more
{
	guest_must g1 200 "n=\$((\$(wc -l </tmp/rounds) + $1)); i=0; until [ \$(wc -l </tmp/rounds) -ge \$n ]; do
		i=\$((i + 1)); [ \$i -lt 900 ] && kill -0 \$(cat /tmp/load.pid) || { cat /tmp/load.out; exit 1; }; sleep 0.2; done"
}
rounds 1

step "a VHD whose tables move, with a file system under load"
t=${EPOCHREALTIME/./}
resize vhd:/data/moved.vhd -s 1200
echo "tap-ctl resize took $(((${EPOCHREALTIME/./} - t) / 1000)) ms"
guest_sees xvda 1200
must vhd-util query -n /data/moved.vhd -v
guest_must g1 100 'resize2fs /dev/xvda 2>&1'
rounds 1
guest_must g1 200 'dd if=/dev/urandom of=/mnt/a/big bs=1M count=96 conv=fsync 2>&1 && md5sum /mnt/a/big >/tmp/big.md5 && df -m /mnt/a'

step "a VHD with room in its tables, and a raw file"
resize vhd:/data/room.vhd -s 3000
guest_sees xvdb 3000
guest_fills xvdb 3000
resize aio:/data/grow.img -s 100
guest_sees xvdc 100
guest_fills xvdc 100
truncate -s 200M /data/grow.img
resize aio:/data/grow.img
guest_sees xvdc 200
guest_fills xvdc 200

step "what is refused, and does no harm"
pid=$(tap_field vhd:/data/room.vhd pid) minor=$(tap_field vhd:/data/room.vhd minor)
must_fail 'does not get smaller' tap-ctl resize -p "$pid" -m "$minor" -s 2999
must_fail 'at most 2088960 MiB \(2040 GiB\), because' tap-ctl resize -p "$pid" -m "$minor" -s 2088961
must_fail '2040 GiB' vhd-util create -n /data/no.vhd -s 2088961
must_fail '2040 GiB' vhd-util snapshot -n /data/no.vhd -p /data/dynamic.vhd -S 2088961
[ ! -e /data/no.vhd ] || fail "a VHD of more than 2040 GiB was made"
guest_sees xvdb 3000

step "the tapdisk dies, the image grows, another takes over"
kill -9 "$pid"
waiting() { [ "$(cat "/sys/class/blktap2/blktap$minor/state")" = waiting ]; }
wait_for 20 waiting || fail "state is $(cat "/sys/class/blktap2/blktap$minor/state")"
must vhd-util resize -n /data/room.vhd -s 4000 -f
must tap-ctl recover -m "$minor"
guest_sees xvdb 4000
guest_fills xvdb 4000

step "as large as a VHD can be"
resize vhd:/data/room.vhd -s 2088960
guest_sees xvdb 2088960
guest_fills xvdb 2088960
guest_must g1 60 'dd if=/dev/xvdb bs=1M count=4 iflag=direct | cmp - /tmp/b 2>&1'

step "all is there"
rounds 1
guest_must g1 200 'touch /tmp/stop; while kill -0 $(cat /tmp/load.pid) 2>/dev/null; do sleep 0.2; done; [ -e /tmp/end ] || { cat /tmp/load.out; exit 1; }'
guest_must g1 200 'umount /mnt/a && e2fsck -fn /dev/xvda 2>&1 && mount /dev/xvda /mnt/a && md5sum -c /tmp/big.md5 && umount /mnt/a'
guest_shutdown g1
taps_must_be_gone
[ "$(vhd-util query -n /data/room.vhd -v)" = 2088960 ] || fail "room.vhd: $(vhd-util query -n /data/room.vhd -v) MiB"
must vhd-util check -n /data/room.vhd
image_must_be_clean vpc vhd:/data/moved.vhd
