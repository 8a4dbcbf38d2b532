# SPDX-License-Identifier: GPL-2.0
#
# Two readers: kbuild (an external module build comes here first), and the
# user, for whom `make help' lists the targets.

CONFIG_BLK_DEV_TAP ?= m
CONFIG_XEN_NETCHANNEL2 ?= m
export CONFIG_BLK_DEV_TAP CONFIG_XEN_NETCHANNEL2

ifneq ($(KBUILD_EXTMOD),)
# Read by kbuild. DKMS sets KERNELRELEASE for us, too, so that does not tell.
top := $(KBUILD_EXTMOD)
NOSTDINC_FLAGS += -I$(top)/compat/include -I$(top)/include/uapi -I$(top)/include
subdir-ccflags-y += -DXEN_PVIO_VERSION='"$(shell cat $(top)/VERSION)"'
subdir-ccflags-$(CONFIG_BLK_DEV_TAP:m=y) += -DCONFIG_BLK_DEV_TAP_MODULE=1
subdir-ccflags-$(CONFIG_XEN_NETCHANNEL2:m=y) += -DCONFIG_XEN_NETCHANNEL2_MODULE=1
obj-y += drivers/block/blktap2/ drivers/net/netchannel2/
else
# Read by the user.

KERNELDIR ?= /lib/modules/$(shell uname -r)/build
# Headers of the kernels the bed runs.
BED_KERNELS := $(foreach p,linux-headers-amd64 linux-headers-6.12-amd64,\
	$(shell dpkg-query -W -f '$${Depends}\n' $(p) 2>/dev/null | \
		sed -n 's/.*linux-headers-\([^ ,]*\).*/\1/p'))

# What kbuild writes beside its sources goes into a folder per kernel, made
# of links to them.
SOURCES := $(wildcard Makefile VERSION Kconfig compat include drivers)
# The name the running kernel gives itself, which is not what Debian 6.1's
# `make kernelrelease' says.
krel = $(or $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KERNELDIR)/include/generated/utsrelease.h 2>/dev/null),$(error \
	no kernel headers in $(KERNELDIR); install \
	linux-headers-$(shell uname -r) or set KERNELDIR))

.PHONY: all help modules tools man install install-modules install-tools \
	uninstall setup demo check check-long quick bench bench-build shell bed-build \
	clean

all: tools modules

help:
	@echo 'On a Debian 12 machine, as root, with nothing prepared:'
	@echo '  make demo        build all, boot Xen with a Debian guest on a VHD in QEMU,'
	@echo '                   say what happened, compare the speed'
	@echo '  make check       all tests (about 70 minutes)'
	@echo '  make quick       static checks and unit tests (under 5 minutes)'
	@echo '  make check-long  the same as check, with more rounds of everything random'
	@echo '  make bench       the speed tables alone, measured anew if anything changed:'
	@echo '                   guests in QEMU; libvhd beside qemu-img on this machine'
	@echo '  make shell       a prompt in dom0 in QEMU, a guest'"'"'s VHD ready'
	@echo
	@echo 'On a Xen host:'
	@echo '  make             tools and the module for the running kernel'
	@echo '  make install     install them, with udev rules, aliases and man pages'
	@echo '  make uninstall   remove them'
	@echo
	@echo '  make tools | modules | clean'
	@echo
	@echo 'Variables: KERNELDIR (headers), DESTDIR (for install),'
	@echo 'FRESH=1 (demo and bench: anew, even if nothing changed since the last time),'
	@echo 'XEN_PVIO_CACHE (default ~/.cache/xen-pvio: disk images, kept by content).'
	@echo 'tests/qemu/bed --help: single tests in the bed.'

modules:
	@set -e; krel='$(krel)'; d=build/modules/$$krel; mkdir -p $$d; \
	exec 9>$$d/.lock; flock 9; \
	find $$d -type l -delete; cp -rs $(addprefix $(CURDIR)/,$(SOURCES)) $$d/; \
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR)/$$d modules

tools:
	$(MAKE) -C tools

install: install-tools install-modules

install-tools: tools
	$(MAKE) -C tools install DESTDIR=$(DESTDIR)

install-modules: modules
	@set -e; krel='$(krel)'; to=$(DESTDIR)/lib/modules/$$krel/updates; \
	for m in $$(find build/modules/$$krel -name '*.ko'); do \
		install -D -m 644 $$m $$to/$${m##*/}; \
		echo "installed $$to/$${m##*/}"; \
	done; \
	[ -n '$(DESTDIR)' ] || depmod $$krel

# What install puts where is known by installing into an empty folder.
uninstall:
	@set -e; d=$$(mktemp -d); trap 'rm -rf $$d' EXIT; \
	$(MAKE) -s install DESTDIR=$$d >/dev/null; \
	(cd $$d && find . ! -type d) | while read -r f; do \
		rm -f -v "$(DESTDIR)$${f#.}"; \
	done; \
	[ -n '$(DESTDIR)' ] || depmod '$(krel)'

setup:
	@scripts/setup.sh

# All that the bed puts into dom0, for each kernel it can boot.
bed-build: tools
	@set -e; for k in $(BED_KERNELS); do \
		$(MAKE) --no-print-directory modules \
			KERNELDIR=/lib/modules/$$k/build; \
	done
	$(MAKE) -C tests/ring
	$(MAKE) -C tests/nc2
	$(MAKE) -C tests/qemu/src

bench-build: tools
	$(MAKE) -C tests/bench

demo: setup
	@tests/qemu/demo $(if $(FRESH),--fresh)

check: setup
	@tests/run

check-long: setup
	@tests/run long

quick: setup
	@tests/run quick

bench: setup bench-build
	@tests/qemu/bench $(if $(FRESH),--fresh)
	@tests/bench/native $(if $(FRESH),--fresh)
	@tests/bench/native --memory $(if $(FRESH),--fresh)

shell: setup
	@tests/qemu/bed --shell

clean:
	rm -rf build

endif
