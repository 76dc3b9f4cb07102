# Ingot's build. Read it top to bottom: the module table, the configurations, the rules.
#
#   make                 the guest modules and the `ingot` command
#   make test-M          the unit tests of module M under ASan and UBSan (make unit: all of them)
#   make fuzz-M          a short run of module M's fuzzers
#   make house           what keeps the house in order: includes, boundaries, headers
#   make CC=clang        everything with clang, into build/clang
#
# Out of tree: all output is below build/. Third-party sources are fetched by third_party/*.mk.

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BUILD ?= build$(if $(findstring clang,$(CC)),/clang)
OBJCOPY ?= objcopy
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all guest tool unit fuzz house clean
all: guest tool

# --- The module table -------------------------------------------------------------------------
# uses.M: the modules whose public headers M may include. Include paths come from here alone.
MODULES := base abi platform machine host sim core net store sql http page libc app boot db cli
PURE := base abi net http page

uses.base     :=
uses.abi      := base
uses.platform := base
uses.machine  := base abi platform
uses.host     := base abi platform
uses.sim      := base abi platform
uses.core     := base platform
uses.net      := base
uses.store    := base abi platform core
uses.sql      := base platform core store
uses.http     := base
uses.page     := base
uses.libc     := base core platform store net
uses.app      := base abi platform core net store sql http page
uses.boot     := base abi platform core net store sql http page libc app
uses.db       := base abi platform host core store sql
uses.cli      := base abi platform core page http store sql

# What a module's tests may include besides: simulators stand below what they simulate.
testuses.sim   := core net store
testuses.net   := sim platform
testuses.store := sim
testuses.sql   := sim platform abi
testuses.core  := sim
testuses.app   := sim host
# Libraries that only a module's tests link.
testlibs.page := -ljansson
testlibs.db = $(sqlite.shell-libs)
# SQLite knows the host there (see sql/os.c).
without.db = $(BUILD)/host/sql/os.o

# --- Configurations ---------------------------------------------------------------------------
# guest: the bare machine, musl.  host: a Linux process under the sanitizers, glibc; unit tests too.
# fuzz: libFuzzer.  tool: the `ingot` command.  desk: `ingot db`.  fast: simulations, without the sanitizers.
guest.modules := base abi core net store sql http page libc app boot machine
host.modules  := base abi core net store sql http page app boot host sim db
fuzz.modules  := base abi core net store sql http page sim
desk.modules  := base platform host core store sql db
fast.modules  := base core net store sql sim
tool.modules  := base abi core store sql page cli

WARN := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
	-Wswitch-enum -Wundef -Wpointer-arith -Wwrite-strings -Werror
COMMON := -std=c17 $(WARN) -g -fvisibility=hidden -fno-strict-aliasing -fno-common \
	-ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=.

# No red zone: interrupts arrive on the running stack. The canary is a global that boot code draws.
guest.arch := -m64 -march=x86-64 -mno-red-zone -fno-pic -fno-pie -mcmodel=small \
	-fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
	-fstack-protector-strong -mstack-protector-guard=global
# What runs seldom, or once: small rather than fast. All that a request passes through stays at -O2.
guest.small := $(addprefix net/,address arp capture counters dhcp dns dns_cache dns_message icmp4 icmp6 ip6 ip6_address \
		ip6_route mld ndp reassembly tcp_cubic tcp_pmtu tcp_rack udp) \
	$(addprefix machine/,acpi aml command_line entropy main panic pci symbols virtio virtio_console \
		virtio_entropy virtio_mmio virtio_pci) \
	$(addprefix machine/x86_64/,clock fault interrupts paging power rtc serial traps) \
	$(addprefix boot/,diagnose main network options) \
	$(addprefix app/,asset_coding asset_directory asset_ranges cookie error_page misuse server) page/asset_directory \
	$(addprefix http/,body coding conditional cookie date range status) \
	$(addprefix libc/,sys_io sys_memory sys_process sys_time) \
	$(addprefix core/,budget log trace) base/random
MUSL_INCLUDE := $(abspath $(BUILD)/third_party/musl/include)
guest.cc := $(CC)
guest.flags = $(COMMON) -O2 $(guest.arch) -nostdinc -isystem $(MUSL_INCLUDE) \
	-isystem $(shell $(CC) -print-file-name=include)

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
host.cc := $(CC)
host.flags := $(COMMON) -O1 $(SANITIZE) -D_GNU_SOURCE
fast.cc := $(CC)
fast.flags := $(COMMON) -O2 -D_GNU_SOURCE
fuzz.cc := $(CLANG)
fuzz.flags := $(COMMON) -O1 $(SANITIZE) -fsanitize=fuzzer-no-link -D_GNU_SOURCE
desk.cc := $(CC)
desk.flags := $(COMMON) -O2 -D_GNU_SOURCE
tool.cc := $(CC)
tool.flags := $(COMMON) -O2 -D_GNU_SOURCE

# --- Third-party sources: each file adds rules and names what it makes -------------------------
# musl.mk: $(MUSL_READY) (headers), $(MUSL_LIB); sqlite.mk: $(SQLITE_READY) and sqlite.CONFIG.o
# qemu.mk: $(QEMU_READY), $(QEMU_INCLUDE) (for bench/plugin/)
-include $(wildcard third_party/*.mk)

# --- Rules ------------------------------------------------------------------------------------
closure = $(sort $1 $(foreach m,$(uses.$1),$(call closure,$m)))
tested = $(sort $(call closure,$1) $(foreach m,$(testuses.$1),$(call closure,$m)))
includes = $(foreach m,$1 $(uses.$1),-I$m/include)
all_sources = $(wildcard $1/*.c $1/*/*.c $1/*/*.S $1/*.S)
sources = $(filter-out %_test.c %_fuzz.c %/program.c $1/support/%,$(call all_sources,$1))
# x.c becomes x.o, x.S becomes x.S.o: the two may stand beside each other.
objects = $(patsubst %.S,$(BUILD)/$1/%.S.o,$(patsubst %.c,$(BUILD)/$1/%.o,$(call sources,$2)))
tests = $(filter %_test.c,$(call all_sources,$1))
fuzzers = $(filter %_fuzz.c,$(call all_sources,$1))

# $(call compile,CONFIG,MODULE): one source of MODULE. Modules that embed third-party headers name
# them in extra.MODULE (sql: the sqlite3.h; libc: musl's internal headers).
define module_rules
$(BUILD)/$1/$2/%.o: $2/%.c $(if $(filter guest,$1),| $(MUSL_READY)) $(ready.$2)
	@mkdir -p $$(@D)
	$$($1.cc) $$($1.flags) $$(if $$(filter $2/$$*,$$($1.small)),-Os) $$(call includes,$2) $$(extra.$2) \
		-MMD -MP -c $$< -o $$@
$(BUILD)/$1/$2/%.S.o: $2/%.S $(if $(filter guest,$1),| $(MUSL_READY))
	@mkdir -p $$(@D)
	$$($1.cc) $$($1.flags) $$(call includes,$2) -MMD -MP -c $$< -o $$@
# The module as one relocatable object in which only the API is still visible.
$(BUILD)/$1/$2.o: $$(call objects,$1,$2)
	$$(if $$^,$$(LD) -r -o $$@.all $$^ && $$(OBJCOPY) --localize-hidden $$@.all $$@)
-include $$(patsubst %.o,%.d,$$(call objects,$1,$2))
endef
$(foreach c,guest host fuzz fast tool desk,$(foreach m,$($c.modules),$(eval $(call module_rules,$c,$m))))

guest.parts := $(foreach m,$(guest.modules),$(if $(call sources,$m),$(BUILD)/guest/$m.o))
guest: $(BUILD)/guest/toolchain

# What `ingot build` makes applications with: the same compiler and flags, our include paths for what
# <ingot.h> needs, and the parts to link. Rewritten (and so, applications rebuilt) when a part changes.
# What the compiler calls for that this processor has no instruction for.
LIBGCC = $(shell $(guest.cc) -print-libgcc-file-name)
app.warn := -Wall -Wextra -Wstrict-prototypes \
	$(addprefix -Werror=,implicit-function-declaration incompatible-pointer-types int-conversion return-type)
# What is wrong in PAGE(x) stands where PAGE does, and not in the header. (An option of gcc's.)
app.places := $(if $(findstring clang,$(CC)),,-ftrack-macro-expansion=0)
app.flags = $(patsubst -I%,-I$(CURDIR)/%,$(filter-out $(WARN),$(guest.flags))) $(app.warn) \
	$(foreach m,app base platform core net store sql http page,-I$(CURDIR)/$m/include) \
	-I$(CURDIR)/app/include/app
$(BUILD)/guest/toolchain: $(guest.parts) $(MUSL_LIB) $(sqlite.guest.o) machine/x86_64/link.sh \
		machine/x86_64/link.ld machine/x86_64/symbols.sh Makefile
	@printf '%s\n' 'CC $(guest.cc)' 'FLAGS $(app.flags) $(app.places)' 'LINK $(CURDIR)/machine/x86_64/link.sh' \
		'PARTS $(abspath $(guest.parts) $(sqlite.guest.o) $(MUSL_LIB)) $(LIBGCC)' >$@

tool.parts := $(foreach m,$(tool.modules),$(call objects,tool,$m))
tool: $(if $(call sources,cli),$(BUILD)/ingot)
$(BUILD)/ingot: $(tool.parts) $(sqlite.tool.o)
	$(tool.cc) -o $@ $^ -lm -lz -lbrotlienc

# `ingot db`, built when it is first asked for. SQLite is another than the guest's: it has an operating system below it.
desk.parts := $(filter-out $(BUILD)/desk/sql/os.o,$(foreach m,$(desk.modules),$(call objects,desk,$m)))
$(BUILD)/desk/ingot-db: db/program.c $(desk.parts) $(sqlite.shell.o) $(sqlite.shell-main.o)
	$(desk.cc) $(desk.flags) $(call includes,db) -Wl,--gc-sections -o $@ $^ $(sqlite.shell-libs)

# Unit tests: FILE_test.c is a program with the objects of its module, of what that uses, and cmocka.
# third_party objects that a module needs are in needs.MODULE.CONFIG.
define test_rules
$(BUILD)/host/test/$1/%_test: $1/%_test.c $(wildcard $1/support/*.c) \
		$$(foreach m,$(filter $(host.modules),$(call tested,$1)),$$(call objects,host,$$m)) \
		$(BUILD)/host/host/assert.o $(needs.$1.host)
	@mkdir -p $$(@D)
	$$(host.cc) $$(host.flags) $$(call includes,$1) -I$1 $$(foreach m,$(testuses.$1),-I$$m/include) \
		-I$$(@D) $$(extra.$1) -MMD -MP -MF $$@.d $$(filter-out $$(without.$1),$$(sort $$(filter $1/%_test.c $1/support/%.c %.o,$$^))) -o $$@ \
		-lcmocka $(testlibs.$1) -lm -lpthread
.PHONY: test-$1 fuzz-$1
unit-programs.$1 := $$(patsubst %.c,$(BUILD)/host/test/%,$(call tests,$1))
-include $$(addsuffix .d,$$(unit-programs.$1))
test-$1: $$(unit-programs.$1)
	@for t in $$^; do echo "# $$$$t"; CMOCKA_MESSAGE_OUTPUT=TAP $$$$t || exit 1; done
$(BUILD)/fuzz/run/$1/%_fuzz: $1/%_fuzz.c \
		$$(foreach m,$(filter $(fuzz.modules),$(call tested,$1)),$$(call objects,fuzz,$$m)) \
		host/assert.c $(needs.$1.fuzz)
	@mkdir -p $$(@D)
	$$(fuzz.cc) $$(fuzz.flags) -fsanitize=fuzzer $$(call includes,$1) -I$1 -Ihost/include \
		$$(foreach m,$(testuses.$1),-I$$m/include) $$(extra.$1) $$(sort $$(filter $1/%_fuzz.c host/assert.c %.o,$$^)) -o $$@
fuzz-programs.$1 := $$(patsubst %.c,$(BUILD)/fuzz/run/%,$(call fuzzers,$1))
# FUZZ_RUNS inputs for each, from the committed corpus (MODULE/corpus/NAME) on.
fuzz-$1: $$(fuzz-programs.$1)
	@for f in $$^; do n=$$$$(basename $$$$f); mkdir -p $(BUILD)/fuzz/corpus/$$$$n; \
		$$$$f -runs=$(FUZZ_RUNS) -max_total_time=$(FUZZ_SECONDS) -seed=1 -print_final_stats=0 -verbosity=0 \
		-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus/$$$$n $$$$(ls -d $1/corpus/$$$$n 2>/dev/null) \
		&& echo "ok - $$$$n" || exit 1; done
endef
FUZZ_RUNS ?= 20000
FUZZ_SECONDS ?= 20
$(foreach m,$(MODULES),$(eval $(call test_rules,$m)))
# The player of net/scripts.
$(BUILD)/host/test/net/script_test: $(wildcard net/support/script/*.c)
# http/vectors, which app/ reads too.
$(BUILD)/host/test/app/vectors_test: $(BUILD)/host/http/support/vector.o
$(BUILD)/host/test/app/vectors_test: private host.flags += -Ihttp/support
-include $(BUILD)/host/http/support/vector.d
# The examples in the comments of the headers that applications include.
app.examples := app/include/app/ingot.h app/include/app/json.h
$(BUILD)/host/test/app/examples_test: $(BUILD)/host/test/app/examples.inc
$(BUILD)/host/test/app/examples.inc: $(app.examples) app/support/examples.awk
	@mkdir -p $(@D)
	awk -f app/support/examples.awk $(app.examples) >$@
unit-programs: $(foreach m,$(MODULES),$(unit-programs.$m))
fuzz-programs: $(foreach m,$(MODULES),$(fuzz-programs.$m))
unit: $(foreach m,$(MODULES),$(if $(call tests,$m),test-$m))
fuzz: $(foreach m,$(MODULES),$(if $(call fuzzers,$m),fuzz-$m))
.PHONY: unit-programs fuzz-programs

# The simulated network (`ingot sim net`), twice: fast, and under the sanitizers.
comma := ,
sim.modules := base net sim
sim.sources := $(wildcard net/support/sim/*.c) net/support/check.c host/assert.c
define sim_rules
$(BUILD)/$1/net_sim: $(sim.sources) $$(wildcard net/*.h net/support/*.h net/support/sim/*.h net/include/net/*.h \
		sim/include/sim/*.h) $(foreach m,$(sim.modules),$(call objects,$1,$m))
	$$($1.cc) $$($1.flags) -Inet -Ihost/include $(foreach m,base platform net sim,-I$m/include) \
		$$(filter %.c %.o,$$^) -o $$@
endef
$(foreach c,fast host,$(eval $(call sim_rules,$c)))
# The simulated disk under the store (`ingot sim store`). The linker leads some calls between the store's
# files through store/support/sim/seam.c.
store-sim.modules := base core store sim
store-sim.sources := $(wildcard store/support/sim/*.c) store/support/rig.c host/assert.c
store-sim.wrapped := cache_take delta_new io_flush io_write_block space_defer space_superseded space_take \
	volume_checksum store_is_needed store_oldest_base store_reader_of cache_supersede object_low \
	checkpoint_reserve store_device_blocks space_node_take space_take_near \
	object_fork object_drop_branch share_children table_change_begin
define store_sim_rules
$(BUILD)/$1/store_sim: $(store-sim.sources) $$(wildcard store/*.h store/support/*.h store/support/sim/*.h \
		store/include/store/*.h sim/include/sim/*.h abi/include/abi/*.h) \
		$(foreach m,$(store-sim.modules),$(call objects,$1,$m))
	$$($1.cc) $$($1.flags) -Istore -Ihost/include $(foreach m,base abi platform core store sim,-I$m/include) \
		$(addprefix -Wl$(comma)--wrap=,$(store-sim.wrapped)) $$(filter %.c %.o,$$^) -o $$@
endef
$(foreach c,fast host,$(eval $(call store_sim_rules,$c)))
# SQLite on top of it (`ingot sim sql`), beside another SQLite, in memory.
sql-sim.modules := base core store sql sim
sql-sim.sources := $(wildcard sql/support/sim/*.c) sql/support/counted.c store/support/rig.c store/support/sim/memory.c host/assert.c
define sql_sim_rules
$(BUILD)/$1/sql_sim: $(sql-sim.sources) $$(wildcard sql/*.h store/support/*.h store/support/sim/memory.h sql/support/*.h \
		sql/support/sim/*.h sql/include/sql/*.h store/*.h store/include/store/*.h sim/include/sim/*.h) $(foreach m,$(sql-sim.modules),$(call objects,$1,$m)) \
		$(sqlite.host.o)
	$$($1.cc) $$($1.flags) -Istore -Ihost/include $(extra.sql) $(foreach m,base abi platform core store sql sim,-I$m/include) \
		-Wl,--wrap=cache_take,--wrap=delta_new,--wrap=store_txn_write,--wrap=store_txn_abort,--wrap=sqlite3_finalize \
		$$(filter %.c %.o,$$^) -o $$@ -lm
endef
$(foreach c,fast host,$(eval $(call sql_sim_rules,$c)))
.PHONY: sim-programs
sim-programs: $(BUILD)/fast/sql_sim $(BUILD)/host/sql_sim
sim-programs: $(BUILD)/fast/net_sim $(BUILD)/host/net_sim $(BUILD)/fast/store_sim $(BUILD)/host/store_sim

# SQLite's own tests and its speed test, with our page store as their VFS: their main functions on a fiber of
# ours. The fuzz corpus runs under the sanitizers.
suite.modules := base core store
suite.ours = $(filter-out %_main.c,$(wildcard sql/support/suite/*.c)) host/assert.c \
	$(foreach m,$(suite.modules),$(call objects,$1,$m)) $(BUILD)/$1/sql/file.o $(BUILD)/$1/sql/scratch.o
suite.headers := $(wildcard sql/support/suite/*.h) sql/private.h
# $(call suite_link,CONFIG,MAIN)
suite_link = $($1.cc) $($1.flags) $(call includes,sql) -Iabi/include -Ihost/include $(extra.sql) \
	-DSUITE_MAIN=$2 $(filter %.c %.o,$^) $(filter %.a,$^) -o $@
$(SUITE)/testfixture: sql/support/suite/program_main.c $(call suite.ours,fast) $(suite.headers) $(fixture.parts)
	@mkdir -p $(@D)
	$(call suite_link,fast,suite_tclsh) $(fixture.libs)
$(SUITE)/speedtest1: sql/support/suite/program_main.c $(call suite.ours,fast) $(suite.headers) $(speedtest.parts)
	@mkdir -p $(@D)
	$(call suite_link,fast,suite_speedtest) -lm
$(SUITE)/fuzzcheck: sql/support/suite/fuzz_main.c $(call suite.ours,host) $(suite.headers) $(fuzzcheck.parts)
	@mkdir -p $(@D)
	$(call suite_link,host,fuzzcheck_main) -lm
.PHONY: sqlite-suite sqlite-speedtest
sqlite-suite: $(SUITE)/testfixture $(SUITE)/fuzzcheck
sqlite-speedtest: $(SUITE)/speedtest1

# Programs for the scripts of e2e/, as host processes under the sanitizers.
check.modules := base platform core store sql host
$(BUILD)/host/volume_check: e2e/support/volume_check.c $(foreach m,$(check.modules),$(call objects,host,$m)) \
		$(sqlite.host.o)
	$(host.cc) $(host.flags) $(foreach m,$(check.modules),-I$m/include) $(sort $(filter %.c %.o,$^)) -o $@ -lm -lpthread

# For the scripts of bench/: a plugin of QEMU that counts instructions, and the load.
$(BUILD)/bench/insns.so: bench/plugin/insns.c | $(QEMU_READY)
	@mkdir -p $(@D)
	$(tool.cc) $(tool.flags) -isystem $(QEMU_INCLUDE) -fPIC -shared $< -o $@
$(BUILD)/bench/%: bench/support/%.c
	@mkdir -p $(@D)
	$(tool.cc) $(tool.flags) $< -o $@
.PHONY: bench-tools
bench-tools: $(BUILD)/bench/insns.so $(BUILD)/bench/load $(BUILD)/bench/tsc_khz

# The TCP engine as a process: stream under the sanitizers, stream-fast without.
stream.modules := base net host
$(BUILD)/e2e/stream: e2e/support/stream.c $(foreach m,$(stream.modules),$(call objects,host,$m))
	@mkdir -p $(@D)
	$(host.cc) $(host.flags) $(foreach m,$(stream.modules) platform,-I$m/include) $^ -o $@
$(BUILD)/e2e/stream-fast: e2e/support/stream.c $(foreach m,$(stream.modules),$(call sources,$m)) \
		$(foreach m,$(stream.modules),$(wildcard $m/*.h $m/include/$m/*.h))
	@mkdir -p $(@D)
	$(tool.cc) $(tool.flags) $(foreach m,$(stream.modules) platform,-I$m/include) $(filter %.c,$^) -o $@
$(BUILD)/e2e/%: e2e/support/%.c Makefile
	@mkdir -p $(@D)
	$(tool.cc) $(tool.flags) $< -o $@

# An application as a process of this machine: make build/host/program/NAME APP=DIR, once `ingot build DIR`
# has generated what stands in DIR/.ingot.
program.modules := base abi core net store sql http page app boot host
program.sources = $(wildcard $(APP)/*.c $(APP)/.ingot/*.c $(APP)/.ingot/*.S)
$(BUILD)/host/program/$(notdir $(APP)): $(program.sources) $(sqlite.host.o) \
		$(foreach m,$(program.modules),$(if $(call sources,$m),$(BUILD)/host/$m.o))
	@mkdir -p $(@D)
	$(host.cc) $(filter-out $(WARN),$(host.flags)) $(app.warn) $(foreach m,$(program.modules) platform,-I$m/include) \
		-Iapp/include/app -I$(APP)/.ingot $(sort $^) -o $@ -lm -lpthread

# --- The house --------------------------------------------------------------------------------
# Each public header compiles alone, with the include row of its own module.
headers = $(wildcard $1/include/$1/*.h)
define header_rule
$(BUILD)/headers/$2.ok: $2 $(MUSL_READY)
	@mkdir -p $$(@D)
	$$(guest.cc) $$(guest.flags) $$(call includes,$1) -fsyntax-only -x c $$< && touch $$@
endef
$(foreach m,$(MODULES),$(foreach h,$(call headers,$m),$(eval $(call header_rule,$m,$h))))
house: guest
	@e2e/house.sh
self-contained: $(foreach m,$(MODULES),$(patsubst %,$(BUILD)/headers/%.ok,$(call headers,$m)))

# For editors and clang-tidy: how each source of the guest is compiled.
define command_entry
{"directory": "$(CURDIR)"$(comma) "file": "$1"$(comma) "command": "$(guest.cc) $(guest.flags) $(call includes,$2) $(extra.$2) -c $1"}
endef
compile_commands.json: Makefile $(foreach m,$(guest.modules),$(call sources,$m))
	$(file >$@.new,[)
	$(foreach m,$(guest.modules),$(foreach f,$(call sources,$m),$(file >>$@.new,$(call command_entry,$f,$m)$(comma))))
	@sed '$$ s/,$$//' $@.new >$@ && echo ']' >>$@ && rm $@.new

print-%:
	@echo '$($*)'

clean:
	rm -rf $(BUILD)
