# SPDX-License-Identifier: BSD-2-Clause
# tcpsaga. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
CC = gcc
CLANG ?= clang
BPFTOOL ?= $(shell user/dist/deps bpftool)

# What may be used unset gcc guesses by what it has inlined: a hint, with whatever CFLAGS.
WARNINGS := -Wall -Wextra -Werror -Wno-error=maybe-uninitialized -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -D_GNU_SOURCE= -DTCPSAGA_VERSION='"$(VERSION)"' -I$(BUILD) -Iuser -I.
CFLAGS ?= -O2 -g
# A struct of some hundred bytes is cleared for each record: GCC's own choice for x86, one
# instruction that repeats itself, takes as long as all the rest of decoding it.
CLEARING := -mmemset-strategy=vector_loop:256:noalign,libcall:-1:noalign
CLEARING := $(shell $(CC) $(CLEARING) -xc -E /dev/null >/dev/null 2>&1 && echo $(CLEARING))
# A record passes through a dozen small files: as one program it costs a tenth less.
LTO := -flto=auto
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(CFLAGS) $(LTO) $(CLEARING) $(SANITIZE)
LIBS := -lm -lbpf -lelf -lz -lxxhash -lmnl -linih -lzstd -ljansson -lseccomp -lcap-ng

# SAN=1 builds everything of userspace with ASan and UBSan, in a tree of its own.
ifeq ($(SAN),1)
BUILD := $(BUILD)/san
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LTO :=
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
# What defines the maps that others share comes first: bpftool's
# linker (7.1) mislays a map that is used before it is defined.
BPF_FIRST := $(addprefix bpf/,state.bpf.c handshake.bpf.c timewait.bpf.c)
# holders.bpf.c is an object of its own: it is loaded for one look, without a ring.
BPF_ALONE := bpf/holders.bpf.c
BPF_SOURCES := $(BPF_FIRST) $(filter-out $(BPF_FIRST) $(BPF_ALONE),$(wildcard bpf/*.bpf.c))
BPF_OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
BPF_HEADERS := $(wildcard bpf/*.h) vmlinux/vmlinux.h
SOURCES := user/main.c $(sort $(wildcard user/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/schema.o
SKELETON := $(BUILD)/tcpsaga.skel.h

.DEFAULT_GOAL := all
.PHONY: all deps deps-check run check check-unit check-replay check-system check-vm check-queues check-flood check-storm check-privileges check-truth check-findings check-soak check-package check-san check-valgrind bench fuzz fmt lint \
	install uninstall deb clean help tests-built FORCE
.DELETE_ON_ERROR:

all: $(BINARY) ## build ./tcpsaga

# ---- the kernel side: each story an object, linked into one skeleton ----

BPF_CC = $(CLANG) -target bpf -D__TARGET_ARCH_$(ARCH) -O2 -g -mcpu=v3 -Wall -Wextra -Werror \
	-Wno-unused-parameter -Ivmlinux -Ibpf

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(BPF_HEADERS) | $(BUILD)/bpf
	$(call say,BPF,$<)
	$(Q)$(BPF_CC) -c $< -o $@

$(BUILD)/tcpsaga.bpf.o: $(BPF_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKELETON): $(BUILD)/tcpsaga.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name tcpsaga_bpf > $@

$(BUILD)/holders.skel.h: $(BUILD)/bpf/holders.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name holders_bpf > $@

# ---- userspace ----

$(BUILD)/user/source/live.o $(BUILD)/user/source/programs.o: $(SKELETON)
$(BUILD)/user/source/holders.o: $(BUILD)/holders.skel.h

# Loaded and not linked (user/agent/mhd.h), by the name that a linked one would have.
$(BUILD)/user/agent/mhd.o: CPPFLAGS += -DLIBMICROHTTPD='"$(shell objdump -p \
	$$($(CC) -print-file-name=libmicrohttpd.so) | sed -n "s/ *SONAME *//p")"'

$(BUILD)/%.o: %.c Makefile
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

# ---- packages: user/dist/deps knows their names ----

deps: ## install what the build needs (Debian, Ubuntu; elsewhere: print it)
	@user/dist/deps build

deps-check: ## the same for the tests
	@user/dist/deps build check

run: ## install what is missing, build, and run: ARGS="trace port 443"
	@user/dist/deps build
	@$(MAKE) --no-print-directory all
	@./tcpsaga $(or $(ARGS),trace)

# ---- tests: each layer prints TAP, tests/run adds it up ----

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
TEST_PROGRAMS := $(addprefix $(BUILD)/tests/,traffic knock closer turncoat holder player snapshot mkrec stages churn relocs empty witness eio.so)

UNIT_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined

# Unit tests are always built with the sanitizers, but for valgrind. Each includes the module it
# tests, so they depend on whatever the compiler says they do. cmocka 2 calls
# names deprecated whose successors cmocka 1 does not have.
$(BUILD)/tests/unit/%: tests/unit/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(WARNINGS) -Wno-deprecated-declarations -O1 -g \
		$(UNIT_SANITIZE) -fno-omit-frame-pointer -MMD -MP $< -lcmocka -lxxhash -lmnl -linih -lzstd -ljansson -lseccomp -lcap-ng -lbpf -lm -o $@

$(BUILD)/tests/traffic $(BUILD)/tests/knock $(BUILD)/tests/closer $(BUILD)/tests/turncoat $(BUILD)/tests/holder $(BUILD)/tests/player: $(BUILD)/tests/%: tests/system/%.c tests/system/play.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $< -o $@

$(BUILD)/tests/eio.so: tests/system/eio.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE= -std=gnu11 $(WARNINGS) -O2 -fPIC -shared $< -o $@

MKREC_OBJECTS := $(addprefix $(BUILD)/,user/source/recording.o user/event/connection.o \
	user/event/counter.o user/event/setting.o)
$(BUILD)/tests/mkrec: tests/replay/mkrec.c $(MKREC_OBJECTS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $^ -lxxhash -o $@

SNAPSHOT_OBJECTS := $(addprefix $(BUILD)/user/,source/sockdiag.o source/netns.o source/netstat.o \
	source/procs.o source/cgroup_root.o base/clock.o base/decimal.o base/idmap.o base/strbuf.o event/connection.o)
$(BUILD)/tests/snapshot: tests/system/snapshot.c $(SNAPSHOT_OBJECTS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $^ -lmnl -lpthread -o $@

# All of userspace but the sources of events, which need a kernel.
STAGES_OBJECTS := $(filter-out $(BUILD)/user/main.o $(BUILD)/user/verbs/% $(BUILD)/user/agent/% $(BUILD)/user/source/%,$(OBJECTS)) \
	$(addprefix $(BUILD)/user/,verbs/batch.o verbs/select.o source/recording.o source/netns.o)
$(BUILD)/tests/stages: tests/bench/stages.c $(STAGES_OBJECTS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $^ -lxxhash -ljansson -lseccomp -lcap-ng -lm -lpthread -o $@

$(BUILD)/tests/churn: tests/bench/churn.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE= $(ALL_CFLAGS) $< -o $@

$(BUILD)/tests/relocs: tests/vm/relocs.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $< -lbpf -lelf -lz -o $@

# Programs of the tests that have a BPF program of their own.
BPF_TESTS := tests/bench/empty tests/system/witness
define bpf_test
$(BUILD)/$(2).bpf.o: $(1).bpf.c vmlinux/vmlinux.h
	$$(call say,BPF,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(BPF_CC) -c $$< -o $$@

$(BUILD)/$(2).skel.h: $(BUILD)/$(2).bpf.o
	$$(call say,SKEL,$$@)
	$$(Q)$$(BPFTOOL) gen skeleton $$< name $(notdir $(1))_bpf > $$@

$(BUILD)/$(2): $(1).c $(BUILD)/$(2).skel.h
	$$(call say,CC,$$<)
	$$(Q)$$(CC) -I$$(@D) $$(ALL_CFLAGS) $$< -lbpf -lelf -lz -o $$@
endef
$(foreach t,$(BPF_TESTS),$(eval $(call bpf_test,$(t),tests/$(notdir $(t)))))

-include $(UNIT_TESTS:=.d)

tests-built: $(BINARY) $(UNIT_TESTS) $(TEST_PROGRAMS)

check: ## install what the tests need, run them all
	@user/dist/deps build check
	@$(MAKE) --no-print-directory tests-built
	@BRIEF=1 tests/run unit replay system vm

check-san: ## unit and replay tests of programs built with ASan and UBSan, with a million lives
	@user/dist/deps build check
	@$(MAKE) --no-print-directory SAN=1 tests-built
	@tests/run san

# The programs of the unit tests have ASan and UBSan in them, which valgrind cannot
# run: for it they are built without.
check-valgrind: ## unit and replay tests under valgrind; minutes
	@user/dist/deps build check valgrind
	@$(MAKE) --no-print-directory BUILD=build/valgrind UNIT_SANITIZE= BINARY=build/valgrind/tcpsaga tests-built
	@VALGRIND="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite" \
		tests/run valgrind

check-unit check-replay check-system check-vm check-queues check-flood check-storm check-privileges check-truth check-findings check-soak: check-%: tests-built ## one layer of the tests
	@TCPSAGA=$(abspath $(BINARY)) tests/run $*

check-soak-vm: ## a small soak in an emulated machine with function hooks: some minutes
	@user/dist/deps build check package
	@$(MAKE) --no-print-directory tests-built deb
	@tests/run soak-vm

check-package: ## the Debian package on a Debian with systemd, in an emulated machine
	@user/dist/deps build check package
	@$(MAKE) --no-print-directory tests-built deb
	@TCPSAGA=$(abspath $(BINARY)) tests/run package

bench: ## measure the cost on this machine, beside peers; BENCH="full held bpf start idle stages memory"
	@user/dist/deps build bench || true
	@$(MAKE) --no-print-directory all $(TEST_PROGRAMS)
	@TCPSAGA=$(abspath $(BINARY)) tests/bench/run.py $(BENCH)

FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(wildcard user/event/*.[ch] user/agent/*config.c) user/source/recording.c user/verbs/agent_sinks.c
	$(call say,FUZZ,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined $< -lxxhash -linih -o $@

fuzz: $(FUZZERS) ## run each fuzzer for FUZZ_SECONDS
	@for f in $^; do $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; done

# ---- the house ----

FORMATTED = $(wildcard bpf/*.[ch] user/*.c user/*/*.[ch]) # tests are laid out by hand, as tables
CLANG_FORMAT ?= clang-format

fmt: ## format the C sources
	$(CLANG_FORMAT) -i $(FORMATTED)

lint: all ## format, static analysis, shell scripts, the direction of includes
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)
	cppcheck --quiet --enable=warning,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=identicalInnerCondition --suppress=nullPointer:*/flow_table.c -Iuser -I. -I$(BUILD) user
	shellcheck -x -P SCRIPTDIR -e SC2086 $(SCRIPTS)
	tests/house

SCRIPTS = user/dist/deps user/dist/deb user/dist/tcpsaga.bash tests/run tests/house tests/replay/findings/capture $(addprefix tests/vm/,fetch run suite system btf capture debian package soak)

compile_commands.json: Makefile ## for clangd
	@{ sep='['; for f in $(SOURCES); do printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' "$$sep" \
		'$(CURDIR)' "$$f" '$(subst ",\",$(CC) $(CPPFLAGS) $(ALL_CFLAGS)) -c '"$$f"; sep=,; done; \
		printf '\n]\n'; } > $@

# What is installed, as SOURCE:PLACE below PREFIX.
INSTALLED := user/dist/tcpsaga.8:share/man/man8/tcpsaga.8 \
	user/dist/tcpsaga.bash:share/bash-completion/completions/tcpsaga \
	user/dist/agent.conf:share/doc/tcpsaga/agent.conf \
	user/dist/tcpsaga.rules.yml:share/doc/tcpsaga/tcpsaga.rules.yml \
	user/dist/tcpsaga.dashboard.json:share/doc/tcpsaga/tcpsaga.dashboard.json

install: all ## PREFIX=/usr/local, DESTDIR=
	install -D -m 755 tcpsaga $(DESTDIR)$(PREFIX)/bin/tcpsaga
	$(foreach pair,$(INSTALLED),install -D -m 644 $(subst :, $(DESTDIR)$(PREFIX)/,$(pair));)

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/tcpsaga
	rm -f $(foreach pair,$(INSTALLED),$(DESTDIR)$(PREFIX)/$(lastword $(subst :, ,$(pair))))

deb: all ## a Debian package of what was built, in build/
	$(Q)user/dist/deb $(VERSION) $(abspath $(BUILD))

help: ## this
	@sed -n 's/^\([a-z_. -]*\):.*## \(.*\)/  \1: \2/p' $(MAKEFILE_LIST)
	@echo '  V=1 shows commands; SAN=1 builds with ASan and UBSan in build/san'

clean: ## remove everything that was built
	rm -rf build tcpsaga compile_commands.json
