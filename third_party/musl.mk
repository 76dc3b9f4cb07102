# musl, the C library of guest builds: unpatched, from the upstream archive that SOURCES pins.
#
#   $(MUSL_READY)   stands when the public headers are in $(MUSL_INCLUDE)
#   $(MUSL_LIB)     libc.a, built by musl's own Makefile with our flags
#
# Debian's patches are not applied. What they mend is either not here (iconv: left out below; static PIE;
# renameat2) or cannot happen: CVE-2026-40200 needs a qsort of more than 10^13 elements where size_t has 64 bits.
# "Unpatched" is literal: instead of a patch, libc/musl/syscall_arch.h stands before musl's own and turns
# each system call into the call of a function.

MUSL_SRC := $(BUILD)/third_party/src/musl
MUSL_DIR := $(BUILD)/third_party/musl
MUSL_READY := $(MUSL_DIR)/headers.stamp
MUSL_LIB := $(MUSL_DIR)/lib/libc.a
# Flags and constants of system calls that are not in the C standard; and struct __libc, which libc/init.c
# fills in as a kernel's auxiliary vector would.
extra.libc := -D_GNU_SOURCE -isystem $(MUSL_SRC)/src/internal

# What is left out of libc.a, and why.
# They execute the `syscall` instruction themselves; threads, processes and signals do not exist here:
MUSL_WITHOUT := thread/clone thread/__unmapself thread/__set_thread_area thread/syscall_cp \
	process/vfork signal/restore
# The system call's number is an argument, so that the linker could not see which one is meant:
MUSL_WITHOUT += misc/syscall unistd/setxid linux/setgroups thread/pthread_cancel
# Our syscall_arch.h has made it an inline function:
MUSL_WITHOUT += thread/__syscall_cp
# machine/ owns the canary and what happens when it dies:
MUSL_WITHOUT += env/__stack_chk_fail
# CVE-2025-26519, which 1.2.5 has; nothing here converts between character sets:
MUSL_WITHOUT += locale/iconv locale/iconv_close
# We start the machine, not a process:
MUSL_WITHOUT += env/__libc_start_main

# Our header stands first on the include path. The loops of mem* must not be turned into calls of themselves.
define musl.config
ARCH = x86_64
srcdir = $(abspath $(MUSL_SRC))
CC = $(guest.cc)
AR = $(AR)
RANLIB = true
CFLAGS_C99FSE = -std=c99 -ffreestanding -nostdinc -I$(CURDIR)/libc/musl -I$(abspath $(MUSL_DIR))/obj/ingot
CFLAGS = -O2 $(guest.arch) -ffunction-sections -fdata-sections -fno-strict-aliasing -frounding-math \
	-fno-unwind-tables -fno-common -Wa,--noexecstack -g1 -w -ffile-prefix-map=$(abspath $(MUSL_SRC))=musl
CFLAGS_AUTO = -pipe
CFLAGS_MEMOPS = $(if $(findstring clang,$(guest.cc)),-fno-builtin,-fno-tree-loop-distribute-patterns)
CFLAGS_NOSSP = -fno-stack-protector
AOBJS = $$(filter-out $(MUSL_WITHOUT:%=obj/src/%.o) $(foreach o,$(MUSL_WITHOUT),obj/src/$(dir $o)x86_64/$(notdir $o).o),$$(LIBC_OBJS))
endef

# The configuration is a file that changes only when its content does.
$(MUSL_DIR)/config.mak: FORCE
	$(shell mkdir -p $(@D))$(file >$@.new,$(musl.config))
	@cmp -s $@.new $@ || cp $@.new $@
	@rm $@.new
.PHONY: FORCE

$(MUSL_SRC)/VERSION: | third_party/fetch third_party/SOURCES
	@third_party/fetch musl $(BUILD)/third_party/archives $(MUSL_SRC)

MUSL_MAKE = $(MAKE) --no-print-directory -C $(MUSL_DIR) -f $(abspath $(MUSL_SRC))/Makefile

$(MUSL_READY): $(MUSL_SRC)/VERSION third_party/SOURCES | $(MUSL_DIR)/config.mak
	@$(MUSL_MAKE) -s install-headers includedir=$(abspath $(MUSL_INCLUDE)) >$(MUSL_DIR)/headers.log 2>&1 || \
		{ cat $(MUSL_DIR)/headers.log; exit 1; }
	@touch $@

MUSL_LIST := $(MUSL_DIR)/obj/ingot/syscall_list.h
$(MUSL_LIST): third_party/musl-syscalls.awk libc/include/libc/syscalls.h $(MUSL_SRC)/VERSION
	@mkdir -p $(@D)
	@awk -f third_party/musl-syscalls.awk libc/include/libc/syscalls.h \
		$(MUSL_SRC)/arch/x86_64/bits/syscall.h.in >$@.new
	@cmp -s $@.new $@ || cp $@.new $@
	@rm $@.new

# Any change of the flags or of our header compiles all of it again.
$(MUSL_LIB): $(MUSL_DIR)/config.mak $(MUSL_LIST) libc/musl/syscall_arch.h | $(MUSL_READY)
	@echo "third_party: building musl"
	@rm -rf $(MUSL_DIR)/obj/src $(MUSL_DIR)/obj/compat $@
	@$(MUSL_MAKE) -s lib/libc.a >$(MUSL_DIR)/build.log 2>&1 || { tail -n 20 $(MUSL_DIR)/build.log; exit 1; }
