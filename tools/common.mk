# SPDX-License-Identifier: GPL-2.0
# Shared by the Makefiles below tools/ and by tests/unit and tests/fuzz.
#
# SAN=1 builds with ASan and UBSan into a folder of its own.

top := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)

ifeq ($(SAN),1)
BUILD ?= $(top)/build/tools-asan
san_flags := -fsanitize=address,undefined -fno-sanitize-recover=all \
	     -fno-omit-frame-pointer
else
BUILD ?= $(top)/build/tools
endif

CC ?= gcc
CFLAGS ?= -O2 -g
# The one version of all that is here.
td_version := $(shell cat $(top)/VERSION)
td_cflags := -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes \
	     -Wstrict-prototypes -Wshadow -Wpointer-arith -fno-strict-aliasing \
	     -fno-common -fPIC -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	     $(san_flags) -I$(top)/include/uapi -I$(top)/tools/lib \
	     -I$(top)/tools -DTD_VERSION='"$(td_version)"'
td_ldflags := $(san_flags)

# $(call td_objs,SOURCES): where the objects of this folder's sources go.
here := $(patsubst $(top)/%,%,$(CURDIR))
obj := $(BUILD)/obj/$(here)
td_objs = $(patsubst %.c,$(obj)/%.o,$(1))

$(obj)/%.o: %.c Makefile $(top)/tools/common.mk $(top)/VERSION
	@mkdir -p $(@D)
	$(CC) $(td_cflags) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# $(call td_lib,NAME): a static library of this folder's objects.
td_lib = $(BUILD)/lib$(1).a

$(BUILD)/%.a:
	@mkdir -p $(@D)
	rm -f $@
	$(AR) qcs $@ $(filter %.o,$^)

td_link = $(CC) $(td_cflags) $(CFLAGS) $(td_ldflags) $(LDFLAGS) -o $@ \
	  $(filter %.o,$^) $(filter %.a,$^) $(1)

-include $(shell find $(obj) -name '*.d' 2>/dev/null)
