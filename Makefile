# SPDX-License-Identifier: BSD-2-Clause
# tcpsaga. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
CC = gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(shell command -v bpftool 2>/dev/null) /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config

# What each step needs, by the name of Debian's package.
PACKAGES_BUILD := make gcc libc6-dev clang llvm bpftool pkg-config libbpf-dev libelf-dev zlib1g-dev libxxhash-dev
PACKAGES_CHECK := libcmocka-dev bats jq iproute2 python3 python3-jsonschema qemu-system-x86 \
	busybox-static cpio xz-utils zstd lz4 curl util-linux

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -D_GNU_SOURCE -DTCPSAGA_VERSION='"$(VERSION)"' -I$(BUILD) -Iuser -I.
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(CFLAGS) $(SANITIZE)
LIBS := -lbpf -lelf -lz -lxxhash

# SAN=1 builds everything of userspace with ASan and UBSan, in a tree of its own.
ifeq ($(SAN),1)
BUILD := $(BUILD)/san
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
BINARY := $(BUILD)/tcpsaga
else
BINARY := tcpsaga
endif

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
# state.bpf.c defines the maps that the others share and comes first: bpftool's
# linker (7.1) mislays a map that is used before it is defined.
BPF_SOURCES := bpf/state.bpf.c $(filter-out bpf/state.bpf.c,$(wildcard bpf/*.bpf.c))
BPF_OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
BPF_HEADERS := $(wildcard bpf/*.h) vmlinux/vmlinux.h
SOURCES := user/main.c $(sort $(wildcard user/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/schema.o
SKELETON := $(BUILD)/tcpsaga.skel.h

.DEFAULT_GOAL := all
.PHONY: all deps deps-check run check check-unit check-replay check-system check-vm bench fuzz fmt lint \
	install uninstall clean help tests-built FORCE
.DELETE_ON_ERROR:

all: $(BINARY) ## build ./tcpsaga

# ---- the kernel side: each story an object, linked into one skeleton ----

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(BPF_HEADERS) | $(BUILD)/bpf
	$(call say,BPF,$<)
	$(Q)$(CLANG) -target bpf -D__TARGET_ARCH_$(ARCH) -O2 -g -mcpu=v3 -Wall -Wextra -Werror \
		-Wno-unused-parameter -Ivmlinux -Ibpf -c $< -o $@

$(BUILD)/tcpsaga.bpf.o: $(BPF_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKELETON): $(BUILD)/tcpsaga.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name tcpsaga_bpf > $@

# ---- userspace ----

$(BUILD)/user/source/live.o: $(SKELETON)

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/schema.o: user/output/schema.json | $(BUILD)/bpf
	$(Q)cd $(<D) && ld -r -b binary -z noexecstack -o $(abspath $@) $(<F)

$(BINARY): $(OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/bpf:
	@mkdir -p $@

-include $(OBJECTS:.o=.d)

clean: ## remove everything that was built
	rm -rf build tcpsaga compile_commands.json
