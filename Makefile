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
# DKMS has the source of one driver.
obj-y += $(patsubst $(top)/%,%/,$(wildcard $(top)/drivers/block/blktap2 $(top)/drivers/net/netchannel2))
else
# Read by the user.

version := $(shell cat VERSION)
moddir ?= /lib/modules
srcdir ?= /usr/src
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

.PHONY: all help modules tools install install-modules install-tools \
	install-guest install-dkms uninstall setup demo check check-long quick bench bench-build shell bed-build \
	clean

all: tools modules

help:
	@echo 'On a Debian 12 machine, as root, with nothing prepared:'
	@echo '  make demo        build all, boot Xen with a Debian guest on a VHD in QEMU,'
	@echo '                   say what happened, compare the speed'
	@echo '  make check       all tests (about an hour)'
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
	@echo '  make deb         Debian packages, in build/deb'
	@echo '  make install-dkms   source of the modules for DKMS'
	@echo
	@echo 'In a guest, for vifs of netchannel2:'
	@echo '  make install-guest'
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

# kbuild strips, signs and compresses as the kernel was configured.
install-modules: modules
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR)/build/modules/$(krel) \
		MODLIB=$(DESTDIR)$(moddir)/$(krel) INSTALL_MOD_DIR=updates \
		INSTALL_MOD_STRIP=1 DEPMOD=true modules_install
	[ -n '$(DESTDIR)' ] || depmod $(krel)

# All that a guest needs. Its initramfs gets the module, because a root file
# system may be behind a vif.
install-guest:
	$(MAKE) install-modules CONFIG_BLK_DEV_TAP=n
	$(MAKE) -C tools/etc install-guest DESTDIR=$(DESTDIR)
	[ -n '$(DESTDIR)' ] || ! command -v update-initramfs || \
		update-initramfs -u -k $(krel)

# Source of the modules for DKMS, which builds them for each new kernel.
install-dkms: $(addprefix install-dkms-,blktap2 netchannel2)

install-dkms-%:
	@set -e; to=$(DESTDIR)$(srcdir)/$*-$(version); \
	for f in $$(find Makefile VERSION Kconfig compat/include include \
			drivers/*/$* -type f ! -name '*.cmd'); do \
		install -D -m 644 $$f $$to/$$f; \
	done; \
	sed 's/@version@/$(version)/' compat/dkms/$*.conf >$$to/dkms.conf; \
	echo "installed $$to"

# What install puts where is known by installing into an empty folder.
uninstall:
	@set -e; d=$$(mktemp -d); trap 'rm -rf $$d' EXIT; \
	$(MAKE) -s install DESTDIR=$$d >/dev/null; \
	(cd $$d && find . ! -type d) | while read -r f; do \
		rm -f -v "$(DESTDIR)$${f#.}"; \
	done; \
	[ -n '$(DESTDIR)' ] || depmod '$(krel)'

# Debian packages, built from a copy and checked; they are in build/deb.
deb:
	@scripts/setup.sh deb
	@scripts/mkdeb.sh

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
