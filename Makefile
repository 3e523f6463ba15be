# kvfs: build, test, install. `make help` lists the goals.
#
# Everything built lands below build/, in a folder of its own per sanitizer, so that objects never mix:
#     make                           build/bin/{kvcored,kv,kvfs,mount.kvfs}
#     make SAN=address,undefined     build/san-address,undefined/bin/...
# The sources are whatever lies in the folders below; a program whose main is not there yet is left out.
# No goal needs anything beforehand: Debian packages that are missing are installed first (scripts/install).

PREFIX ?= /usr/local
# mount(8) looks for helpers in /sbin only, whatever the prefix; a private prefix keeps to itself.
SYSTEM_PREFIX := $(filter /usr /usr/local,$(PREFIX))
SBINDIR ?= $(if $(SYSTEM_PREFIX),/usr/sbin,$(PREFIX)/sbin)
SYSCONFDIR ?= $(if $(SYSTEM_PREFIX),/etc,$(PREFIX)/etc)
FUZZ_SECONDS ?= 20
# V=1 shows the commands.
Q := $(if $(V),,@)

SAN :=
BUILD := build$(if $(SAN),/san-$(SAN))
BIN := $(BUILD)/bin

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
# Several goals (`make clean check`) mean: one after the other.
ifneq ($(word 2,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
.DELETE_ON_ERROR:
.SECONDARY:

# --- flags -------------------------------------------------------------------------------------------

# pkg-config may not be there yet when this file is read: each answer is asked for at first use, once.
ask = $(eval $1 := $(shell pkg-config $2))$($1)
CORE_CFLAGS = $(call ask,CORE_CFLAGS,--cflags libuv msgpack libconfuse jansson libxxhash libisal libarchive)
CORE_LIBS = $(call ask,CORE_LIBS,--libs libuv msgpack libconfuse jansson libxxhash libisal libarchive)
FUSE_CFLAGS = $(call ask,FUSE_CFLAGS,--cflags fuse3)
FUSE_LIBS = $(call ask,FUSE_LIBS,--libs fuse3)
TEST_CFLAGS = $(call ask,TEST_CFLAGS,--cflags cmocka)
TEST_LIBS = $(call ask,TEST_LIBS,--libs cmocka)
# The sanitizers bring an allocator of their own.
MALLOC_LIBS = $(if $(SAN),,$(call ask,MALLOC_LIBS,--libs jemalloc))

# Instrumented code draws warnings about paths that do not exist; the plain build refuses every warning.
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(SAN),,-Werror)
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) $(if $(filter-out thread,$(SAN)),-fno-sanitize-recover=all))
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -I. $(CPPFLAGS) $(CFLAGS) -fno-omit-frame-pointer $(WARNINGS) $(SAN_FLAGS)
LINK = $(CC) -pthread $(CFLAGS) $(LDFLAGS) $(SAN_FLAGS)

# --- what there is -----------------------------------------------------------------------------------

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $1))
MAINS := $(call objects,kvcore/server/main.c kvcore/tools/kv.c fsd/main.c)
CORE := $(filter-out $(MAINS),$(call objects,$(foreach part,base tree log rpc server client tools,kvcore/$(part)/*.c)))
FSD := $(filter-out $(MAINS),$(call objects,fsd/*.c))
LIBKVCORE := $(BUILD)/libkvcore.a
LIBKVFS := $(BUILD)/libkvfs.a

PROGRAMS := $(if $(wildcard kvcore/server/main.c),$(BIN)/kvcored) $(if $(wildcard kvcore/tools/kv.c),$(BIN)/kv) \
	$(if $(wildcard fsd/main.c),$(BIN)/kvfs $(BIN)/mount.kvfs)
# What several tests of a folder share (a model, say) lies beside them, under a name without test_ or fuzz_.
LIBTESTS := $(BUILD)/libtests.a
SHARED := $(filter-out $(foreach kind,unit/test_% sim/test_% fuzz/fuzz_%,$(BUILD)/obj/tests/$(kind)), \
	$(call objects,tests/unit/*.c tests/sim/*.c tests/fuzz/*.c))
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c tests/sim/test_*.c))
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH_TOOLS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
SOURCES := $(sort $(foreach folder,kvcore/* fsd replica sentinel tests/*,$(wildcard $(folder)/*.c $(folder)/*.h)))

# --- goals -------------------------------------------------------------------------------------------

.PHONY: all run stop check crash differ stress bench lint fmt fuzz fuzz-run install uninstall clean help packages

all: $(PROGRAMS)

help:
	@echo 'make            build the programs into $(BIN)'
	@echo 'make run        mount a store of your own at ./mnt, until make stop'
	@echo 'make check      all tests; TESTS="tests/mount/x.bats build/tests/unit/test_y" for some of them'
	@echo 'make SAN=address,undefined check      the same under sanitizers; also SAN=thread'
	@echo 'make differ SECONDS=n SEED=n      random calls on the mount and on a tmpfs must give the same'
	@echo 'make stress SECONDS=n      fio, dbench, bonnie++ and stress-ng on the mounts; ON="embedded fio" for a part'
	@echo 'make crash      kill stores under load; ROUNDS=n (100), SEED=n'
	@echo 'make fuzz       every fuzz target, $(FUZZ_SECONDS) seconds each (FUZZ_SECONDS=n)'
	@echo 'make bench      measure, against peers too'
	@echo 'make lint, make fmt      check the style; put the format right'
	@echo 'make install, make uninstall      into $(PREFIX) (PREFIX=, DESTDIR=)'
	@echo 'make clean      remove build/'

run: all
	@KV_BIN='$(BIN)' scripts/run

stop:
	@scripts/stop

check: all $(UNIT_TESTS)
	@KV_BUILD='$(BUILD)' SAN='$(SAN)' tests/run $(TESTS)

# Never shorter than one round; the limit leaves room for the last, and for a busy machine.
differ: SECONDS ?= 60
differ: all
	@KV_BUILD='$(BUILD)' SAN='$(SAN)' KV_DIFFER_SECONDS='$(SECONDS)' KV_TEST_SEED='$(SEED)' \
		KV_TEST_TIMEOUT_S=$$(($(SECONDS) + 300)) tests/run tests/mount/random_calls.bats && \
		grep '^# .*rounds' '$(BUILD)'/test-logs/*random_calls*.tap

# ON="embedded fio" runs a part.
stress: all
	@KV_BIN='$(CURDIR)/$(BIN)' STRESS_SECONDS='$(or $(SECONDS),5)' tests/stress/run $(ON)

# Long: so many kills of each kind.
ROUNDS ?= 100
crash: all
	@KV_BUILD='$(BUILD)' SAN='$(SAN)' ROUNDS='$(ROUNDS)' KV_TEST_SEED='$(SEED)' KV_TEST_TIMEOUT_S=86400 \
		tests/run tests/crash/crash.bats tests/crash/crash_mounted.bats

bench: all $(BENCH_TOOLS)
	@KV_BIN='$(CURDIR)/$(BIN)' scripts/bench

lint: all
	@KV_BIN='$(BIN)' scripts/lint

fmt: | packages
	@clang-format -i $(SOURCES)

fuzz:
	@$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined fuzz-run

# Inputs worth keeping live in tests/fuzz/corpus/NAME/; what a run finds stays below build/.
fuzz-run: $(FUZZERS)
	@set -e; for fuzzer in $(FUZZERS); do \
		name=$${fuzzer##*/fuzz_}; found=$(BUILD)/corpus/$$name; given=tests/fuzz/corpus/$$name; \
		mkdir -p $$found; [ -d $$given ] || given=; \
		echo "fuzzing $$name for $(FUZZ_SECONDS) s"; \
		$$fuzzer -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=$(BUILD)/ $$found $$given; \
	done

clean:
	rm -rf build

# One call, so that two never wait for each other's lock on the package database.
packages:
	@scripts/install build $(if $(filter check differ,$(MAKECMDGOALS)),test) $(if $(filter lint fmt,$(MAKECMDGOALS)),lint) \
		$(if $(filter fuzz%,$(MAKECMDGOALS)),fuzz) $(if $(filter bench,$(MAKECMDGOALS)),bench) $(if $(filter stress,$(MAKECMDGOALS)),test stress)

# --- how things are made -----------------------------------------------------------------------------

$(BUILD)/obj/fsd/%.o: CPPFLAGS += $(FUSE_CFLAGS)
$(BUILD)/obj/tests/%.o: CPPFLAGS += $(TEST_CFLAGS) $(FUSE_CFLAGS)

$(BUILD)/obj/%.o: %.c Makefile | packages
	@mkdir -p $(@D)
	$(if $(V),,@echo 'cc $<')
	$(Q)$(COMPILE) $(CORE_CFLAGS) -MMD -MP -c -o $@ $<

# Removed first: an archive would keep the objects of sources that are gone.
$(LIBKVCORE): $(CORE)
$(LIBKVFS): $(FSD)
$(LIBTESTS): $(SHARED)
$(LIBKVCORE) $(LIBKVFS) $(LIBTESTS): Makefile | packages
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $(filter %.o,$^)

$(BIN)/kvcored: $(BUILD)/obj/kvcore/server/main.o $(LIBKVCORE)
$(BIN)/kv: $(BUILD)/obj/kvcore/tools/kv.o $(LIBKVCORE)
$(BIN)/kvfs: $(BUILD)/obj/fsd/main.o $(LIBKVFS) $(LIBKVCORE)
$(BIN)/kvfs: EXTRA_LIBS = $(FUSE_LIBS)
$(BIN)/kvcored $(BIN)/kv $(BIN)/kvfs:
	@mkdir -p $(@D)
	$(if $(V),,@echo 'link $@')
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^) $(EXTRA_LIBS) $(CORE_LIBS) $(MALLOC_LIBS) -lm

$(BIN)/mount.kvfs: $(BIN)/kvfs
	$(Q)ln -sf kvfs $@

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(LIBTESTS) $(LIBKVFS) $(LIBKVCORE)
	@mkdir -p $(@D)
	$(if $(V),,@echo 'link $@')
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^) $(EXTRA_LIBS) $(CORE_LIBS) -lm

$(UNIT_TESTS): EXTRA_LIBS = $(TEST_LIBS) $(FUSE_LIBS)
# Counts bytes as the programs' allocator hands them out.
$(BUILD)/tests/unit/test_tree_memory: EXTRA_LIBS += $(MALLOC_LIBS)
# Makes it fail.
$(BUILD)/tests/unit/test_server: EXTRA_LIBS += -Wl,--wrap=calloc
$(FUZZERS): EXTRA_LIBS = -fsanitize=fuzzer $(FUSE_LIBS)
# As the programs have it.
$(BENCH_TOOLS): EXTRA_LIBS = $(FUSE_LIBS) $(MALLOC_LIBS)

-include $(patsubst %.o,%.d,$(MAINS) $(CORE) $(FSD) $(call objects,tests/*/*.c))

# --- install -----------------------------------------------------------------------------------------

BASH_COMPLETIONS := $(PREFIX)/share/bash-completion/completions
UNITS := $(PREFIX)/lib/systemd/system
MAN := $(PREFIX)/share/man

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(SBINDIR)
	for program in kvcored kv kvfs; do install -m 755 $(BIN)/$$program $(DESTDIR)$(PREFIX)/bin/ || exit; done
	ln -sf $(PREFIX)/bin/kvfs $(DESTDIR)$(SBINDIR)/mount.kvfs
	for page in $(wildcard docs/man/*.[158]); do \
		install -D -m 644 $$page $(DESTDIR)$(MAN)/man$${page##*.}/$${page##*/} || exit; done
	for completion in $(wildcard scripts/completion/*.bash); do name=$${completion##*/}; \
		install -D -m 644 $$completion $(DESTDIR)$(BASH_COMPLETIONS)/$${name%.bash} || exit; done
	ln -sf kvfs $(DESTDIR)$(BASH_COMPLETIONS)/mount.kvfs
	for unit in $(wildcard scripts/systemd/*); do name=$${unit##*/}; install -d $(DESTDIR)$(UNITS) && \
		sed 's|/usr/local|$(PREFIX)|g; s|/etc/kvfs|$(SYSCONFDIR)/kvfs|g' $$unit > $(DESTDIR)$(UNITS)/$$name && \
		chmod 644 $(DESTDIR)$(UNITS)/$$name || exit; done
	[ -e $(DESTDIR)$(SYSCONFDIR)/kvfs/kvcored.conf ] || \
		install -D -m 644 scripts/kvcored.conf $(DESTDIR)$(SYSCONFDIR)/kvfs/kvcored.conf

# The configuration stays.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,kvcored kv kvfs) $(DESTDIR)$(SBINDIR)/mount.kvfs
	rm -f $(foreach section,1 5 8,$(patsubst docs/man/%,$(DESTDIR)$(MAN)/man$(section)/%,$(wildcard docs/man/*.$(section))))
	rm -f $(patsubst scripts/completion/%.bash,$(DESTDIR)$(BASH_COMPLETIONS)/%,$(wildcard scripts/completion/*.bash))
	rm -f $(DESTDIR)$(BASH_COMPLETIONS)/mount.kvfs
	rm -f $(patsubst scripts/systemd/%,$(DESTDIR)$(UNITS)/%,$(wildcard scripts/systemd/*))
